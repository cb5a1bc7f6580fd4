#include "client/run/mount_spec.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/size_text.h"
#include "client/flags.h"

namespace holdfast::client {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";

tl::unexpected<Error> invalid_value(std::string_view key, std::string_view value) {
  return fail(Code::kInvalidArgument, "invalid value for {}: {}", key, value);
}

// One key=value of a --mount being applied. Keys are case-insensitive.
struct MountField {
  std::string key;
  std::string value;
  bool has_value = false;
  std::string text;  // as written
};

Result<MountField> split_field(const std::string& text) {
  MountField field;
  field.text = text;
  auto equals = std::find(text.begin(), text.end(), '=');
  field.key.assign(text.begin(), equals);
  std::transform(field.key.begin(), field.key.end(), field.key.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  field.has_value = equals != text.end();
  if (field.has_value) field.value.assign(equals + 1, text.end());
  if (field.key.find_first_of(kSpaces) != std::string::npos && !field.key.empty() &&
      (kSpaces.find(field.key.front()) != std::string_view::npos ||
       kSpaces.find(field.key.back()) != std::string_view::npos))
    return fail(Code::kInvalidArgument,
                "invalid option '{}' in '{}': option should not have whitespace", field.key, text);
  if (!field.has_value) return field;
  auto first = field.value.find_first_not_of(kSpaces);
  if (first == std::string::npos && !field.key.empty())
    return fail(Code::kInvalidArgument, "invalid value for '{}': value is empty", field.key);
  auto last = field.value.find_last_not_of(kSpaces);
  if (first != 0 || last + 1 != field.value.size())
    return fail(Code::kInvalidArgument,
                "invalid value for '{}' in '{}': value should not have whitespace", field.key,
                text);
  return field;
}

Result<bool> parse_switch(const MountField& field) {
  if (!field.has_value || field.value == "1" || field.value == "true") return true;
  if (field.value == "0" || field.value == "false") return false;
  return fail(Code::kInvalidArgument,
              "invalid value for '{}': invalid boolean value (\"{}\"): must be one of \"true\", "
              "\"1\", \"false\", or \"0\" (default \"true\")",
              field.key, field.value);
}

json::Object& options_of(json::Object& mount, std::string_view name) {
  json::Value& options = mount[name];
  if (!options.is_object()) options.emplace_object();
  return options.get_object();
}

// "key=value" or "key" added to a map within the options.
void add_pair(json::Object& options, std::string_view map, const std::string& pair) {
  auto equals = std::find(pair.begin(), pair.end(), '=');
  std::string key(pair.begin(), equals);
  if (key.empty()) return;
  options_of(options, map)[key] =
      equals == pair.end() ? std::string() : std::string(equals + 1, pair.end());
}

Status apply_bind(const MountField& field, json::Object& mount) {
  json::Object& options = options_of(mount, "BindOptions");
  if (field.key == "bind-propagation") {
    options["Propagation"] = field.value;
  } else if (field.key == "bind-nonrecursive") {
    ASSIGN_OR_RETURN(options["NonRecursive"], parse_switch(field));
  } else if (field.key == "bind-create-src") {
    ASSIGN_OR_RETURN(options["CreateMountpoint"], parse_switch(field));
  } else if (field.value == "disabled") {  // bind-recursive from here on
    options["NonRecursive"] = true;
  } else if (field.value == "writable") {
    options["ReadOnlyNonRecursive"] = true;
  } else if (field.value == "readonly") {
    options["ReadOnlyForceRecursive"] = true;
  } else if (field.value != "enabled") {
    return fail(Code::kInvalidArgument,
                "invalid value for bind-recursive: {} (must be \"enabled\", \"disabled\", "
                "\"writable\", or \"readonly\")",
                field.value);
  }
  return {};
}

Status apply_volume(const MountField& field, json::Object& mount) {
  json::Object& options = options_of(mount, "VolumeOptions");
  if (field.key == "volume-subpath") {
    options["Subpath"] = field.value;
  } else if (field.key == "volume-label") {
    add_pair(options, "Labels", field.value);
  } else if (field.key == "volume-driver") {
    options_of(options, "DriverConfig")["Name"] = field.value;
  } else if (field.key == "volume-opt") {
    add_pair(options_of(options, "DriverConfig"), "Options", field.value);
  } else {
    ASSIGN_OR_RETURN(options["NoCopy"], parse_switch(field));
  }
  return {};
}

Status apply_tmpfs(const MountField& field, json::Object& mount) {
  json::Object& options = options_of(mount, "TmpfsOptions");
  if (field.key == "tmpfs-size") {
    auto size = parse_ram_size(field.value);
    if (!size) return invalid_value(field.key, field.value);
    options["SizeBytes"] = *size;
    return {};
  }
  std::uint32_t mode = 0;
  const char* end = field.value.data() + field.value.size();
  auto parsed = std::from_chars(field.value.data(), end, mode, 8);
  if (field.value.empty() || parsed.ec != std::errc() || parsed.ptr != end)
    return invalid_value(field.key, field.value);
  options["Mode"] = mode;
  return {};
}

// Keys beyond Docker's: Podman's, and the options of -v. They go into our own field Options as
// words.
enum class WordValue { kSwitch, kOptional, kRequired };
struct WordKey {
  std::string_view key;  // in lower case, as all keys are compared
  std::string_view word;
  WordValue value = WordValue::kSwitch;
};
constexpr WordKey kWordKeys[] = {
    {"u", "U"},
    {"chown", "chown"},
    {"idmap", "idmap", WordValue::kOptional},
    {"o", "O"},
    {"upperdir", "upperdir", WordValue::kRequired},
    {"workdir", "workdir", WordValue::kRequired},
    {"copy", "copy"},
    {"nocreate", "nocreate"},
    {"rro", "rro"},
    {"exec", "exec"},
    {"noexec", "noexec"},
    {"suid", "suid"},
    {"nosuid", "nosuid"},
    {"dev", "dev"},
    {"nodev", "nodev"},
    {"uid", "uid", WordValue::kRequired},
    {"gid", "gid", WordValue::kRequired},
    {"mode", "mode", WordValue::kRequired},
    {"max", "max", WordValue::kRequired},
};

const WordKey* word_key(std::string_view key) {
  auto found = std::find_if(std::begin(kWordKeys), std::end(kWordKeys),
                            [&](const WordKey& known) { return known.key == key; });
  return found == std::end(kWordKeys) ? nullptr : found;
}

void add_word(json::Object& mount, std::string word) {
  json::Value& options = mount["Options"];
  if (!options.is_array()) options.emplace_array();
  options.get_array().push_back(json::Value(std::move(word)));
}

Status apply_word(const WordKey& key, const MountField& field, json::Object& mount) {
  std::string word(key.word);
  if (key.value == WordValue::kSwitch) {
    ASSIGN_OR_RETURN(bool wanted, parse_switch(field));
    if (wanted) add_word(mount, std::move(word));
    return {};
  }
  add_word(mount, field.has_value ? word + "=" + field.value : word);
  return {};
}

Status apply_relabel(const MountField& field, json::Object& mount) {
  if (field.value != "shared" && field.value != "private")
    return fail(Code::kInvalidArgument,
                "invalid value for relabel: {} (must be \"shared\" or \"private\")", field.value);
  add_word(mount, field.value == "shared" ? "z" : "Z");
  return {};
}

Status apply(const MountField& field, json::Object& mount) {
  const std::string& key = field.key;
  const WordKey* word = word_key(key);
  bool is_switch = key == "readonly" || key == "ro" || key == "volume-nocopy" ||
                   key == "bind-nonrecursive" || key == "bind-create-src" ||
                   (word && word->value != WordValue::kRequired);
  if (!field.has_value && !is_switch)
    return fail(Code::kInvalidArgument, "invalid field '{}' must be a key=value pair", field.text);
  if (key == "type") {
    std::string type = field.value;
    std::transform(type.begin(), type.end(), type.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    mount["Type"] = type;
  } else if (key == "source" || key == "src") {
    mount["Source"] = absolute_if_dotted(field.value);
  } else if (key == "target" || key == "dst" || key == "destination") {
    mount["Target"] = field.value;
  } else if (key == "readonly" || key == "ro") {
    ASSIGN_OR_RETURN(mount["ReadOnly"], parse_switch(field));
  } else if (key == "consistency") {
    mount["Consistency"] = field.value;
  } else if (key == "bind-propagation" || key == "bind-nonrecursive" || key == "bind-recursive" ||
             key == "bind-create-src") {
    return apply_bind(field, mount);
  } else if (key == "volume-subpath" || key == "volume-nocopy" || key == "volume-label" ||
             key == "volume-driver" || key == "volume-opt") {
    return apply_volume(field, mount);
  } else if (key == "image-subpath") {
    options_of(mount, "ImageOptions")["Subpath"] = field.value;
  } else if (key == "tmpfs-size" || key == "tmpfs-mode") {
    return apply_tmpfs(field, mount);
  } else if (key == "relabel") {
    return apply_relabel(field, mount);
  } else if (word) {
    return apply_word(*word, field, mount);
  } else {
    return fail(Code::kInvalidArgument, "unexpected key '{}' in '{}'", key, field.text);
  }
  return {};
}

Status check_mix(const json::Object& mount) {
  std::string type = json::string_or(mount, "Type");
  struct Group {
    std::string_view member, type;
  };
  for (auto [member, owner] : {Group{"VolumeOptions", "volume"}, Group{"ImageOptions", "image"},
                               Group{"BindOptions", "bind"}, Group{"TmpfsOptions", "tmpfs"}}) {
    bool fits = type == owner || (owner == "bind" && type == "glob");
    if (json::find(mount, member) && !fits)
      return fail(Code::kInvalidArgument, "cannot mix '{}-*' options with mount type '{}'", owner,
                  type);
  }
  const json::Object& bind = json::object_or_empty(mount, "BindOptions");
  bool writable = json::bool_or(bind, "ReadOnlyNonRecursive");
  bool forced = json::bool_or(bind, "ReadOnlyForceRecursive");
  if ((writable || forced) && !json::bool_or(mount, "ReadOnly"))
    return fail(Code::kInvalidArgument,
                "option 'bind-recursive={}' requires 'readonly' to be specified in conjunction",
                writable ? "writable" : "readonly");
  if (forced && json::string_or(bind, "Propagation") != "rprivate")
    return fail(Code::kInvalidArgument,
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be "
                "specified in conjunction");
  return {};
}

}  // namespace

std::string absolute_if_dotted(std::string_view path) {
  if (!path.starts_with('.')) return std::string(path);
  std::error_code error;
  auto absolute = std::filesystem::absolute(path, error).lexically_normal().string();
  if (error) return std::string(path);
  if (absolute.size() > 1 && absolute.ends_with('/')) absolute.pop_back();
  return absolute;
}

Result<json::Object> parse_mount_spec(std::string_view text) {
  if (text.find_first_not_of(kSpaces) == std::string_view::npos)
    return fail(Code::kInvalidArgument, "value is empty");
  ASSIGN_OR_RETURN(auto fields, split_csv(text));
  json::Object mount{{"Type", "volume"}};
  for (const auto& each : fields) {
    ASSIGN_OR_RETURN(auto field, split_field(each));
    RETURN_IF_ERROR(apply(field, mount));
  }
  if (json::string_or(mount, "Type").empty())
    return fail(Code::kInvalidArgument, "type is required");
  bool free_target = json::string_or(mount, "Type") == "glob";
  if (json::string_or(mount, "Target").empty() && !free_target)
    return fail(Code::kInvalidArgument, "target is required");
  RETURN_IF_ERROR(check_mix(mount));
  return mount;
}

Result<VolumeSpec> parse_volume_spec(std::string_view text) {
  if (text.empty()) return fail(Code::kInvalidArgument, "invalid empty volume spec");
  if (text.size() <= 2) return VolumeSpec{true, std::string(text)};
  int sections = 0;
  for (std::string_view rest = text;;) {
    auto colon = rest.find(':');
    if (colon == 0 || rest.empty())
      return fail(Code::kInvalidArgument, "invalid spec: {}: empty section between colons", text);
    ++sections;
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  if (sections > 3) return fail(Code::kInvalidArgument, "invalid spec: {}: too many colons", text);
  if (sections == 1) return VolumeSpec{true, std::string(text)};
  auto colon = text.find(':');
  return VolumeSpec{false,
                    absolute_if_dotted(text.substr(0, colon)) + std::string(text.substr(colon))};
}

}  // namespace holdfast::client
