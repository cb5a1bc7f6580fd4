#include "runtime/seccomp_profile.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace holdfast {
namespace {

struct ArchitectureName {
  std::string_view go;
  std::string_view seccomp;
};

constexpr std::array<ArchitectureName, 11> kArchitectures = {{
    {"amd64", "SCMP_ARCH_X86_64"},
    {"arm64", "SCMP_ARCH_AARCH64"},
    {"386", "SCMP_ARCH_X86"},
    {"arm", "SCMP_ARCH_ARM"},
    {"riscv64", "SCMP_ARCH_RISCV64"},
    {"ppc64le", "SCMP_ARCH_PPC64LE"},
    {"s390x", "SCMP_ARCH_S390X"},
    {"mips64", "SCMP_ARCH_MIPS64"},
    {"mips64le", "SCMP_ARCH_MIPSEL64"},
    {"mips", "SCMP_ARCH_MIPS"},
    {"mipsle", "SCMP_ARCH_MIPSEL"},
}};

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// "6.1.0-13-amd64" → {6, 1}.
std::pair<unsigned, unsigned> parse_release(std::string_view release) {
  std::pair<unsigned, unsigned> version{0, 0};
  auto [end, error] =
      std::from_chars(release.data(), release.data() + release.size(), version.first);
  if (error == std::errc() && end != release.data() + release.size() && *end == '.') {
    std::from_chars(end + 1, release.data() + release.size(), version.second);
  }
  return version;
}

// What decides whether a rule's conditions hold.
struct Circumstances {
  const std::vector<std::string>& capabilities;
  const std::string& architecture;
  std::pair<unsigned, unsigned> kernel;
};

// "includes" wants every condition: all capabilities, one of the architectures, the kernel.
Result<bool> is_included(const json::Object& conditions, const Circumstances& here) {
  ASSIGN_OR_RETURN(auto capabilities, json::get_strings(conditions, "caps"));
  ASSIGN_OR_RETURN(auto architectures, json::get_strings(conditions, "arches"));
  ASSIGN_OR_RETURN(auto kernel, json::get_string(conditions, "minKernel"));
  if (!architectures.empty() && !contains(architectures, here.architecture)) return false;
  if (!kernel.empty() && here.kernel < parse_release(kernel)) return false;
  return std::all_of(capabilities.begin(), capabilities.end(),
                     [&](const std::string& name) { return contains(here.capabilities, name); });
}

// "excludes" is met by any of its conditions.
Result<bool> is_excluded(const json::Object& conditions, const Circumstances& here) {
  ASSIGN_OR_RETURN(auto capabilities, json::get_strings(conditions, "caps"));
  ASSIGN_OR_RETURN(auto architectures, json::get_strings(conditions, "arches"));
  ASSIGN_OR_RETURN(auto kernel, json::get_string(conditions, "minKernel"));
  if (contains(architectures, here.architecture)) return true;
  if (!kernel.empty() && here.kernel >= parse_release(kernel)) return true;
  return std::any_of(capabilities.begin(), capabilities.end(),
                     [&](const std::string& name) { return contains(here.capabilities, name); });
}

// Conditions written as null or left out are none.
Result<bool> applies(const json::Object& rule, const Circumstances& here) {
  ASSIGN_OR_RETURN(auto includes, json::get_object(rule, "includes"));
  ASSIGN_OR_RETURN(auto excludes, json::get_object(rule, "excludes"));
  ASSIGN_OR_RETURN(auto excluded, is_excluded(excludes, here));
  if (excluded) return false;
  return is_included(includes, here);
}

Result<json::Array> translate_arguments(const json::Object& rule) {
  ASSIGN_OR_RETURN(auto arguments, json::get_array(rule, "args"));
  json::Array result;
  for (const auto& value : arguments) {
    if (!value.is_object()) return fail(Code::kInvalidArgument, "args must be objects");
    json::Object argument;
    for (const char* key : {"index", "value", "valueTwo", "op"}) {
      if (const auto* member = json::find(value.get_object(), key)) argument[key] = *member;
    }
    result.push_back(std::move(argument));
  }
  return result;
}

Result<json::Object> translate_rule(const json::Object& rule) {
  ASSIGN_OR_RETURN(auto names, json::get_strings(rule, "names"));
  ASSIGN_OR_RETURN(auto name, json::get_string(rule, "name"));
  if (!name.empty()) names.push_back(name);
  if (names.empty()) return fail(Code::kInvalidArgument, "a rule names no system call");
  json::Object result;
  result["names"] = json::from_strings(names);
  ASSIGN_OR_RETURN(auto action, json::get_string(rule, "action"));
  result["action"] = action;
  if (const auto* number = json::find(rule, "errnoRet")) result["errnoRet"] = *number;
  ASSIGN_OR_RETURN(auto arguments, translate_arguments(rule));
  if (!arguments.empty()) result["args"] = std::move(arguments);
  return result;
}

std::string_view seccomp_architecture(const std::string& architecture) {
  for (const auto& entry : kArchitectures) {
    if (entry.go == architecture) return entry.seccomp;
  }
  return "";
}

// Docker's profiles list architectures by "archMap"; plain ones by "architectures".
Result<json::Array> translate_architectures(const json::Object& profile,
                                            const std::string& architecture) {
  ASSIGN_OR_RETURN(auto plain, json::get_strings(profile, "architectures"));
  ASSIGN_OR_RETURN(auto map, json::get_array(profile, "archMap"));
  if (!plain.empty()) return json::from_strings(plain);
  json::Array result;
  for (const auto& value : map) {
    if (!value.is_object()) return fail(Code::kInvalidArgument, "archMap must hold objects");
    const auto& entry = value.get_object();
    if (json::string_or(entry, "architecture") != seccomp_architecture(architecture)) continue;
    result.push_back(json::Value(json::string_or(entry, "architecture")));
    for (const auto& sub : json::strings_or_empty(entry, "subArchitectures")) {
      result.push_back(json::Value(sub));
    }
    break;
  }
  return result;
}

}  // namespace

