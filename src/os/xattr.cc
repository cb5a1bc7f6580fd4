#include "os/xattr.h"

#include <sys/xattr.h>

#include <cerrno>

namespace holdfast {
namespace {

// The *xattr calls refuse O_PATH descriptors and know no "at": /proc gives both. With an entry's
// name at the end the l-variants stop at a symlink; without one they would stop at /proc's own, so
// there the link must be followed.
struct Place {
  std::string path;
  bool itself;

  Place(BorrowedFd file, const std::string& name)
      : path(name.empty() ? fmt::format("/proc/self/fd/{}", file.get())
                          : fmt::format("/proc/self/fd/{}/{}", file.get(), name)),
        itself(name.empty()) {}

  ssize_t list(char* buffer, std::size_t size) const {
    return itself ? ::listxattr(path.c_str(), buffer, size)
                  : ::llistxattr(path.c_str(), buffer, size);
  }
  ssize_t get(const char* name, char* buffer, std::size_t size) const {
    return itself ? ::getxattr(path.c_str(), name, buffer, size)
                  : ::lgetxattr(path.c_str(), name, buffer, size);
  }
};

bool means_none(int number) { return number == ENOTSUP || number == ENOSYS; }

// Lets `read` fill a string of the size it asks for; that size may change meanwhile.
template <typename Read>
ssize_t read_sized(std::string& text, Read read) {
  char small[1024];
  ssize_t size = read(small, sizeof small);
  if (size >= 0) text.assign(small, static_cast<std::size_t>(size));
  while (size < 0 && errno == ERANGE) {
    size = read(nullptr, 0);
    if (size < 0) break;
    text.resize(static_cast<std::size_t>(size) + 64);
    size = read(text.data(), text.size());
    if (size >= 0) text.resize(static_cast<std::size_t>(size));
  }
  return size;
}

}  // namespace

Result<std::optional<std::string>> read_xattr(BorrowedFd file, const std::string& name,
                                              const std::string& attribute) {
  Place place(file, name);
  std::string value;
  ssize_t size = read_sized(value, [&](char* buffer, std::size_t room) {
    return place.get(attribute.c_str(), buffer, room);
  });
  if (size >= 0) return value;
  if (errno == ENODATA || means_none(errno)) return std::nullopt;
  return fail_errno("read attribute \"{}\" of \"{}\"", attribute, name);
}

Result<std::vector<Xattr>> read_xattrs(BorrowedFd file, const std::string& name) {
  Place place(file, name);
  std::string names;
  ssize_t size =
      read_sized(names, [&](char* buffer, std::size_t room) { return place.list(buffer, room); });
  std::vector<Xattr> attributes;
  if (size < 0) {
    if (means_none(errno)) return attributes;
    return fail_errno("list attributes of \"{}\"", name);
  }
  for (std::size_t at = 0; at < names.size();) {
    std::string attribute = names.c_str() + at;
    at += attribute.size() + 1;
    ASSIGN_OR_RETURN(auto value, read_xattr(file, name, attribute));
    if (value) attributes.push_back({std::move(attribute), std::move(*value)});
  }
  return attributes;
}

Status write_xattr(BorrowedFd file, const std::string& name, const Xattr& attribute) {
  Place place(file, name);
  auto set = place.itself ? ::setxattr : ::lsetxattr;
  if (set(place.path.c_str(), attribute.name.c_str(), attribute.value.data(),
          attribute.value.size(), 0) != 0)
    return fail_errno("write attribute \"{}\" of \"{}\"", attribute.name, name);
  return {};
}

Status remove_xattr(BorrowedFd file, const std::string& name, const std::string& attribute) {
  Place place(file, name);
  auto remove = place.itself ? ::removexattr : ::lremovexattr;
  if (remove(place.path.c_str(), attribute.c_str()) == 0 || errno == ENODATA || means_none(errno))
    return {};
  return fail_errno("remove attribute \"{}\" of \"{}\"", attribute, name);
}

}  // namespace holdfast
