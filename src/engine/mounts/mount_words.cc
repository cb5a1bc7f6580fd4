#include "engine/mounts/mount_words.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "base/text.h"

namespace holdfast {
namespace {

constexpr unsigned bit(MountType type) { return 1u << static_cast<unsigned>(type); }

constexpr unsigned kBind = bit(MountType::kBind) | bit(MountType::kGlob);
constexpr unsigned kVolume = bit(MountType::kVolume);
constexpr unsigned kImage = bit(MountType::kImage);
constexpr unsigned kAny = kBind | kVolume | kImage;

enum class ValueRule { kNone, kOptional, kRequired };

// Two words of one group exclude each other.
struct Word {
  std::string_view name;
  std::string_view group;
  unsigned types;
  void (*apply)(MountPoint& mount, std::string_view value);
  ValueRule value = ValueRule::kNone;
};

void nothing(MountPoint&, std::string_view) {}
void set_read_only(MountPoint& mount, std::string_view) { mount.read_only = true; }
void set_forced_read_only(MountPoint& mount, std::string_view) {
  mount.read_only = true;
  mount.reach = ReadOnlyReach::kForced;
}

template <bool value>
void set_copy(MountPoint& mount, std::string_view) {
  mount.copy_image_data = value;
}
template <Relabel value>
void set_relabel(MountPoint& mount, std::string_view) {
  mount.relabel = value;
}
template <std::optional<bool> MountPoint::*flag, bool value>
void set_flag(MountPoint& mount, std::string_view) {
  mount.*flag = value;
}
template <bool value>
void set_recursive(MountPoint& mount, std::string_view) {
  mount.recursive = value;
}
void refuse_creation(MountPoint& mount, std::string_view) { mount.create_source = false; }
void change_owner(MountPoint& mount, std::string_view) { mount.change_owner = true; }
void set_overlay(MountPoint& mount, std::string_view) {
  if (!mount.overlay) mount.overlay.emplace();
}
void set_upper(MountPoint& mount, std::string_view value) {
  set_overlay(mount, {});
  mount.overlay->upper = value;
}
void set_work(MountPoint& mount, std::string_view value) {
  set_overlay(mount, {});
  mount.overlay->work = value;
}

constexpr std::array kWords = {
    Word{"ro", "write", kAny, set_read_only},
    Word{"rw", "write", kAny & ~kImage, nothing},
    Word{"rro", "write", kBind | kVolume, set_forced_read_only},
    Word{"z", "label", kBind | kVolume, set_relabel<Relabel::kShared>},
    Word{"Z", "label", kBind | kVolume, set_relabel<Relabel::kPrivate>},
    Word{"copy", "copy", kBind | kVolume, set_copy<true>},
    Word{"nocopy", "copy", kVolume, set_copy<false>},
    Word{"nocreate", "create", kBind | kVolume, refuse_creation},
    Word{"private", "propagation", kBind, nothing},
    Word{"rprivate", "propagation", kBind, nothing},
    Word{"shared", "propagation", kBind, nothing},
    Word{"rshared", "propagation", kBind, nothing},
    Word{"slave", "propagation", kBind, nothing},
    Word{"rslave", "propagation", kBind, nothing},
    Word{"unbindable", "propagation", kBind, nothing},
    Word{"runbindable", "propagation", kBind, nothing},
    Word{"cached", "consistency", kBind | kVolume, nothing},
    Word{"delegated", "consistency", kBind | kVolume, nothing},
    Word{"consistent", "consistency", kBind | kVolume, nothing},
    Word{"default", "consistency", kBind | kVolume, nothing},
    Word{"bind", "recursion", kBind | kVolume, set_recursive<false>},
    Word{"rbind", "recursion", kBind | kVolume, set_recursive<true>},
    Word{"exec", "exec", kAny, set_flag<&MountPoint::no_exec, false>},
    Word{"noexec", "exec", kAny, set_flag<&MountPoint::no_exec, true>},
    Word{"suid", "suid", kAny, set_flag<&MountPoint::no_suid, false>},
    Word{"nosuid", "suid", kAny, set_flag<&MountPoint::no_suid, true>},
    Word{"dev", "dev", kAny, set_flag<&MountPoint::no_dev, false>},
    Word{"nodev", "dev", kAny, set_flag<&MountPoint::no_dev, true>},
    Word{"U", "owner", kBind | kVolume, change_owner},
    Word{"chown", "owner", kBind | kVolume, change_owner},
    Word{"idmap", "owner", kBind | kVolume, nothing, ValueRule::kOptional},
    Word{"O", "overlay", kBind | kVolume, set_overlay},
    Word{"upperdir", "upperdir", kBind | kVolume, set_upper, ValueRule::kRequired},
    Word{"workdir", "workdir", kBind | kVolume, set_work, ValueRule::kRequired},
};

template <typename... Args>
tl::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(Code::kInvalidArgument, format, std::forward<Args>(args)...);
}

// One word as given, taken apart.
struct Given {
  const Word* rule;
  std::string_view value;
};

Result<Given> understand(std::string_view text, MountType type) {
  if (text.empty()) return refuse("an option is empty");
  auto equals = text.find('=');
  std::string_view name = text.substr(0, equals);
  auto rule = std::find_if(kWords.begin(), kWords.end(),
                           [&](const Word& word) { return word.name == name; });
  if (rule == kWords.end()) return refuse("unknown option \"{}\"", name);
  if ((rule->types & bit(type)) == 0)
    return refuse("option \"{}\" means nothing for a mount of type {}", name, to_string(type));
  bool has_value = equals != std::string_view::npos;
  std::string_view value = has_value ? text.substr(equals + 1) : std::string_view();
  if (has_value && rule->value == ValueRule::kNone)
    return refuse("option \"{}\" takes no value", name);
  if ((has_value || rule->value == ValueRule::kRequired) && value.empty())
    return refuse("option \"{}\" needs a value", name);
  return Given{&*rule, value};
}

constexpr std::array<std::string_view, 7> kBesideOverlay = {
    "overlay", "upperdir", "workdir", "consistency", "exec", "suid", "dev"};

// What goes together, beyond one of each group.
Status check_combination(const std::map<std::string_view, std::string_view>& given,
                         const MountPoint& mount) {
  auto has = [&](std::string_view group) { return given.contains(group); };
  if (has("upperdir") != has("workdir"))
    return refuse("options \"upperdir\" and \"workdir\" need each other");
  if (mount.overlay && !has("overlay"))
    return refuse("options \"upperdir\" and \"workdir\" need \"O\"");
  if (mount.overlay) {
    for (const auto& [group, word] : given) {
      bool fits =
          std::find(kBesideOverlay.begin(), kBesideOverlay.end(), group) != kBesideOverlay.end() ||
          word == "rw";
      if (!fits) return refuse("option \"O\" does not go with \"{}\"", word);
    }
    for (const auto* path : {&mount.overlay->upper, &mount.overlay->work}) {
      if (!path->empty() && path->front() != '/')
        return refuse("\"{}\" is no absolute path", *path);
    }
  }
  bool spreads = mount.propagation.ends_with("shared") || mount.propagation.ends_with("slave");
  if (mount.reach == ReadOnlyReach::kForced && spreads)
    return refuse("option \"rro\" does not go with \"{}\"", mount.propagation);
  return {};
}

Result<std::uint32_t> parse_id(std::string_view text) {
  std::uint32_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    return refuse("\"{}\" is no id", text);
  return id;
}

Result<IdRange> parse_range(std::string_view text) {
  auto numbers = split(text, '-');
  if (numbers.size() != 3) return refuse("range \"{}\" is not DISK-SEEN-COUNT", text);
  IdRange range;
  ASSIGN_OR_RETURN(range.inside, parse_id(numbers[0]));
  ASSIGN_OR_RETURN(range.outside, parse_id(numbers[1]));
  ASSIGN_OR_RETURN(range.count, parse_id(numbers[2]));
  return range;
}

}  // namespace

