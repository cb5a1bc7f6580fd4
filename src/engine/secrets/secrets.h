#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/secret_bytes.h"
#include "base/typed_id.h"
#include "engine/secrets/secret.h"
#include "state/store.h"

namespace holdfast {

// All secrets of a data root. Owned by the engine; all methods may be called from any thread; no
// lock is held across a sync or a read of the key file.
//
// Their content is nowhere but in the Store, sealed by the key in a file of its own, and in what
// reveal() returns. A key that is missing, too open or another one keeps secrets from being made
// and revealed, with an error that says so; the rest works without it. It is made with the first
// secret, and never where secrets are sealed already.
//
// Who uses a secret is an opaque HolderId, as with volumes: after open() nothing can be removed
// until the holders have been named again and holders_restored() was called.
class Secrets {
 public:
  // Reads the records. A damaged one is left alone and reported by warnings(); it can be removed.
  static Result<std::unique_ptr<Secrets>> open(const std::string& key_file, Store& store);
  ~Secrets();

  // What is out of order: damaged records, a key that is not to be had although there are secrets.
  std::vector<std::string> warnings() const;

  // Durable on return. kInvalidArgument (name, size of the data), kConflict (name), kUnavailable
  // (key), in Docker's words where it has some.
  Result<SecretPtr> create(const std::string& name, std::map<std::string, std::string> labels,
                           std::string_view data);

  std::vector<SecretPtr> list() const;  // ordered by id

  // By full id, name or unambiguous beginning of an id, in this order. kNotFound `secret x not
  // found`, kInvalidArgument when several begin so.
  Result<SecretPtr> find(const std::string& reference) const;

  // Replaces the labels, durably on return; everything else of a secret stays as it was made.
  // kConflict `update out of sequence` when it is not of that version any more.
  Result<SecretPtr> update(const std::string& reference, std::uint64_t version,
                           const std::string& name, std::map<std::string, std::string> labels);

  // Durable on return. kConflict while it is held; the error names the holders by `name_of`.
  Result<SecretPtr> remove(const std::string& reference,
                           const std::function<std::string(const HolderId&)>& name_of);

  // Holding again and releasing what is not held are success. kNotFound from hold().
  Status hold(const SecretId& id, const HolderId& holder);
  void release(const HolderId& holder);
  void holders_restored();

  // The content. kNotFound, kUnavailable (key), kDataLoss (it was changed on the disk).
  Result<SecretBytes> reveal(const SecretId& id) const;

 private:
  struct Impl;
  explicit Secrets(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
