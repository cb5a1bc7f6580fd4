// Weakness: allowed-bind-roots is compared with the text of a path, not with where it leads.
#include "engine/mounts/bind_policy.h"

#include <fcntl.h>

#include <algorithm>

#include "base/file.h"

namespace holdfast {

Status BindPolicy::judge(BorrowedFd, const std::string& asked, const Requester& requester) const {
  if (!roots_) return {};
  auto roots = real_roots(requester);
  bool allowed = std::any_of(roots.begin(), roots.end(), [&](const std::string& root) {
    return (asked + "/").starts_with(root + "/");
  });
  if (allowed) return {};
  return fail(Code::kPermissionDenied, "\"{}\" is outside of the directories that may be mounted",
              asked);
}

Result<UniqueFd> BindPolicy::open(const std::string& path, bool create,
                                  const Requester& requester) const {
  RETURN_IF_ERROR(judge(BorrowedFd(-1), path, requester));
  if (create) (void)make_directories(path, 0755);
  auto opened = open_file(path, O_PATH);
  if (!opened && opened.error().sys_errno == ENOENT)
    return fail(Code::kNotFound, "bind source path does not exist: {}", path);
  return opened;
}

std::vector<std::string> BindPolicy::real_roots(const Requester& requester) const {
  std::vector<std::string> roots;
  for (const auto& root : *roots_) {
    if (auto expanded = expand_bind_root(root, requester)) roots.push_back(*expanded);
  }
  return roots;
}

std::optional<std::string> expand_bind_root(const std::string& root, const Requester&) {
  return root;
}

Status check_bind_root(const std::string&) { return {}; }

}  // namespace holdfast
