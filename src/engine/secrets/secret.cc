#include "engine/secrets/secret.h"

#include <algorithm>

#include "base/base64.h"
#include "base/random.h"

namespace holdfast {
namespace {

constexpr std::size_t kIdLength = 25;
constexpr std::size_t kNameLimit = 64;
constexpr const char* kCipher = "AES-256-GCM";

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_name_character(char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; }

bool is_valid_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameLimit && is_alphanumeric(name.front()) &&
         is_alphanumeric(name.back()) && std::all_of(name.begin(), name.end(), is_name_character);
}

json::Object sealed_json(const Sealed& sealed) {
  return {{"cipher", kCipher},
          {"key", sealed.key_id},
          {"nonce", base64_encode(sealed.nonce)},
          {"data", base64_encode(sealed.ciphertext)},
          {"tag", base64_encode(sealed.tag)}};
}

Result<Sealed> sealed_from_json(const json::Object& object) {
  if (json::string_or(object, "cipher") != kCipher)
    return fail(Code::kDataLoss, "it is sealed with an unknown cipher");
  Sealed sealed;
  sealed.key_id = json::string_or(object, "key");
  ASSIGN_OR_RETURN(sealed.nonce, base64_decode(json::string_or(object, "nonce")));
  ASSIGN_OR_RETURN(sealed.ciphertext, base64_decode(json::string_or(object, "data")));
  ASSIGN_OR_RETURN(sealed.tag, base64_decode(json::string_or(object, "tag")));
  return sealed;
}

}  // namespace

SecretId new_secret_id() { return SecretId(random_base36(kIdLength)); }

Status check_secret_name(const std::string& name) {
  if (name.empty()) return fail(Code::kInvalidArgument, "name must be provided");
  if (!is_valid_name(name)) {
    return fail(Code::kInvalidArgument,
                "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end "
                "character must be [a-zA-Z0-9]");
  }
  return {};
}

std::string to_document(const SecretRecord& record) {
  return json::serialize(json::Object{{"name", record.secret.name},
                                      {"labels", json::from_string_map(record.secret.labels)},
                                      {"created", to_rfc3339(record.secret.created)},
                                      {"updated", to_rfc3339(record.secret.updated)},
                                      {"version", record.secret.version},
                                      {"sealed", sealed_json(record.sealed)}});
}

Result<SecretRecord> secret_from_document(const std::string& key, const std::string& document) {
  auto damaged = [&](std::string_view why) {
    return fail(Code::kDataLoss, "record of secret {} is damaged: {}", key, why);
  };
  auto parsed = json::parse_object(document);
  if (!parsed) return damaged(parsed.error().message);
  auto sealed = sealed_from_json(json::object_or_empty(*parsed, "sealed"));
  if (!sealed) return damaged(sealed.error().message);
  auto created = parse_rfc3339(json::string_or(*parsed, "created"));
  auto updated = parse_rfc3339(json::string_or(*parsed, "updated"));
  SecretRecord record;
  record.sealed = std::move(*sealed);
  record.secret.id = SecretId(key);
  record.secret.name = json::string_or(*parsed, "name");
  record.secret.labels = json::string_map_or_empty(*parsed, "labels");
  record.secret.version = static_cast<std::uint64_t>(json::int_or(*parsed, "version"));
  if (!check_secret_name(record.secret.name)) return damaged("it has no valid name");
  if (!created || !updated) return damaged("it has no valid time");
  record.secret.created = *created;
  record.secret.updated = *updated;
  return record;
}

std::string seal_context(const Secret& secret) {
  // Neither id nor name can hold a line break.
  return fmt::format("holdfast secret\n{}\n{}", secret.id, secret.name);
}

json::Object secret_json(const Secret& secret) {
  return {{"ID", secret.id.str()},
          {"Version", json::Object{{"Index", secret.version}}},
          {"CreatedAt", to_rfc3339(secret.created)},
          {"UpdatedAt", to_rfc3339(secret.updated)},
          {"Spec",
           json::Object{{"Name", secret.name}, {"Labels", json::from_string_map(secret.labels)}}}};
}

}  // namespace holdfast
