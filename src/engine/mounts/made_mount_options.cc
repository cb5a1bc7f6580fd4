#include "engine/mounts/made_mount_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include "base/size_text.h"
#include "base/text.h"

namespace holdfast {
namespace {

// Flags of mount(8); of one group the last counts.
struct Flag {
  std::string_view name;
  std::string_view group;
};
constexpr std::array kFlags = {
    Flag{"ro", "write"},
    Flag{"rw", "write"},
    Flag{"suid", "suid"},
    Flag{"nosuid", "suid"},
    Flag{"dev", "dev"},
    Flag{"nodev", "dev"},
    Flag{"exec", "exec"},
    Flag{"noexec", "exec"},
    Flag{"sync", "sync"},
    Flag{"async", "sync"},
    Flag{"dirsync", "dirsync"},
    Flag{"mand", "mand"},
    Flag{"nomand", "mand"},
    Flag{"atime", "atime"},
    Flag{"noatime", "atime"},
    Flag{"relatime", "relatime"},
    Flag{"norelatime", "relatime"},
    Flag{"strictatime", "strictatime"},
    Flag{"nostrictatime", "strictatime"},
    Flag{"diratime", "diratime"},
    Flag{"nodiratime", "diratime"},
    Flag{"private", "propagation"},
    Flag{"rprivate", "propagation"},
    Flag{"shared", "propagation"},
    Flag{"rshared", "propagation"},
    Flag{"slave", "propagation"},
    Flag{"rslave", "propagation"},
    Flag{"unbindable", "propagation"},
    Flag{"runbindable", "propagation"},
    Flag{"defaults", "defaults"},
};

// What a value may be; nullopt: it isn't. The result is the value as the kernel takes it.
using ValueCheck = std::optional<std::string> (*)(std::string_view value);

template <typename Number>
std::optional<Number> number_of(std::string_view text, int base) {
  Number number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::string> as_id(std::string_view value) {
  auto id = number_of<std::uint32_t>(value, 10);
  if (!id || *id == 0xffffffff) return std::nullopt;
  return std::string(value);
}

std::optional<std::string> as_mode(std::string_view value) {
  auto mode = number_of<std::uint32_t>(value, 8);
  if (!mode || *mode > 07777) return std::nullopt;
  return std::string(value);
}

std::optional<std::string> as_count(std::string_view value) {
  auto bytes = parse_ram_size(value);
  return bytes ? std::optional(std::to_string(*bytes)) : std::nullopt;
}

std::optional<std::string> as_size(std::string_view value) {
  if (!value.ends_with('%')) return as_count(value);
  auto share = number_of<std::uint32_t>(value.substr(0, value.size() - 1), 10);
  return share && *share <= 100 ? std::optional(std::string(value)) : std::nullopt;
}

std::optional<std::string> as_number(std::string_view value) {
  auto number = number_of<std::uint32_t>(value, 10);
  return number ? std::optional(std::string(value)) : std::nullopt;
}

std::optional<std::string> as_huge(std::string_view value) {
  constexpr std::array<std::string_view, 4> kPolicies = {"never", "always", "within_size",
                                                         "advise"};
  bool known = std::find(kPolicies.begin(), kPolicies.end(), value) != kPolicies.end();
  return known ? std::optional(std::string(value)) : std::nullopt;
}

// A memory policy as Documentation/filesystems/tmpfs.rst has it: a name, flags, nodes.
std::optional<std::string> as_policy(std::string_view value) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789=:-";
  bool known = !value.empty() && value.find_first_not_of(kLetters) == std::string_view::npos;
  return known ? std::optional(std::string(value)) : std::nullopt;
}

struct Key {
  std::string_view name;
  ValueCheck check;  // null: a flag of this file system alone
};
constexpr std::array kTmpfsKeys = {
    Key{"size", as_size},    Key{"mode", as_mode},       Key{"uid", as_id},
    Key{"gid", as_id},       Key{"nr_inodes", as_count}, Key{"nr_blocks", as_count},
    Key{"mpol", as_policy},  Key{"huge", as_huge},       Key{"inode32", nullptr},
    Key{"inode64", nullptr}, Key{"noswap", nullptr},     Key{"tmpcopyup", nullptr},
};
constexpr std::array kRamfsKeys = {Key{"mode", as_mode}};
constexpr std::array kDevptsKeys = {Key{"mode", as_mode}, Key{"uid", as_id}, Key{"gid", as_id},
                                    Key{"max", as_number}, Key{"ptmxmode", as_mode}};

// Docker's words, which quote the option as Go prints a list.
tl::unexpected<Error> invalid_option(std::string_view type, std::string_view option) {
  auto equals = option.find('=');
  if (equals == std::string_view::npos)
    return fail(Code::kInvalidArgument, "invalid {} option [\"{}\"]", type, option);
  return fail(Code::kInvalidArgument, "invalid {} option [\"{}\" \"{}\"]", type,
              option.substr(0, equals), option.substr(equals + 1));
}

// An option ready to be mounted with, and what it takes the place of.
struct Checked {
  std::string group;
  std::string text;
};

template <std::size_t N>
Result<Checked> check_option(std::string_view type, const std::array<Key, N>& keys,
                             const std::string& option) {
  for (const auto& flag : kFlags) {
    if (flag.name == option) return Checked{std::string(flag.group), option};
  }
  auto equals = option.find('=');
  std::string name = option.substr(0, equals);
  auto key =
      std::find_if(keys.begin(), keys.end(), [&](const Key& one) { return one.name == name; });
  bool has_value = equals != std::string::npos;
  if (key == keys.end() || has_value != (key->check != nullptr))
    return invalid_option(type, option);
  if (!has_value) return Checked{name, option};
  auto value = key->check(std::string_view(option).substr(equals + 1));
  if (!value) return invalid_option(type, option);
  return Checked{name, name + "=" + *value};
}

template <std::size_t N>
Result<std::vector<std::string>> check_all(std::string_view type, const std::array<Key, N>& keys,
                                           const std::vector<std::string>& options) {
  std::vector<Checked> checked;
  for (const auto& option : options) {
    ASSIGN_OR_RETURN(auto one, check_option(type, keys, option));
    std::erase_if(checked, [&](const Checked& other) { return other.group == one.group; });
    if (one.group != "defaults") checked.push_back(std::move(one));
  }
  std::vector<std::string> result;
  for (auto& one : checked) result.push_back(std::move(one.text));
  return result;
}

}  // namespace

Result<std::vector<std::string>> check_tmpfs_options(const std::vector<std::string>& options) {
  return check_all("tmpfs", kTmpfsKeys, options);
}

Result<std::vector<std::string>> parse_tmpfs_options(const std::string& text) {
  if (text.empty()) return std::vector<std::string>();
  return check_tmpfs_options(split(text, ','));
}

Result<std::vector<std::string>> check_ramfs_options(const std::vector<std::string>& options) {
  return check_all("ramfs", kRamfsKeys, options);
}

Result<std::vector<std::string>> check_devpts_options(const std::vector<std::string>& options) {
  return check_all("devpts", kDevptsKeys, options);
}

}  // namespace holdfast
