#include "engine/mounts/selinux.h"

#include <algorithm>

#include "base/file.h"
#include "base/sha256.h"
#include "os/xattr.h"
#include "storage/copy/tree_walk.h"

namespace holdfast {

bool selinux_enforced() {
  auto text = read_file("/sys/fs/selinux/enforce");
  return text && text->starts_with('1');
}

std::string container_file_label(const std::string& private_to) {
  std::string label = "system_u:object_r:container_file_t:s0";
  if (private_to.empty()) return label;
  // Two different categories of 0 to 1023, the lower one first.
  auto digest = sha256_hex(private_to);
  auto first = std::stoul(digest.substr(0, 4), nullptr, 16) % 1024;
  auto second = std::stoul(digest.substr(4, 4), nullptr, 16) % 1023;
  if (second >= first) ++second;
  auto [low, high] = std::minmax(first, second);
  return fmt::format("{}:c{},c{}", label, low, high);
}

Status relabel_tree(BorrowedFd root, const std::string& label) {
  // The kernel wants the label with its NUL.
  const Xattr attribute{"security.selinux", label + '\0'};
  return walk_tree(root, [&](BorrowedFd directory, const char* name, const struct statx&) {
    return write_xattr(directory, name, attribute);
  });
}

}  // namespace holdfast
