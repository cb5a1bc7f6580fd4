#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancellation.h"
#include "base/process.h"
#include "image/images.h"
#include "image/reference.h"
#include "storage/archive/stream.h"

namespace holdfast::image {

// Credentials for skopeo: a file only we can read, in the exec root, removed at the end. Never on a
// command line, which everybody on the host can read.
class AuthFile {
 public:
  static Result<AuthFile> create(const std::string& directory, const Reference& reference,
                                 const Credentials& credentials);
  AuthFile(AuthFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  AuthFile& operator=(AuthFile&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~AuthFile();
  const std::string& path() const { return path_; }

 private:
  AuthFile() = default;
  std::string path_;
};

// A connection to `skopeo experimental-image-proxy` (its protocol 0.2: JSON over SOCK_SEQPACKET,
// content through pipes). Fetches one blob at a time, as the proxy answers in order. One owner, one
// thread at a time; the end kills skopeo.
class BlobFetcher {
 public:
  ~BlobFetcher();

  // A second reason to stop, beside the one it was made with.
  void stop_with(const Cancellation& stop) { stop_ = &stop; }

  // Calls `sink` with what arrives. The bytes are not verified here beyond what skopeo does.
  Status fetch(const std::string& digest, std::uint64_t size, const archive::Sink& sink);

 private:
  friend class Registry;
  BlobFetcher(const Cancellation& cancellation) : cancellation_(cancellation) {}
  struct Reply;
  Status send(const json::Object& request);
  Result<Reply> receive();
  Result<Reply> call(std::string_view method, json::Array arguments);
  Status wait_readable(BorrowedFd fd);

  const Cancellation& cancellation_;
  const Cancellation* stop_ = nullptr;
  UniqueFd socket_;
  std::optional<Process> process_;
  std::int64_t image_ = 0;
};

// A registry's side of one repository, reached through skopeo. One owner; not thread-safe, except
// that fetchers are independent of each other.
class Registry {
 public:
  // Errors from here on carry Docker's words. `reference` as the user gave it, with a tag or
  // digest.
  static Result<Registry> connect(const Options& options, const Reference& reference,
                                  const Credentials& credentials, const Cancellation& cancellation);

  // The manifest's bytes, verified when `reference` has a digest.
  Result<std::string> manifest(const Reference& reference);
  Result<std::unique_ptr<BlobFetcher>> fetcher(const Reference& reference) const;

  struct Pushed {
    std::string digest;
  };
  // Copies "oci:<layout>:<name>" to `reference`. `line` takes what skopeo prints.
  Result<Pushed> push(const std::string& layout, const std::string& name,
                      const std::string& blob_directory, const Reference& reference,
                      bool keep_digest, const std::function<void(std::string_view)>& line);

 private:
  Registry(const Options& options, Reference reference, bool anonymous, AuthFile auth,
           const Cancellation& cancellation)
      : options_(&options),
        reference_(std::move(reference)),
        anonymous_(anonymous),
        auth_(std::move(auth)),
        cancellation_(&cancellation) {}
  std::vector<std::string> command(std::vector<std::string> verb, bool destination) const;
  Error translate(std::string_view text, bool pushing) const;

  const Options* options_;
  Reference reference_;
  bool anonymous_;
  AuthFile auth_;
  const Cancellation* cancellation_;
};

// Whether `host` (host[:port]) may be spoken to without TLS or with a certificate nobody vouches
// for: loopback, as in dockerd, and those in the list of names and CIDRs.
bool insecure(const std::string& host, const std::vector<std::string>& insecure_registries);

}  // namespace holdfast::image
