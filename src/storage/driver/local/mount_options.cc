#include "storage/driver/local/mount_options.h"

#include <sys/mount.h>

#include <algorithm>
#include <array>

namespace holdfast {
namespace {

constexpr std::array<std::string_view, 4> kKnown = {"type", "o", "device", "size"};

struct Requirement {
  std::string_view option;
  std::string_view needs;
};
constexpr std::array kRequirements = {Requirement{"device", "type"}, Requirement{"type", "device"},
                                      Requirement{"o", "device"}, Requirement{"o", "type"}};

// What mount(8) calls them, what they set, and the bit Docker's messages show.
struct Flag {
  std::string_view name;
  std::optional<bool> MountAttributes::*attribute;
  bool value;
  unsigned long bit;
};
constexpr std::array kFlags = {
    Flag{"ro", &MountAttributes::read_only, true, MS_RDONLY},
    Flag{"rw", &MountAttributes::read_only, false, MS_RDONLY},
    Flag{"nosuid", &MountAttributes::no_suid, true, MS_NOSUID},
    Flag{"suid", &MountAttributes::no_suid, false, MS_NOSUID},
    Flag{"nodev", &MountAttributes::no_dev, true, MS_NODEV},
    Flag{"dev", &MountAttributes::no_dev, false, MS_NODEV},
    Flag{"noexec", &MountAttributes::no_exec, true, MS_NOEXEC},
    Flag{"exec", &MountAttributes::no_exec, false, MS_NOEXEC},
};

struct Shared {
  std::string_view name;
  Propagation propagation;
  unsigned long bit;
};
constexpr std::array kPropagations = {
    Shared{"private", Propagation::kPrivate, MS_PRIVATE},
    Shared{"rprivate", Propagation::kPrivate, MS_PRIVATE | MS_REC},
    Shared{"shared", Propagation::kShared, MS_SHARED},
    Shared{"rshared", Propagation::kShared, MS_SHARED | MS_REC},
    Shared{"slave", Propagation::kSlave, MS_SLAVE},
    Shared{"rslave", Propagation::kSlave, MS_SLAVE | MS_REC},
    Shared{"unbindable", Propagation::kUnbindable, MS_UNBINDABLE},
    Shared{"runbindable", Propagation::kUnbindable, MS_UNBINDABLE | MS_REC},
};

std::string value_or_empty(const std::map<std::string, std::string>& options,
                           const std::string& key) {
  auto found = options.find(key);
  return found == options.end() ? std::string() : found->second;
}

bool take_flag(LocalMount& mount, std::string_view word) {
  for (const auto& flag : kFlags) {
    if (flag.name != word) continue;
    mount.attributes.*flag.attribute = flag.value;
    mount.flags = flag.value ? mount.flags | flag.bit : mount.flags & ~flag.bit;
    return true;
  }
  for (const auto& shared : kPropagations) {
    if (shared.name != word) continue;
    mount.attributes.propagation = shared.propagation;
    mount.flags |= shared.bit;
    return true;
  }
  return false;
}

bool take_time_or_bind(LocalMount& mount, std::string_view word) {
  if (word == "noatime") {
    mount.attributes.access_time = AccessTime::kNone;
    mount.flags |= MS_NOATIME;
  } else if (word == "strictatime") {
    mount.attributes.access_time = AccessTime::kStrict;
    mount.flags |= MS_STRICTATIME;
  } else if (word == "relatime" || word == "atime") {
    mount.attributes.access_time = AccessTime::kRelative;
  } else if (word == "bind" || word == "rbind") {
    mount.bind = true;
    mount.recursive = word == "rbind";
    mount.flags |= MS_BIND;
    if (mount.recursive) mount.flags |= MS_REC;
  } else if (word == "loop") {
    mount.loop = true;
  } else {
    return word == "defaults";
  }
  return true;
}

void take_data(LocalMount& mount, std::string_view word) {
  auto equals = word.find('=');
  MountOption option;
  option.key = word.substr(0, equals);
  if (equals != std::string_view::npos) option.value = std::string(word.substr(equals + 1));
  mount.options.push_back(std::move(option));
  mount.data += mount.data.empty() ? "" : ",";
  mount.data += word;
}

Status take_word(LocalMount& mount, std::string_view word) {
  if (word.empty() || take_flag(mount, word) || take_time_or_bind(mount, word)) return {};
  if (word == "remount" || word == "move")
    return fail(Code::kInvalidArgument,
                "invalid mount option \"{}\": a volume's mount cannot change others", word);
  take_data(mount, word);
  return {};
}

}  // namespace

Status check_local_options(const std::map<std::string, std::string>& options) {
  for (const auto& [key, value] : options) {
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end())
      return fail(Code::kInvalidArgument, "invalid option: \"{}\"", key);
  }
  for (const auto& [option, needs] : kRequirements) {
    if (options.contains(std::string(option)) && !options.contains(std::string(needs)))
      return fail(Code::kInvalidArgument, "missing required option: \"{}\"", needs);
  }
  return {};
}

bool has_mount(const std::map<std::string, std::string>& options) {
  return !value_or_empty(options, "type").empty() || !value_or_empty(options, "device").empty();
}

Result<LocalMount> parse_local_mount(const std::map<std::string, std::string>& options) {
  LocalMount mount;
  mount.type = value_or_empty(options, "type");
  mount.device = value_or_empty(options, "device");
  std::string words = value_or_empty(options, "o");
  std::string_view rest = words;
  while (!rest.empty()) {
    auto comma = rest.find(',');
    RETURN_IF_ERROR(take_word(mount, rest.substr(0, comma)));
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  }
  if (mount.type == "bind") mount.bind = true;
  if (mount.bind) mount.flags |= MS_BIND;
  return mount;
}

}  // namespace holdfast
