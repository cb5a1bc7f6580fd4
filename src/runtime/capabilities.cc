#include <sys/capability.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "runtime/oci_spec.h"

namespace holdfast {
namespace {

// Docker's default set.
constexpr std::array<std::string_view, 14> kDefaultCapabilities = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
    "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
    "CAP_KILL",    "CAP_AUDIT_WRITE"};

std::string upper_case(std::string text) {
  for (char& letter : text) {
    letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  }
  return text;
}

// Every capability that the running kernel has, by number; with `held`, only those in this
// process's bounding set: no child of ours can have another.
std::vector<std::string> all_capabilities(bool held) {
  std::vector<std::string> names;
  for (int number = 0; number < cap_max_bits(); ++number) {
    if (held && cap_get_bound(static_cast<cap_value_t>(number)) != 1) continue;
    char* name = cap_to_name(static_cast<cap_value_t>(number));
    if (!name) continue;
    // A kernel newer than libcap has capabilities that libcap can only number.
    if (std::isalpha(static_cast<unsigned char>(name[0]))) names.push_back(upper_case(name));
    cap_free(name);
  }
  return names;
}

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// Names as the kernel headers spell them; "ALL" stays.
Result<std::vector<std::string>> normalize(const std::vector<std::string>& names,
                                           const std::vector<std::string>& known,
                                           std::string_view field) {
  std::vector<std::string> result;
  for (const auto& given : names) {
    std::string name = upper_case(given);
    if (name != "ALL" && !name.starts_with("CAP_")) name = "CAP_" + name;
    if (name != "ALL" && !contains(known, name)) {
      return fail(Code::kInvalidArgument, "invalid {}: unknown capability: \"{}\"", field, name);
    }
    result.push_back(std::move(name));
  }
  return result;
}

}  // namespace

Result<std::vector<std::string>> effective_capabilities(const std::vector<std::string>& add,
                                                        const std::vector<std::string>& drop,
                                                        bool privileged) {
  auto known = all_capabilities(false);
  auto held = all_capabilities(true);
  ASSIGN_OR_RETURN(auto added, normalize(add, known, "CapAdd"));
  ASSIGN_OR_RETURN(auto dropped, normalize(drop, known, "CapDrop"));
  if (privileged) return held;
  bool add_all = contains(added, "ALL");
  bool drop_all = contains(dropped, "ALL");
  std::vector<std::string> result;
  for (const auto& name : held) {
    bool by_default = std::find(kDefaultCapabilities.begin(), kDefaultCapabilities.end(), name) !=
                      kDefaultCapabilities.end();
    bool wanted =
        add_all ? !contains(dropped, name)
                : contains(added, name) || (by_default && !drop_all && !contains(dropped, name));
    if (wanted) result.push_back(name);
  }
  return result;
}

}  // namespace holdfast
