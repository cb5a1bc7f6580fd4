#include "engine/secrets/secrets.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "engine/secrets/key_file.h"

namespace holdfast {
namespace {

// What is being done to a secret's record, by one thread at a time.
enum class Change { kNone, kUpdate, kRemoval };

// One secret in memory.
struct Entry {
  SecretPtr secret;
  std::string key_id;  // of the key it is sealed with
  std::set<HolderId> holders;
  Change under_way = Change::kNone;
};

tl::unexpected<Error> not_found(const std::string& reference) {
  return fail(Code::kNotFound, "secret {} not found", reference);
}

}  // namespace

struct Secrets::Impl {
  Impl(const std::string& path, Store& store_) : key_file(path), store(store_) {}

  Status load();
  Result<SealingKey> key_to_open(const Secret& secret, const std::string& key_id) const;
  Result<SealingKey> key_to_seal();
  Status check_key(const SealingKey& key) const;
  std::size_t count() const;
  Result<SecretRecord> record_of(const SecretId& id) const;
  Result<Entry*> resolve(const std::string& reference);  // under `mutex`
  Result<SecretPtr> begin_removal(const std::string& reference, std::set<HolderId>& holders);
  void end_removal(const Secret& secret, bool removed);

  const KeyFile key_file;
  Store& store;

