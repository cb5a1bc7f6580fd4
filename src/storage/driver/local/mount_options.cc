#include "storage/driver/local/mount_options.h"

#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/size_text.h"
#include "storage/driver/local/option_rules.h"

namespace holdfast {
namespace {

constexpr std::array<std::string_view, 4> kKnown = {"type", "o", "device", "size"};

struct Requirement {
  std::string_view option;
  std::string_view needs;
};
constexpr std::array kRequirements = {Requirement{"device", "type"}, Requirement{"type", "device"},
                                      Requirement{"o", "device"}, Requirement{"o", "type"}};

constexpr std::size_t kMaxType = 64;
constexpr std::size_t kMaxPath = 4095;
constexpr std::size_t kMaxSource = 255;  // fsconfig(2)
constexpr std::size_t kMaxWords = 4095;

// What mount(8) calls them, what they set, and the bit Docker's messages show. Of one `group` only
// one can be.
struct Flag {
  std::string_view name;
  std::string_view group;
  void (*set)(LocalMount&);
  unsigned long bit;
};

template <std::optional<bool> MountAttributes::*attribute, bool value>
void set_attribute(LocalMount& mount) {
  mount.attributes.*attribute = value;
}
template <AccessTime time>
void set_time(LocalMount& mount) {
  mount.attributes.access_time = time;
}
template <Propagation propagation>
void set_propagation(LocalMount& mount) {
  mount.attributes.propagation = propagation;
}
template <bool recursive>
void set_bind(LocalMount& mount) {
  mount.bind = true;
  mount.recursive = recursive;
}

constexpr std::array kFlags = {
    Flag{"ro", "rw", set_attribute<&MountAttributes::read_only, true>, MS_RDONLY},
    Flag{"rw", "rw", set_attribute<&MountAttributes::read_only, false>, 0},
    Flag{"nosuid", "suid", set_attribute<&MountAttributes::no_suid, true>, MS_NOSUID},
    Flag{"suid", "suid", set_attribute<&MountAttributes::no_suid, false>, 0},
    Flag{"nodev", "dev", set_attribute<&MountAttributes::no_dev, true>, MS_NODEV},
    Flag{"dev", "dev", set_attribute<&MountAttributes::no_dev, false>, 0},
    Flag{"noexec", "exec", set_attribute<&MountAttributes::no_exec, true>, MS_NOEXEC},
    Flag{"exec", "exec", set_attribute<&MountAttributes::no_exec, false>, 0},
    Flag{"nosymfollow", "symfollow", set_attribute<&MountAttributes::no_symlink_follow, true>, 256},
    Flag{"noatime", "atime", set_time<AccessTime::kNone>, MS_NOATIME},
    Flag{"strictatime", "atime", set_time<AccessTime::kStrict>, MS_STRICTATIME},
    Flag{"relatime", "atime", set_time<AccessTime::kRelative>, MS_RELATIME},
    Flag{"atime", "atime", set_time<AccessTime::kRelative>, 0},
    Flag{"private", "propagation", set_propagation<Propagation::kPrivate>, MS_PRIVATE},
    Flag{"rprivate", "propagation", set_propagation<Propagation::kPrivate>, MS_PRIVATE | MS_REC},
    Flag{"shared", "propagation", set_propagation<Propagation::kShared>, MS_SHARED},
    Flag{"rshared", "propagation", set_propagation<Propagation::kShared>, MS_SHARED | MS_REC},
    Flag{"slave", "propagation", set_propagation<Propagation::kSlave>, MS_SLAVE},
    Flag{"rslave", "propagation", set_propagation<Propagation::kSlave>, MS_SLAVE | MS_REC},
    Flag{"unbindable", "propagation", set_propagation<Propagation::kUnbindable>, MS_UNBINDABLE},
    Flag{"runbindable", "propagation", set_propagation<Propagation::kUnbindable>,
         MS_UNBINDABLE | MS_REC},
    Flag{"bind", "bind", set_bind<false>, MS_BIND},
    Flag{"rbind", "bind", set_bind<true>, MS_BIND | MS_REC},
    Flag{"loop", "loop", [](LocalMount& mount) { mount.loop = true; }, 0},
};

// Words of mount(8) that say when to mount, and nothing to the kernel.
constexpr std::array<std::string_view, 5> kIgnored = {"defaults", "auto", "noauto", "nofail",
                                                      "_netdev"};

// Names that mean the opposite of each other without a "no" to tell.
struct Opposites {
  std::string_view one;
  std::string_view other;
};
constexpr std::array kOpposites = {Opposites{"sync", "async"},  Opposites{"hard", "soft"},
                                   Opposites{"tcp", "udp"},     Opposites{"fg", "bg"},
                                   Opposites{"silent", "loud"}, Opposites{"inode32", "inode64"},
                                   Opposites{"sigv2", "sigv4"}};

std::string value_or_empty(const VolumeOptions& options, const std::string& key) {
  auto found = options.find(key);
  return found == options.end() ? std::string() : found->second;
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

template <typename... Args>
tl::unexpected<Error> invalid(fmt::format_string<Args...> format, Args&&... args) {
  return fail(Code::kInvalidArgument, format, std::forward<Args>(args)...);
}

std::vector<std::string_view> split(std::string_view words) {
  std::vector<std::string_view> parts;
  while (true) {
    auto comma = words.find(',');
    parts.push_back(words.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    words.remove_prefix(comma + 1);
  }
}

MountOption to_option(std::string_view word) {
  auto equals = word.find('=');
  MountOption option;
  option.key = word.substr(0, equals);
  if (equals != std::string_view::npos) option.value = std::string(word.substr(equals + 1));
  return option;
}

const Flag* find_flag(std::string_view name) {
  auto found = std::find_if(kFlags.begin(), kFlags.end(),
                            [&](const Flag& flag) { return flag.name == name; });
  return found == kFlags.end() ? nullptr : &*found;
}

bool is_ignored(std::string_view name) {
  return std::find(kIgnored.begin(), kIgnored.end(), name) != kIgnored.end();
}

// Reads the words of `o` one after the other, minding what came before.
class WordReader {
 public:
  explicit WordReader(LocalMount& mount) : mount_(mount) {}

  Status read(std::string_view words) {
    if (words.size() > kMaxWords) return invalid("option \"o\" is longer than {} bytes", kMaxWords);
    if (has_control_character(words)) return invalid("option \"o\" has a control character in it");
    // Whether it is a bind decides what the other words may be.
    auto parts = split(words);
    for (auto word : parts) {
      if (const auto* flag = find_flag(word); flag && flag->group == "bind") flag->set(mount_);
    }
    for (auto word : parts) RETURN_IF_ERROR(take(word));
    return {};
  }

 private:
  Status take(std::string_view word) {
    if (word.empty()) return invalid("option \"o\" has an empty mount option in it");
    auto option = to_option(word);
    if (option.key == "remount" || option.key == "move")
      return invalid("invalid mount option \"{}\": a volume's mount cannot change others",
                     option.key);
    RETURN_IF_ERROR(check_first(option.key));
    if (const auto* flag = find_flag(option.key)) return take_flag(*flag, option);
    if (mount_.bind && !is_ignored(option.key))
      return invalid("invalid mount option \"{}\": a bind has no file system options", option.key);
    RETURN_IF_ERROR(check_option(mount_.type, option.key, option.value));
    if (!is_ignored(option.key)) add(std::move(option));
    return {};
  }

  // Neither it nor its opposite was there before.
  Status check_first(const std::string& key) {
    if (!keys_.insert(key).second) return invalid("mount option \"{}\" is given twice", key);
    if (keys_.contains("no" + key)) return contradiction(key, "no" + key);
    if (key.starts_with("no") && keys_.contains(key.substr(2)))
      return contradiction(key, key.substr(2));
    for (auto [one, other] : kOpposites) {
      if (key == one && keys_.contains(std::string(other))) return contradiction(key, other);
      if (key == other && keys_.contains(std::string(one))) return contradiction(key, one);
    }
    return {};
  }

  Status take_flag(const Flag& flag, const MountOption& option) {
    if (option.value) return invalid("mount option \"{}\" takes no value", option.key);
    auto [before, first] = groups_.emplace(flag.group, flag.name);
    if (!first) return contradiction(flag.name, before->second);
    flag.set(mount_);
    mount_.flags |= flag.bit;
    return {};
  }

  static tl::unexpected<Error> contradiction(std::string_view one, std::string_view other) {
    return invalid("mount options \"{}\" and \"{}\" contradict each other", other, one);
  }

  void add(MountOption option) {
    mount_.data += mount_.data.empty() ? option.key : "," + option.key;
    if (option.value)
      mount_.data += "=" + (is_secret_option(option.key) ? std::string("********") : *option.value);
    mount_.options.push_back(std::move(option));
  }

  LocalMount& mount_;
  std::set<std::string> keys_;
  std::map<std::string_view, std::string_view> groups_;
};

bool has_option(const LocalMount& mount, std::string_view key) {
  return std::any_of(mount.options.begin(), mount.options.end(),
                     [&](const MountOption& option) { return option.key == key; });
}

// The type becomes part of a program's name.
Status check_type(const LocalMount& mount) {
  if (mount.type.empty() && !mount.bind) return invalid("option \"type\" is empty");
  if (mount.type.size() > kMaxType)
    return invalid("option \"type\" is longer than {} bytes", kMaxType);
  bool plain = std::all_of(mount.type.begin(), mount.type.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
  if (!plain || mount.type.starts_with('.') || mount.type.starts_with('-'))
    return invalid("option \"type\": \"{}\" is no file system type", mount.type);
  if (!mount.bind && mount.type == "none")
    return invalid("type \"none\" needs the mount option bind or rbind: --opt o=bind");
  if (mount.type == "fuse" || mount.type == "fuseblk" || mount.type == "fuse.")
    return invalid("type \"{}\" needs the name of a program: fuse.sshfs, for example", mount.type);
  return {};
}

bool needs_no_device(const LocalMount& mount) {
  return !mount.bind && (mount.type == "tmpfs" || mount.type == "ramfs" || mount.type == "overlay");
}

Status check_device(const LocalMount& mount) {
  const auto& device = mount.device;
  if (device.empty() && !needs_no_device(mount)) return invalid("option \"device\" is empty");
  std::size_t limit = mount.bind ? kMaxPath : kMaxSource;
  if (device.size() > limit) return invalid("option \"device\" is longer than {} bytes", limit);
  if (has_control_character(device))
    return invalid("option \"device\" has a control character in it");
  if (device.starts_with('-'))
    return invalid("option \"device\": \"{}\" must not begin with \"-\"", device);
  if (mount.bind && !device.starts_with('/'))
    return invalid("option \"device\": \"{}\" is no absolute path, which a bind needs", device);
  return {};
}

Status check_overlay(const LocalMount& mount) {
  if (mount.type != "overlay" || mount.bind) return {};
  if (!has_option(mount, "lowerdir")) return invalid("an overlay needs the mount option lowerdir");
  if (has_option(mount, "upperdir") != has_option(mount, "workdir"))
    return invalid("an overlay's mount options upperdir and workdir need each other");
  return {};
}

Status check_size(const VolumeOptions& options) {
  if (!options.contains("size")) return {};
  RETURN_IF_ERROR(size_limit(options).map([](std::uint64_t) {}));
  if (!has_mount(options)) return {};
  if (value_or_empty(options, "type") == "tmpfs")
    return invalid("the size of a tmpfs is a mount option: --opt o=size={}",
                   value_or_empty(options, "size"));
  return invalid(
      "option \"size\" limits a volume in the data root, and does not go with \"type\" and "
      "\"device\"");
}

}  // namespace

Status check_local_options(const VolumeOptions& options) {
  for (const auto& [key, value] : options) {
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end())
      return invalid("invalid option: \"{}\"", key);
  }
  for (const auto& [option, needs] : kRequirements) {
    if (options.contains(std::string(option)) && !options.contains(std::string(needs)))
      return invalid("missing required option: \"{}\"", needs);
  }
  if (!has_mount(options) && !value_or_empty(options, "o").empty())
    return invalid("options \"type\" and \"device\" are empty");
  return check_size(options);
}

bool has_mount(const VolumeOptions& options) {
  return !value_or_empty(options, "type").empty() || !value_or_empty(options, "device").empty();
}

Result<std::uint64_t> size_limit(const VolumeOptions& options) {
  auto found = options.find("size");
  if (found == options.end()) return 0;
  ASSIGN_OR_RETURN(auto size, parse_ram_size(found->second));
  return static_cast<std::uint64_t>(size);
}

Result<LocalMount> parse_local_mount(const VolumeOptions& options) {
  LocalMount mount;
  mount.type = value_or_empty(options, "type");
  mount.device = value_or_empty(options, "device");
  if (mount.type == "bind") mount.bind = true;
  if (auto words = value_or_empty(options, "o"); !words.empty())
    RETURN_IF_ERROR(WordReader(mount).read(words));
  if (mount.bind) mount.flags |= MS_BIND;
  RETURN_IF_ERROR(check_type(mount));
  RETURN_IF_ERROR(check_device(mount));
  RETURN_IF_ERROR(check_overlay(mount));
  return mount;
}

Result<std::string> helper_options(const VolumeOptions& options) {
  std::string kept;
  std::string words = value_or_empty(options, "o");
  if (!is_safe_for_helper(value_or_empty(options, "device")))
    return invalid("option \"device\" has a character in it that a mount program may misread");
  if (words.empty()) return kept;
  for (auto word : split(words)) {
    auto key = to_option(word).key;
    const auto* flag = find_flag(key);
    // Propagation is the mount's own, and set afterwards.
    if (is_ignored(key) || (flag && flag->group == "propagation") || key == "loop") continue;
    if (!is_safe_for_helper(word))
      return invalid("mount option \"{}\" has a character in it that a mount program may misread",
                     key);
    kept += kept.empty() ? "" : ",";
    kept += word;
  }
  return kept;
}

}  // namespace holdfast
