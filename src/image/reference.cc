#include "image/reference.h"

#include <algorithm>
#include <optional>

namespace holdfast::image {
namespace {

constexpr std::string_view kDefaultDomain = "docker.io";
constexpr std::string_view kLegacyDomain = "index.docker.io";
constexpr std::string_view kOfficial = "library/";
constexpr std::size_t kLongestPath = 255;
constexpr std::size_t kLongestTag = 128;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alphanumeric(char c) { return is_lower(c) || is_upper(c) || is_digit(c); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool has_upper(std::string_view text) { return std::any_of(text.begin(), text.end(), is_upper); }

// [a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?
bool valid_domain_component(std::string_view text) {
  if (text.empty() || text.front() == '-' || text.back() == '-') return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-'; });
}

bool valid_host(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']') && host.size() > 2) {
    auto inner = host.substr(1, host.size() - 2);
    return std::all_of(inner.begin(), inner.end(), [](char c) { return is_hex(c) || c == ':'; });
  }
  while (true) {
    auto dot = host.find('.');
    if (!valid_domain_component(host.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    host.remove_prefix(dot + 1);
  }
}

bool valid_domain(std::string_view domain) {
  auto colon = domain.rfind(':');
  if (colon == std::string_view::npos || domain.ends_with(']')) return valid_host(domain);
  auto port = domain.substr(colon + 1);
  return !port.empty() && std::all_of(port.begin(), port.end(), is_digit) &&
         valid_host(domain.substr(0, colon));
}

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool valid_path_component(std::string_view text) {
  auto plain = [](char c) { return is_lower(c) || is_digit(c); };
  std::size_t at = 0;
  while (true) {
    std::size_t start = at;
    while (at < text.size() && plain(text[at])) ++at;
    if (at == start) return false;
    if (at == text.size()) return true;
    std::size_t separator = at;
    while (at < text.size() && text[at] == text[separator]) ++at;
    std::size_t length = at - separator;
    char c = text[separator];
    bool allowed = c == '-' || (c == '.' && length == 1) || (c == '_' && length <= 2);
    if (!allowed) return false;
  }
}

bool valid_path(std::string_view path) {
  while (true) {
    auto slash = path.find('/');
    if (!valid_path_component(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool is_image_id(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'f');
         });
}

struct Split {
  std::string_view domain;
  std::string rest;
};

// What a first component is a registry's name for: one with a dot or port, "localhost", or one that
// no repository could have.
Split split_domain(std::string_view text) {
  auto slash = text.find('/');
  std::string_view first = text.substr(0, slash);
  bool named =
      slash != std::string_view::npos && (first.find_first_of(".:") != std::string_view::npos ||
                                          first == "localhost" || has_upper(first));
  Split split{kDefaultDomain, std::string(text)};
  if (named) split = {first, std::string(text.substr(slash + 1))};
  if (split.domain == kLegacyDomain) split.domain = kDefaultDomain;
  if (split.domain == kDefaultDomain && split.rest.find('/') == std::string::npos)
    split.rest.insert(0, kOfficial);
  return split;
}

tl::unexpected<Error> invalid() { return fail(Code::kInvalidArgument, "invalid reference format"); }

}  // namespace

bool valid_tag(std::string_view text) {
  if (text.empty() || text.size() > kLongestTag || text.front() == '.' || text.front() == '-')
    return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

bool valid_digest(std::string_view text) {
  return text.starts_with("sha256:") && is_image_id(text.substr(7));
}

Result<Reference> Reference::parse(std::string_view text) {
  if (is_image_id(text)) {
    return fail(Code::kInvalidArgument,
                "invalid repository name ({}), cannot specify 64-byte hexadecimal strings", text);
  }
  auto [domain, rest] = split_domain(text);
  std::string_view remote = std::string_view(rest).substr(0, rest.find(':'));
  if (has_upper(remote.substr(0, remote.find('@')))) {
    return fail(Code::kInvalidArgument,
                "invalid reference format: repository name ({}) must be lowercase", remote);
  }
  Reference reference;
  std::string_view path = rest;
  if (auto at = path.find('@'); at != std::string_view::npos) {
    reference.digest_ = path.substr(at + 1);
    path = path.substr(0, at);
    if (!valid_digest(reference.digest_)) return invalid();
  }
  if (auto colon = path.rfind(':'); colon != std::string_view::npos) {
    reference.tag_ = path.substr(colon + 1);
    path = path.substr(0, colon);
    if (!valid_tag(reference.tag_)) return invalid();
  }
  if (!valid_domain(domain) || !valid_path(path)) return invalid();
  if (path.size() > kLongestPath) {
    return fail(Code::kInvalidArgument,
                "invalid reference format: repository name must not be "
                "more than {} characters",
                kLongestPath);
  }
  reference.domain_ = domain;
  reference.path_ = path;
  return reference;
}

std::string Reference::str() const {
  std::string text = name();
  if (!tag_.empty()) text += ":" + tag_;
  if (!digest_.empty()) text += "@" + digest_;
  return text;
}

std::string Reference::familiar_name() const {
  if (domain_ != kDefaultDomain) return name();
  bool official = path_.starts_with(kOfficial) && path_.find('/', kOfficial.size()) == path_.npos;
  return official ? path_.substr(kOfficial.size()) : path_;
}

std::string Reference::familiar() const { return familiar_name() + str().substr(name().size()); }

Reference Reference::with_default_tag() const { return name_only() ? with_tag("latest") : *this; }

Reference Reference::with_tag(std::string_view tag) const {
  Reference other = *this;
  other.tag_ = tag;
  other.digest_.clear();
  return other;
}

Reference Reference::with_digest(std::string_view digest) const {
  Reference other = *this;
  other.tag_.clear();
  other.digest_ = digest;
  return other;
}

namespace {

// One "[…]" of a glob; `pattern` stands after the bracket and is moved past the closing one.
// nullopt: malformed.
std::optional<bool> match_class(std::string_view& pattern, char c) {
  bool negated = pattern.starts_with('^');
  if (negated) pattern.remove_prefix(1);
  bool matched = false;
  for (bool first = true; first || !pattern.starts_with(']'); first = false) {
    auto next = [&]() -> std::optional<char> {
      if (pattern.starts_with('\\')) pattern.remove_prefix(1);
      if (pattern.empty()) return std::nullopt;
      char taken = pattern.front();
      pattern.remove_prefix(1);
      return taken;
    };
    auto low = next();
    if (!low) return std::nullopt;
    auto high = low;
    if (pattern.starts_with('-')) {
      pattern.remove_prefix(1);
      high = next();
      if (!high) return std::nullopt;
    }
    matched = matched || (*low <= c && c <= *high);
    if (pattern.empty()) return std::nullopt;
  }
  pattern.remove_prefix(1);
  return matched != negated;
}

// Go's path.Match: "*" and "?" never match a slash.
bool glob(std::string_view pattern, std::string_view text) {
  while (!pattern.empty()) {
    char p = pattern.front();
    pattern.remove_prefix(1);
    if (p == '*') {
      for (std::size_t skip = 0; skip <= text.size(); ++skip) {
        if (glob(pattern, text.substr(skip))) return true;
        if (skip < text.size() && text[skip] == '/') return false;
      }
      return false;
    }
    if (text.empty()) return false;
    char c = text.front();
    text.remove_prefix(1);
    if (p == '?' && c != '/') continue;
    if (p == '[') {
      auto matched = match_class(pattern, c);
      if (!matched || !*matched) return false;
      continue;
    }
    if (p == '\\' && !pattern.empty()) {
      p = pattern.front();
      pattern.remove_prefix(1);
    } else if (p == '?') {
      return false;
    }
    if (p != c) return false;
  }
  return text.empty();
}

}  // namespace

bool matches(const Reference& reference, std::string_view pattern) {
  return glob(pattern, reference.familiar()) || glob(pattern, reference.familiar_name());
}

}  // namespace holdfast::image