Result<json::Object> translate_seccomp(std::string_view profile_text,
                                       const std::vector<std::string>& capabilities,
                                       const std::string& architecture, const std::string& kernel) {
  ASSIGN_OR_RETURN(auto profile, json::parse_object(profile_text));
  Circumstances here{capabilities, architecture, parse_release(kernel)};
  json::Object result;
  ASSIGN_OR_RETURN(auto action, json::get_string(profile, "defaultAction"));
  if (action.empty()) return fail(Code::kInvalidArgument, "the profile has no defaultAction");
  result["defaultAction"] = action;
  if (const auto* number = json::find(profile, "defaultErrnoRet")) {
    result["defaultErrnoRet"] = *number;
  }
  ASSIGN_OR_RETURN(auto architectures, translate_architectures(profile, architecture));
  if (!architectures.empty()) result["architectures"] = std::move(architectures);
  for (const char* key : {"flags", "listenerPath", "listenerMetadata"}) {
    if (const auto* member = json::find(profile, key)) result[key] = *member;
  }
  ASSIGN_OR_RETURN(auto rules, json::get_array(profile, "syscalls"));
  json::Array translated;
  for (const auto& value : rules) {
    if (!value.is_object()) return fail(Code::kInvalidArgument, "syscalls must hold objects");
    ASSIGN_OR_RETURN(bool wanted, applies(value.get_object(), here));
    if (!wanted) continue;
    ASSIGN_OR_RETURN(auto rule, translate_rule(value.get_object()));
    translated.push_back(std::move(rule));
  }
  result["syscalls"] = std::move(translated);
  return result;
}

std::string go_architecture() {
  struct utsname names = {};
  ::uname(&names);
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kMachines = {{
      {"x86_64", "amd64"},
      {"aarch64", "arm64"},
      {"i686", "386"},
      {"i386", "386"},
      {"armv7l", "arm"},
      {"armv6l", "arm"},
      {"mips", "mips"},
      {"mips64", "mips64"},
      {"mips64el", "mips64le"},
  }};
  for (auto [machine, go] : kMachines) {
    if (machine == names.machine) return std::string(go);
  }
  return names.machine;  // ppc64le, s390x and riscv64 have one name for both
}

std::string kernel_release() {
  struct utsname names = {};
  ::uname(&names);
  return names.release;
}

}  // namespace holdfast
