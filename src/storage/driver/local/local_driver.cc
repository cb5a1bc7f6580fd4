#include "storage/driver/local/local_driver.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "os/inode_flags.h"
#include "os/mountinfo.h"
#include "storage/driver/local/mount_options.h"

namespace holdfast {
namespace {

// Names of the options in which the two differ.
std::vector<std::string> changed_options(const VolumeOptions& from, const VolumeOptions& to) {
  std::vector<std::string> changed;
  for (const auto& [key, value] : to) {
    auto before = from.find(key);
    if (before == from.end() || before->second != value) changed.push_back(key);
  }
  for (const auto& [key, value] : from) {
    if (!to.contains(key)) changed.push_back(key);
  }
  return changed;
}

}  // namespace

Status LocalDriver::check(const Volume& volume, const HostPathJudge& judge) {
  RETURN_IF_ERROR(check_local_options(volume.options));
  return has_mount(volume.options) ? foreign_.check(volume, judge) : Status{};
}

Status LocalDriver::create(const Volume& volume, BorrowedFd directory) {
  if (is_sized(volume)) return sized_.create(volume, directory);
  if (::mkdirat(directory.get(), layout::kData, 0755) != 0) {
    if (errno == EEXIST) return {};  // a power cut left it, and it may have been used since
    return fail_errno("mkdir \"_data\"");
  }
  // The umask is not the client's business.
  if (::fchmodat(directory.get(), layout::kData, 0755, 0) != 0)
    return fail_errno("chmod \"_data\"");
  return is_directory(volume) ? Status{} : set_immutable(directory, layout::kData, true);
}

Status LocalDriver::remove(const Volume& volume, BorrowedFd directory) {
  return unmount_all(volume, directory);
}

Result<UniqueFd> LocalDriver::mount(const Volume& volume, BorrowedFd directory, const HolderId&,
                                    const HostPathJudge& judge) {
  if (is_sized(volume)) return sized_.mount(volume, directory);
  if (has_mount(volume.options))
    return foreign_.mount(volume, directory, directories_.mountpoint(volume.name), judge);
  return open_file_at(directory, layout::kData, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

Status LocalDriver::unmount(const Volume& volume, BorrowedFd directory, const HolderId&,
                            bool last) {
  return last ? unmount_all(volume, directory) : Status{};
}

Status LocalDriver::unmount_all(const Volume& volume, BorrowedFd directory) {
  if (is_sized(volume)) return sized_.unmount(volume, directory);
  if (!has_mount(volume.options)) return {};
  return foreign_.unmount(volume, directory, directories_.mountpoint(volume.name));
}

Status LocalDriver::update(const Volume& from, const Volume& to, BorrowedFd directory,
                           bool mounted) {
  for (const auto& option : changed_options(from.options, to.options)) {
    if (option == "size") continue;
    if (option != "o")
      return fail(Code::kInvalidArgument,
                  "option \"{}\" of a volume cannot be changed: make another volume", option);
    if (mounted)
      return fail(Code::kConflict, "option \"{}\" cannot be changed while the volume is mounted",
                  option);
  }
  RETURN_IF_ERROR(check(to, {}));  // its paths are judged by now, and again when it is mounted
  if (is_sized(from) && !is_sized(to))
    return fail(Code::kInvalidArgument,
                "option \"size\" cannot be taken away from a volume: give a larger one");
  if (is_sized(to)) return sized_.resize(to, directory, mounted);
  // What a daemon that was killed left mounted still has the former options.
  return mounted ? Status{} : unmount_all(to, directory);
}

json::Object LocalDriver::status(const Volume& volume, BorrowedFd directory) {
  if (is_sized(volume)) return sized_.status(volume, directory);
  if (is_directory(volume)) return {};
  auto mounted = mount_on(directory, layout::kData);
  if (!mounted || !*mounted) return {{"Mounted", false}};
  return {{"Mounted", true},
          {"FileSystem", (*mounted)->type},
          {"Source", (*mounted)->source},
          {"MountOptions", (*mounted)->options + "," + (*mounted)->super_options}};
}

VolumeDriver::Use LocalDriver::use(const Volume& volume, BorrowedFd directory) {
  if (is_directory(volume)) return {Measure::kByFiles};
  auto bytes = is_sized(volume) ? sized_.used(volume, directory) : foreign_.used(volume, directory);
  if (!bytes) return {Measure::kUnknown};
  return {Measure::kKnown, *bytes};
}

bool LocalDriver::is_sized(const Volume& volume) {
  return size_limit(volume.options).value_or(0) > 0;
}

bool LocalDriver::is_directory(const Volume& volume) const {
  return !has_mount(volume.options) && !is_sized(volume);
}

std::string LocalDriver::mountpoint(const Volume& volume, BorrowedFd) const {
  return directories_.mountpoint(volume.name);
}

Result<VolumeSight> LocalDriver::look(const Volume& volume) {
  VolumeSight sight;
  sight.mountpoint = directories_.mountpoint(volume.name);
  return sight;
}

}  // namespace holdfast
