#include "os/mount_census.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <set>

#include "base/file.h"
#include "os/mountinfo.h"
#include "os/safe_path.h"

namespace holdfast {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Result<std::vector<pid_t>> all_processes() {
  std::unique_ptr<DIR, CloseDirectory> proc(::opendir("/proc"));
  if (!proc) return fail_errno("open \"/proc\"");
  std::vector<pid_t> pids;
  while (const dirent* entry = ::readdir(proc.get())) {
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) != 0)
      pids.push_back(static_cast<pid_t>(std::atol(entry->d_name)));
  }
  return pids;
}

// "mnt:[4026531841]"; empty for a process that has ended, or whose namespace is not for us to see.
std::string namespace_of(pid_t pid) {
  char name[64];
  auto length = ::readlink(fmt::format("/proc/{}/ns/mnt", pid).c_str(), name, sizeof name);
  return {name, static_cast<std::size_t>(std::max<ssize_t>(length, 0))};
}

bool is_at_or_below(const std::string& path, const std::string& directory) {
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

// Where `directory` is in its file system, in the terms of a mount table.
Result<std::string> path_in_file_system(BorrowedFd directory, const MountEntry& mount) {
  ASSIGN_OR_RETURN(auto path, path_of(directory));
  std::string root = mount.root == "/" ? "" : mount.root;
  std::string target = mount.target == "/" ? "" : mount.target;
  if (!path.starts_with(target + "/") && path != target)
    return fail(Code::kConflict, "\"{}\" was moved away", path);
  return root + path.substr(target.size());
}

}  // namespace

Result<MountCensus> MountCensus::take() {
  ASSIGN_OR_RETURN(auto pids, all_processes());
  MountCensus census;
  std::set<std::string> seen;
  for (pid_t pid : pids) {
    auto name = namespace_of(pid);
    if (name.empty() || seen.contains(name)) continue;
    auto text = read_file(fmt::format("/proc/{}/mountinfo", pid));
    if (!text || text->empty()) continue;  // it has ended
    seen.insert(name);
    for (auto& mount : parse_mount_table(*text)) {
      if (mount.root != "/")
        census.binds_.push_back({std::move(mount.device), std::move(mount.root), pid});
    }
  }
  return census;
}

Result<std::optional<MountCensus::User>> MountCensus::user_of(BorrowedFd directory) const {
  ASSIGN_OR_RETURN(auto mount, mount_of(directory));
  ASSIGN_OR_RETURN(auto path, path_in_file_system(directory, mount));
  auto found = std::find_if(binds_.begin(), binds_.end(), [&](const Bind& bind) {
    return bind.device == mount.device && is_at_or_below(bind.root, path);
  });
  if (found == binds_.end()) return std::optional<User>();
  auto command = read_file(fmt::format("/proc/{}/comm", found->pid)).value_or("");
  while (command.ends_with('\n')) command.pop_back();
  return std::optional(User{found->pid, std::move(command)});
}

}  // namespace holdfast
