#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast::image {

// The name of an image in a registry, in the grammar of Docker's distribution/reference:
// [domain/]path[:tag][@digest]. A value; always normalised ("busybox" is
// docker.io/library/busybox).
class Reference {
 public:
  // kInvalidArgument in Docker's words: "invalid reference format", "invalid reference format:
  // repository name (library/Busybox) must be lowercase", …
  static Result<Reference> parse(std::string_view text);

  const std::string& domain() const { return domain_; }
  const std::string& path() const { return path_; }
  const std::string& tag() const { return tag_; }        // empty: none
  const std::string& digest() const { return digest_; }  // empty: none; else "sha256:…"

  bool name_only() const { return tag_.empty() && digest_.empty(); }
  std::string name() const { return domain_ + "/" + path_; }  // "docker.io/library/busybox"
  std::string str() const;                                    // with tag and digest
  std::string familiar_name() const;                          // "busybox"
  std::string familiar() const;  // "busybox:latest", "busybox@sha256:…"

  // The same with ":latest" when there is neither tag nor digest.
  Reference with_default_tag() const;
  Reference with_tag(std::string_view tag) const;        // replaces tag, drops digest
  Reference with_digest(std::string_view digest) const;  // replaces digest, drops tag

  friend auto operator<=>(const Reference&, const Reference&) = default;

 private:
  std::string domain_;
  std::string path_;
  std::string tag_;
  std::string digest_;
};

// Whether `text` is a tag by the grammar (at most 128 of [A-Za-z0-9_.-], not starting with . or -).
bool valid_tag(std::string_view text);
// Whether `text` is "sha256:" and 64 lower-case hexadecimal digits.
bool valid_digest(std::string_view text);

// Whether a reference matches a pattern of the "reference" filter: path.Match globs over the
// familiar name, or over name:tag when the pattern has a tag.
bool matches(const Reference& reference, std::string_view pattern);

}  // namespace holdfast::image
