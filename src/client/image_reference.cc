#include "client/image_reference.h"

#include <algorithm>
#include <cctype>

namespace holdfast::client {
namespace {

bool is_alnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

// The registry part is told from a first path component by a dot, a colon or the word localhost.
std::string_view registry_part(std::string_view name) {
  auto slash = name.find('/');
  if (slash == std::string_view::npos) return {};
  auto first = name.substr(0, slash);
  bool registry =
      first.find_first_of(".:") != std::string_view::npos || first == "localhost" ||
      std::any_of(first.begin(), first.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  return registry ? first : std::string_view();
}

bool valid_path(std::string_view path) {
  if (path.empty() || path.ends_with('/') || path.find("//") != std::string_view::npos)
    return false;
  for (std::size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    bool separator = c == '.' || c == '_' || c == '-' || c == '/';
    if (!separator && !is_alnum(c)) return false;
    bool edge = i == 0 || i + 1 == path.size() || path[i - 1] == '/' || path[i + 1] == '/';
    if (separator && c != '/' && edge) return false;
  }
  return true;
}

bool valid_tag(std::string_view tag) {
  if (tag.empty() || tag.size() > 128 || tag[0] == '.' || tag[0] == '-') return false;
  return std::all_of(tag.begin(), tag.end(),
                     [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool valid_digest(std::string_view digest) {
  auto colon = digest.find(':');
  if (colon == std::string_view::npos || colon == 0 || digest.size() - colon - 1 < 32) return false;
  return digest.find_first_not_of("0123456789abcdef", colon + 1) == std::string_view::npos;
}

}  // namespace

Result<ImageReference> parse_image_reference(std::string_view text) {
  auto invalid = [] { return fail(Code::kInvalidArgument, "invalid reference format"); };
  ImageReference reference;
  auto at = text.find('@');
  if (at != std::string_view::npos) {
    reference.digest = text.substr(at + 1);
    if (!valid_digest(reference.digest)) return invalid();
    text = text.substr(0, at);
  }
  auto colon = text.rfind(':');
  if (colon != std::string_view::npos && text.find('/', colon) == std::string_view::npos) {
    reference.tag = text.substr(colon + 1);
    if (!valid_tag(reference.tag)) return invalid();
    text = text.substr(0, colon);
  }
  reference.name = text;
  auto registry = registry_part(text);
  auto path = registry.empty() ? text : text.substr(registry.size() + 1);
  if (!valid_path(path) || text.size() > 255) return invalid();
  if (std::any_of(path.begin(), path.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) {
    return fail(Code::kInvalidArgument,
                "invalid reference format: repository name ({}) must be lowercase",
                registry.empty() && path.find('/') == std::string_view::npos
                    ? fmt::format("library/{}", path)
                    : std::string(path));
  }
  for (std::string_view prefix : {"docker.io/", "index.docker.io/"})
    if (reference.name.starts_with(prefix)) reference.name.erase(0, prefix.size());
  if (!registry.empty() && reference.name.starts_with("library/") &&
      (registry == "docker.io" || registry == "index.docker.io"))
    reference.name.erase(0, 8);
  return reference;
}

std::string ImageReference::familiar() const {
  std::string text = name;
  if (!tag.empty()) text += ":" + tag;
  if (!digest.empty()) text += "@" + digest;
  return text;
}

std::string ImageReference::registry() const {
  auto part = registry_part(name);
  return part.empty() ? "docker.io" : std::string(part);
}

std::string ImageReference::canonical() const {
  if (!registry_part(name).empty()) return familiar();
  bool official = name.find('/') == std::string::npos;
  return (official ? "docker.io/library/" : "docker.io/") + familiar();
}

std::string auth_key(std::string_view registry) {
  if (registry.empty() || registry == "docker.io" || registry == "index.docker.io")
    return "https://index.docker.io/v1/";
  return std::string(registry);
}

}  // namespace holdfast::client
