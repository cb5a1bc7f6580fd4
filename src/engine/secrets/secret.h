#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/typed_id.h"
#include "engine/secrets/sealing.h"

namespace holdfast {

using SecretId = TypedId<struct SecretIdTag>;  // 25 of 0-9 and a-z, as Docker's

// A secret but for its content: what everybody may see who may ask the engine.
struct Secret {
  SecretId id;
  std::string name;
  std::map<std::string, std::string> labels;
  Time created;
  Time updated;
  std::uint64_t version = 0;  // another one after every change, never a smaller one
};

using SecretPtr = std::shared_ptr<const Secret>;

// The limits of Docker's: 1 byte to one less than this.
constexpr std::size_t kSecretSizeLimit = 500 * 1024;

SecretId new_secret_id();

// kInvalidArgument in Docker's words.
Status check_secret_name(const std::string& name);

// A secret as it lies in the Store, under its id: its content is sealed together with id and name,
// so that it cannot be passed off as another's.
struct SecretRecord {
  Secret secret;
  Sealed sealed;
};

std::string to_document(const SecretRecord& record);
// kDataLoss says which record is damaged.
Result<SecretRecord> secret_from_document(const std::string& key, const std::string& document);

// What the content is sealed with beside itself.
std::string seal_context(const Secret& secret);

// The secret in the shape of Docker's API.
json::Object secret_json(const Secret& secret);

}  // namespace holdfast
