#include "runtime/seccomp_cache.h"

#include "base/base64.h"
#include "base/file.h"
#include "base/sha256.h"

namespace holdfast {
namespace {

constexpr const char* kAnnotation = "run.oci.seccomp_bpf_data";

// A filter hands system calls to a listener only if the runtime knows of it from the profile.
bool has_listener(const json::Value& profile) {
  return profile.is_object() && profile.get_object().contains("listenerPath");
}

}  // namespace

std::string SeccompCache::apply(json::Object& config) const {
  if (directory_.empty()) return "";
  auto* linux_object = config.if_contains("linux");
  if (!linux_object || !linux_object->is_object()) return "";
  auto& members = linux_object->get_object();
  const auto* profile = members.if_contains("seccomp");
  if (!profile || has_listener(*profile)) return "";
  std::string key = sha256_hex(salt_ + json::serialize(*profile));
  auto filter = read_file(path(key));
  if (!filter || filter->empty()) return key;
  members.erase("seccomp");  // first: a new member of `config` may move `members`
  auto& annotations = config["annotations"];
  if (!annotations.is_object()) annotations = json::Object();
  annotations.get_object()[kAnnotation] = *filter;
  return "";
}

void SeccompCache::keep(const std::string& key, const std::string& compiled) const {
  if (key.empty()) return;
  auto filter = read_file(compiled);
  // Whole instructions only (struct sock_filter).
  if (!filter || filter->empty() || filter->size() % 8 != 0) return;
  if (!make_directories(directory_, 0700)) return;
  (void)write_file_atomic(path(key), base64_encode(*filter), 0600, false);
}

}  // namespace holdfast