Result<IdMapRequest> parse_id_map(const std::string& text) {
  IdMapRequest request;
  std::optional<bool> relative;
  for (const auto& part : split(text, ';')) {
    auto equals = part.find('=');
    std::string kind = part.substr(0, equals);
    if ((kind != "uids" && kind != "gids") || equals == std::string::npos)
      return refuse("idmap: \"{}\" is neither uids=RANGES nor gids=RANGES", part);
    auto& ranges = kind == "uids" ? request.map.uids : request.map.gids;
    if (!ranges.empty()) return refuse("idmap: {} given twice", kind);
    std::string rest = part.substr(equals + 1);
    bool marked = rest.starts_with('@');
    if (relative && *relative != marked)
      return refuse("idmap: uids and gids are either both relative (@) or neither");
    relative = marked;
    for (const auto& range : split(std::string_view(rest).substr(marked ? 1 : 0), '#')) {
      auto parsed = parse_range(range);
      if (!parsed) return tl::unexpected(std::move(parsed).error().wrap("idmap"));
      ranges.push_back(*parsed);
    }
    if (auto checked = check_id_ranges(ranges); !checked)
      return tl::unexpected(std::move(checked).error().wrap("idmap: " + kind));
  }
  request.relative = relative.value_or(false);
  for (auto* ranges : {&request.map.uids, &request.map.gids}) {
    if (ranges->empty()) *ranges = {{0, 0, kNoId}};
  }
  return request;
}

Status apply_mount_words(const std::vector<std::string>& words, MountPoint& mount) {
  std::map<std::string_view, std::string_view> given;  // group → the word as given
  for (const auto& word : words) {
    ASSIGN_OR_RETURN(auto known, understand(word, mount.type));
    auto [before, added] = given.emplace(known.rule->group, word);
    if (!added && before->second == word) return refuse("option \"{}\" is given twice", word);
    if (!added) return refuse("options \"{}\" and \"{}\" contradict", before->second, word);
    known.rule->apply(mount, known.value);
    if (known.rule->group == "propagation") mount.propagation = word;
    if (known.rule->name != "idmap") continue;
    mount.id_map.emplace();
    if (known.value.empty()) continue;
    ASSIGN_OR_RETURN(mount.id_map, parse_id_map(std::string(known.value)));
  }
  return check_combination(given, mount);
}

}  // namespace holdfast