  mutable std::mutex mutex;  // guards what follows; never held across a system call
  std::map<SecretId, Entry> entries;
  std::map<SecretId, std::string> damaged;  // records that can't be read, and why
  std::map<std::string, SecretId> names;    // also of those that are just being made
  std::uint64_t last_version = 0;
  bool holders_known = false;
};

Status Secrets::Impl::load() {
  ASSIGN_OR_RETURN(auto records, store.all(RecordKind::kSecret));
  for (const auto& [key, document] : records) {
    auto record = secret_from_document(key, document);
    if (record && names.contains(record->secret.name)) {
      record = fail(Code::kDataLoss, "record of secret {} is damaged: another one has its name, {}",
                    key, record->secret.name);
    }
    if (!record) {
      damaged.emplace(SecretId(key), record.error().message);
      continue;
    }
    last_version = std::max(last_version, record->secret.version);
    names.emplace(record->secret.name, record->secret.id);
    auto& entry = entries[record->secret.id];
    entry.key_id = record->sealed.key_id;
    entry.secret = std::make_shared<const Secret>(std::move(record->secret));
  }
  return {};
}

// How many secrets are sealed, whether their records can be read or not.
std::size_t Secrets::Impl::count() const {
  std::lock_guard lock(mutex);
  return entries.size() + damaged.size();
}

// A second key beside the first would make two files that must not be lost out of one.
Status Secrets::Impl::check_key(const SealingKey& key) const {
  std::string id = key.id();
  std::lock_guard lock(mutex);
  for (const auto& [ignored, entry] : entries) {
    if (entry.key_id == id) continue;
    return fail(Code::kUnavailable,
                "secrets key file \"{}\" holds another key than the one secret {} is sealed with: "
                "put its copy back",
                key_file.path(), entry.secret->name);
  }
  return {};
}

Result<SealingKey> Secrets::Impl::key_to_seal() {
  auto key = key_file.read();
  if (!key && key.error().code == Code::kNotFound) {
    if (std::size_t sealed = count(); sealed > 0) {
      return fail(
          Code::kUnavailable,
          "secrets key file \"{}\" is missing, and {} secret{} sealed with it: put its copy "
          "back, or remove what can't be opened without it",
          key_file.path(), sealed, sealed == 1 ? " is" : "s are");
    }
    key = key_file.create();
  }
  if (!key) return key;
  RETURN_IF_ERROR(check_key(*key));
  return key;
}

Result<SealingKey> Secrets::Impl::key_to_open(const Secret& secret,
                                              const std::string& key_id) const {
  auto key = key_file.read();
  if (!key && key.error().code == Code::kNotFound) {
    return fail(Code::kUnavailable,
                "secret {}: secrets key file \"{}\" is missing: put its copy back", secret.name,
                key_file.path());
  }
  if (!key) return tl::unexpected(std::move(key).error().wrap("secret " + secret.name));
  if (key->id() != key_id) {
    return fail(Code::kUnavailable,
                "secret {}: secrets key file \"{}\" holds another key than the one it is sealed "
                "with: put its copy back",
                secret.name, key_file.path());
  }
  return key;
}

Result<SecretRecord> Secrets::Impl::record_of(const SecretId& id) const {
  ASSIGN_OR_RETURN(auto document, store.get(RecordKind::kSecret, id.str()));
  if (!document) return not_found(id.str());
  return secret_from_document(id.str(), *document);
}

Result<Entry*> Secrets::Impl::resolve(const std::string& reference) {
  auto by_id = entries.find(SecretId(reference));
  if (by_id != entries.end()) return &by_id->second;
  auto by_name = names.find(reference);
  if (by_name != names.end() && entries.contains(by_name->second))
    return &entries.at(by_name->second);
  if (reference.empty()) return not_found(reference);
  auto first = entries.lower_bound(SecretId(reference));
  auto end = first;
  while (end != entries.end() && end->first.str().starts_with(reference)) ++end;
  auto matches = std::distance(first, end);
  if (matches == 0) return not_found(reference);
  if (matches > 1) {
    return fail(Code::kInvalidArgument, "secret {} is ambiguous ({} matches found)", reference,
                matches);
  }
  return &first->second;
}

// Marks the secret, unless `holders` say that it is in use. One whose record is damaged can be
// removed by its full id, which is all that is known of it.
Result<SecretPtr> Secrets::Impl::begin_removal(const std::string& reference,
                                               std::set<HolderId>& holders) {
  std::lock_guard lock(mutex);
  if (damaged.contains(SecretId(reference))) {
    Secret nameless;
    nameless.id = SecretId(reference);
    return std::make_shared<const Secret>(std::move(nameless));
  }
  ASSIGN_OR_RETURN(auto* entry, resolve(reference));
  const auto& name = entry->secret->name;
  if (!holders_known) {
    return fail(Code::kUnavailable,
                "secret {} can't be removed: which containers use it is not known", name);
  }
  holders = entry->holders;
  if (holders.empty()) {
    if (entry->under_way != Change::kNone)
      return fail(Code::kConflict, "secret {} is being changed", name);
    entry->under_way = Change::kRemoval;
  }
  return entry->secret;
}

void Secrets::Impl::end_removal(const Secret& secret, bool removed) {
  std::lock_guard lock(mutex);
  auto entry = entries.find(secret.id);
  if (entry == entries.end()) {
    if (removed) damaged.erase(secret.id);
    return;
  }
  entry->second.under_way = Change::kNone;
  if (!removed) return;
  names.erase(secret.name);
  entries.erase(entry);
}

Secrets::Secrets(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Secrets::~Secrets() = default;

Result<std::unique_ptr<Secrets>> Secrets::open(const std::string& key_file, Store& store) {
  auto impl = std::make_unique<Impl>(key_file, store);
  RETURN_IF_ERROR(impl->load());
  return std::unique_ptr<Secrets>(new Secrets(std::move(impl)));
}

std::vector<std::string> Secrets::warnings() const {
  std::vector<std::string> warnings;
  if (impl_->count() == 0) return warnings;
  {
    std::lock_guard lock(impl_->mutex);
    for (const auto& [id, why] : impl_->damaged) warnings.push_back(why);
  }
  auto key = impl_->key_file.read();
  if (!key && key.error().code == Code::kNotFound) {
    warnings.push_back(fmt::format("secrets key file \"{}\" is missing: no secret can be opened",
                                   impl_->key_file.path()));
  } else if (!key) {
    warnings.push_back(key.error().message);
  } else if (auto right = impl_->check_key(*key); !right) {
    warnings.push_back(right.error().message);
  }
  return warnings;
}

Result<SecretPtr> Secrets::create(const std::string& name,
                                  std::map<std::string, std::string> labels,
                                  std::string_view data) {
  RETURN_IF_ERROR(check_secret_name(name));
  if (data.empty() || data.size() >= kSecretSizeLimit) {
    return fail(Code::kInvalidArgument, "secret data must be larger than 0 and less than {} bytes",
                kSecretSizeLimit);
  }
  auto& impl = *impl_;
  Secret secret{new_secret_id(), name, std::move(labels), now(), {}, 0};
  secret.updated = secret.created;
  {
    std::lock_guard lock(impl.mutex);
    if (!impl.names.emplace(name, secret.id).second)
      return fail(Code::kAlreadyExists, "secret {} already exists", name);
    secret.version = ++impl.last_version;
  }
  auto sealed = [&]() -> Result<Sealed> {
    ASSIGN_OR_RETURN(auto key, impl.key_to_seal());
    ASSIGN_OR_RETURN(auto made, key.seal(data, seal_context(secret)));
    RETURN_IF_ERROR(
        impl.store.put(RecordKind::kSecret, secret.id.str(), to_document({secret, made})));
    return made;
  }();
  std::lock_guard lock(impl.mutex);
  if (!sealed) {
    impl.names.erase(name);
    return tl::unexpected(std::move(sealed).error());
  }
  auto& entry = impl.entries[secret.id];
  entry.key_id = sealed->key_id;
  entry.secret = std::make_shared<const Secret>(std::move(secret));
  return entry.secret;
}

std::vector<SecretPtr> Secrets::list() const {
  std::lock_guard lock(impl_->mutex);
  std::vector<SecretPtr> all;
  for (const auto& [id, entry] : impl_->entries) all.push_back(entry.secret);
  return all;
}

Result<SecretPtr> Secrets::find(const std::string& reference) const {
  std::lock_guard lock(impl_->mutex);
  ASSIGN_OR_RETURN(auto* entry, impl_->resolve(reference));
  return entry->secret;
}

Result<SecretPtr> Secrets::update(const std::string& reference, std::uint64_t version,
                                  const std::string& name,
                                  std::map<std::string, std::string> labels) {
  auto& impl = *impl_;
  Secret changed;
  {
    std::lock_guard lock(impl.mutex);
    ASSIGN_OR_RETURN(auto* entry, impl.resolve(reference));
    if (name != entry->secret->name)
      return fail(Code::kInvalidArgument, "only updates to Labels are allowed");
    if (entry->under_way != Change::kNone || version != entry->secret->version)
      return fail(Code::kConflict, "update out of sequence");
    entry->under_way = Change::kUpdate;
    changed = *entry->secret;
    changed.version = ++impl.last_version;
  }
  changed.labels = std::move(labels);
  changed.updated = now();
  auto written = [&]() -> Status {
    ASSIGN_OR_RETURN(auto record, impl.record_of(changed.id));
    return impl.store.put(RecordKind::kSecret, changed.id.str(),
                          to_document({changed, std::move(record.sealed)}));
  }();
  std::lock_guard lock(impl.mutex);
  auto& entry = impl.entries.at(changed.id);
  entry.under_way = Change::kNone;
  RETURN_IF_ERROR(written);
  entry.secret = std::make_shared<const Secret>(std::move(changed));
  return entry.secret;
}

Result<SecretPtr> Secrets::remove(const std::string& reference,
                                  const std::function<std::string(const HolderId&)>& name_of) {
  std::set<HolderId> holders;
  ASSIGN_OR_RETURN(auto secret, impl_->begin_removal(reference, holders));
  if (!holders.empty()) {
    std::vector<std::string> users;
    for (const auto& holder : holders) users.push_back(name_of(holder));
    return fail(Code::kConflict, "secret '{}' is in use by the following container{}: {}",
                secret->name, users.size() == 1 ? "" : "s", fmt::join(users, ", "));
  }
  auto erased = impl_->store.erase(RecordKind::kSecret, secret->id.str());
  impl_->end_removal(*secret, erased.has_value());
  RETURN_IF_ERROR(erased);
  return secret;
}

Status Secrets::hold(const SecretId& id, const HolderId& holder) {
  std::lock_guard lock(impl_->mutex);
  auto entry = impl_->entries.find(id);
  if (entry == impl_->entries.end() || entry->second.under_way == Change::kRemoval)
    return not_found(id.str());
  entry->second.holders.insert(holder);
  return {};
}

void Secrets::release(const HolderId& holder) {
  std::lock_guard lock(impl_->mutex);
  for (auto& [id, entry] : impl_->entries) entry.holders.erase(holder);
}

void Secrets::holders_restored() {
  std::lock_guard lock(impl_->mutex);
  impl_->holders_known = true;
}

Result<SecretBytes> Secrets::reveal(const SecretId& id) const {
  ASSIGN_OR_RETURN(auto record, impl_->record_of(id));
  ASSIGN_OR_RETURN(auto key, impl_->key_to_open(record.secret, record.sealed.key_id));
  auto plain = key.open(record.sealed, seal_context(record.secret));
  if (plain) return plain;
  return tl::unexpected(std::move(plain).error().wrap(
      fmt::format("secret {} was changed on the disk", record.secret.name)));
}

}  // namespace holdfast
