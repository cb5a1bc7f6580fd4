#include "storage/driver/local/host_paths.h"

#include <fcntl.h>

#include <cerrno>

#include "os/mount_in_child.h"
#include "storage/driver/local/option_rules.h"

namespace holdfast {
namespace {

Status judge_path(const std::string& path, const HostPathJudge& judge,
                  std::chrono::milliseconds deadline) {
  auto opened = open_in_child(path, O_PATH, deadline);
  if (opened) return judge_opened(judge, opened->fd, path);
  if (opened.error().sys_errno == ENOENT || opened.error().sys_errno == ENOTDIR) return {};
  return tl::unexpected(std::move(opened).error());
}

// Types of which it is known what they take for a device: a path that the engine opens itself, or
// nothing of this host.
Status check_type(const LocalMount& mount, const FileSystemRules* rules) {
  if (rules && (rules->elsewhere || !rules->by_helper)) return {};
  return fail(Code::kPermissionDenied,
              "type \"{}\" is not possible where the directories that may be mounted are limited: "
              "which of them it would show can't be told",
              mount.type);
}

}  // namespace

std::vector<std::string> split_paths(const std::string& paths) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (paths[i] == ':') {
      parts.emplace_back();
      continue;
    }
    if (paths[i] == '\\' && i + 1 < paths.size()) ++i;
    parts.back() += paths[i];
  }
  return parts;
}

Status judge_host_paths(const LocalMount& mount, const HostPathJudge& judge,
                        std::chrono::milliseconds deadline) {
  if (!judge) return {};
  const auto* rules = mount.bind ? nullptr : find_rules(mount.type);
  if (!mount.bind) RETURN_IF_ERROR(check_type(mount, rules));
  if (mount.bind || !rules->elsewhere) {
    // Any other name would be looked up in whichever directory the daemon has.
    if (!mount.device.starts_with('/'))
      return fail(Code::kPermissionDenied, "option \"device\": \"{}\" is no absolute path",
                  mount.device);
    RETURN_IF_ERROR(judge_path(mount.device, judge, deadline));
  }
  for (const auto& option : mount.options) {
    if (!option.value || !takes_paths(mount.type, option.key)) continue;
    for (const auto& path : split_paths(*option.value))
      RETURN_IF_ERROR(judge_path(path, judge, deadline));
  }
  return {};
}

Status judge_opened(const HostPathJudge& judge, BorrowedFd opened, const std::string& asked) {
  return judge ? judge(opened, asked) : Status{};
}

}  // namespace holdfast
