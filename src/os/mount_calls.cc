#include "os/mount_calls.h"

namespace holdfast {
namespace {

// Since 5.10, unknown to glibc 2.36.
constexpr std::uint64_t kNoSymlinkFollow = 0x00200000;

void apply(mount_attr& attr, const std::optional<bool>& wanted, std::uint64_t bit) {
  if (wanted) (*wanted ? attr.attr_set : attr.attr_clr) |= bit;
}

}  // namespace

mount_attr to_kernel(const MountAttributes& attributes) {
  mount_attr attr = {};
  apply(attr, attributes.read_only, MOUNT_ATTR_RDONLY);
  apply(attr, attributes.no_suid, MOUNT_ATTR_NOSUID);
  apply(attr, attributes.no_dev, MOUNT_ATTR_NODEV);
  apply(attr, attributes.no_exec, MOUNT_ATTR_NOEXEC);
  apply(attr, attributes.no_symlink_follow, kNoSymlinkFollow);
  if (attributes.access_time) {
    // The three are one field: the kernel wants all of it cleared before one is set.
    attr.attr_clr |= MOUNT_ATTR__ATIME;
    if (*attributes.access_time == AccessTime::kNone) attr.attr_set |= MOUNT_ATTR_NOATIME;
    if (*attributes.access_time == AccessTime::kStrict) attr.attr_set |= MOUNT_ATTR_STRICTATIME;
  }
  if (attributes.propagation) {
    constexpr std::uint64_t kFlags[] = {MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE};
    attr.propagation = kFlags[static_cast<int>(*attributes.propagation)];
  }
  if (attributes.id_map_namespace.valid()) {
    attr.attr_set |= MOUNT_ATTR_IDMAP;
    attr.userns_fd = static_cast<std::uint64_t>(attributes.id_map_namespace.get());
  }
  return attr;
}

unsigned to_fsmount(const MountAttributes& attributes) {
  auto attr = to_kernel(attributes);
  constexpr std::uint64_t kAccepted = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                      MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME |
                                      MOUNT_ATTR_STRICTATIME | kNoSymlinkFollow;
  return static_cast<unsigned>(attr.attr_set & kAccepted);
}

int configure(BorrowedFd context, const MountOption& option) {
  const char* key = option.key.c_str();
  if (option.file.valid())
    return ::fsconfig(context.get(), FSCONFIG_SET_FD, key, nullptr, option.file.get());
  if (option.value)
    return ::fsconfig(context.get(), FSCONFIG_SET_STRING, key, option.value->c_str(), 0);
  return ::fsconfig(context.get(), FSCONFIG_SET_FLAG, key, nullptr, 0);
}

std::vector<MountOption> all_options(const std::string& source,
                                     const std::vector<MountOption>& options,
                                     const MountAttributes& attributes) {
  std::vector<MountOption> all;
  if (!source.empty()) all.push_back({"source", source, BorrowedFd(-1)});
  if (attributes.read_only.value_or(false)) all.push_back({"ro", std::nullopt, BorrowedFd(-1)});
  all.insert(all.end(), options.begin(), options.end());
  return all;
}

std::string option_failure(const std::string& type, const MountOption& option) {
  return fmt::format("mount {}: option \"{}{}{}\"", type, option.key, option.value ? "=" : "",
                     option.value.value_or(""));
}

}  // namespace holdfast
