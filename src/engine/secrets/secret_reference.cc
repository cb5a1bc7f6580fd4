#include "engine/secrets/secret_reference.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>

namespace holdfast {
namespace {

constexpr std::size_t kPathLimit = 4095;      // PATH_MAX without its NUL
constexpr std::size_t kComponentLimit = 255;  // NAME_MAX
// chown(2) takes the last one for "leave it".
constexpr std::int64_t kHighestId = std::numeric_limits<std::uint32_t>::max() - 1;

bool lies_below(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) &&
         (directory == "/" || path[directory.size()] == '/');
}

std::size_t longest_component(std::string_view path) {
  std::size_t longest = 0;
  while (!path.empty()) {
    auto end = std::min(path.find('/'), path.size());
    longest = std::max(longest, end);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return longest;
}

tl::unexpected<Error> invalid(std::string_view what, const std::string& value,
                              const std::string& secret, std::string_view why) {
  return fail(Code::kInvalidArgument, "invalid {} \"{}\" of secret {}: {}", what, value, secret,
              why);
}

Result<std::string> resolve_target(const std::string& given, const std::string& name) {
  auto refuse = [&](std::string_view why) { return invalid("target", given, name, why); };
  if (given.find('\0') != std::string::npos) return refuse("it holds a NUL");
  if (given.empty()) return fmt::format("{}/{}", kSecretsDirectory, name);
  std::string clean;
  if (given.front() == '/') {
    clean = clean_path(given);
  } else {
    clean = clean_path(fmt::format("{}/{}", kSecretsDirectory, given));
    if (!lies_below(clean, kSecretsDirectory))
      return refuse(fmt::format("it does not lie below {}", kSecretsDirectory));
  }
  if (given.ends_with('/') || clean == "/" || clean == kSecretsDirectory)
    return refuse("it is a directory, not a file");
  for (const char* place : {"/proc", "/sys", "/dev"}) {
    if (clean == place || lies_below(clean, place))
      return refuse(fmt::format("{} belongs to the kernel", place));
  }
  if (clean.size() > kPathLimit || longest_component(clean) > kComponentLimit)
    return refuse("it is too long");
  return clean;
}

// A number, or its digits in a string as Docker's API has user ids.
Result<std::int64_t> number_of(const json::Object& object, const char* key, std::int64_t fallback,
                               std::int64_t highest, const std::string& secret) {
  const auto* value = json::find(object, key);
  if (!value) return fallback;
  std::string text =
      value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
  if (text.empty()) return fallback;
  std::int64_t number = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0 || number > highest)
    return invalid(key, text, secret, fmt::format("give a number from 0 to {}", highest));
  return number;
}

Result<SecretReference> parse_one(const json::Object& object, const Secrets& secrets) {
  ASSIGN_OR_RETURN(auto source, json::get_string(object, "Source"));
  if (source.empty()) return fail(Code::kInvalidArgument, "HostConfig.Secrets: source is required");
  ASSIGN_OR_RETURN(auto secret, secrets.find(source));
  SecretReference reference;
  reference.id = secret->id;
  reference.name = secret->name;
  ASSIGN_OR_RETURN(auto target, json::get_string(object, "Target"));
  ASSIGN_OR_RETURN(reference.target, resolve_target(target, secret->name));
  ASSIGN_OR_RETURN(auto uid, number_of(object, "UID", 0, kHighestId, secret->name));
  ASSIGN_OR_RETURN(auto gid, number_of(object, "GID", 0, kHighestId, secret->name));
  ASSIGN_OR_RETURN(auto mode, number_of(object, "Mode", 0444, 0777, secret->name));
  reference.uid = static_cast<std::uint32_t>(uid);
  reference.gid = static_cast<std::uint32_t>(gid);
  reference.mode = static_cast<std::uint32_t>(mode);
  return reference;
}

Status check_against_mount(const SecretReference& reference, const MountPoint& mount) {
  std::string place = reference.in_directory() ? kSecretsDirectory : reference.target;
  if (mount.target == reference.target || mount.target == place)
    return fail(Code::kInvalidArgument, "Duplicate mount point: {}", mount.target);
  if (lies_below(mount.target, place)) {
    return fail(Code::kInvalidArgument,
                "invalid mount target \"{}\": it lies below {}, where secret {} is mounted",
                mount.target, place, reference.name);
  }
  return {};
}

}  // namespace

bool SecretReference::in_directory() const { return lies_below(target, kSecretsDirectory); }

Result<std::vector<SecretReference>> parse_secret_references(const json::Array& array,
                                                             const Secrets& secrets) {
  std::vector<SecretReference> references;
  for (const auto& entry : array) {
    if (!entry.is_object())
      return fail(Code::kInvalidArgument, "HostConfig.Secrets: an entry is no object");
    ASSIGN_OR_RETURN(auto reference, parse_one(entry.get_object(), secrets));
    references.push_back(std::move(reference));
  }
  return references;
}

Status check_secret_targets(const std::vector<SecretReference>& references,
                            const std::vector<MountPoint>& mounts) {
  std::set<std::string> targets;
  for (const auto& reference : references) {
    if (!targets.insert(reference.target).second)
      return fail(Code::kInvalidArgument, "Duplicate mount point: {}", reference.target);
    for (const auto& mount : mounts) RETURN_IF_ERROR(check_against_mount(reference, mount));
  }
  for (const auto& reference : references) {
    for (auto slash = reference.target.rfind('/'); slash > 0;
         slash = reference.target.rfind('/', slash - 1)) {
      std::string above = reference.target.substr(0, slash);
      if (!targets.contains(above)) continue;
      return invalid("target", reference.target, reference.name,
                     fmt::format("{} is another secret's file", above));
    }
  }
  return {};
}

json::Array to_json(const std::vector<SecretReference>& references) {
  json::Array array;
  for (const auto& reference : references) {
    array.push_back(json::Object{{"Source", reference.id.str()},
                                 {"Name", reference.name},
                                 {"Target", reference.target},
                                 {"UID", std::to_string(reference.uid)},
                                 {"GID", std::to_string(reference.gid)},
                                 {"Mode", reference.mode}});
  }
  return array;
}

std::vector<SecretReference> secret_references_from(const json::Object& host_config) {
  std::vector<SecretReference> references;
  for (const auto& entry : json::array_or_empty(host_config, "Secrets")) {
    if (!entry.is_object()) continue;
    const auto& object = entry.get_object();
    auto number = [&](const char* key) {
      return static_cast<std::uint32_t>(
          std::strtoul(json::string_or(object, key, "0").c_str(), nullptr, 10));
    };
    references.push_back({SecretId(json::string_or(object, "Source")),
                          json::string_or(object, "Name"), json::string_or(object, "Target"),
                          number("UID"), number("GID"),
                          static_cast<std::uint32_t>(json::int_or(object, "Mode", 0444))});
  }
  return references;
}

}  // namespace holdfast
