#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace holdfast {

// The kinds of records; each is a table of its own. The names on disk are in store.cc.
enum class RecordKind {
  kVolume,
  kContainer,
  kImage,
  kReference,
  kLayer,
  kNetwork,
  kSecret,
  kSetting,
  kIntent,  // operations under way, which recovery finishes or undoes
};

// One record: a key unique within its kind, and a JSON document whose shape its owner decides.
struct Record {
  std::string key;
  std::string document;
};

// Changes to be made together or not at all.
class Batch {
 public:
  void put(RecordKind kind, std::string key, std::string document);
  void erase(RecordKind kind, std::string key);

 private:
  friend class Store;
  struct Change {
    RecordKind kind;
    std::string key;
    bool erased;
    std::string document;
  };
  std::vector<Change> changes_;
};

// The durable records of the daemon: one SQLite file (WAL, synchronous=FULL), opened by one
// process. Owned by the daemon's main; all methods may be called from any thread. Commits that
// arrive together share one sync.
class Store {
 public:
  // Opens or creates the file and brings its schema up to date. kDataLoss when the file is damaged,
  // with the path and what SQLite says; nothing is changed then. kFailedPrecondition when a newer
  // holdfast wrote it.
  static Result<std::unique_ptr<Store>> open(const std::string& path);
  ~Store();

  // Every record of a kind, ordered by key.
  Result<std::vector<Record>> all(RecordKind kind);
  // The document of one record; nullopt where there is none.
  Result<std::optional<std::string>> get(RecordKind kind, const std::string& key);

  // On success the changes survive a power cut. After failure none of them is there, and where the
  // disk is at fault (I/O error, failed sync) the store refuses every later commit with kDataLoss:
  // what a failed sync left in the page cache cannot be trusted. A full disk (kResourceExhausted)
  // refuses only that commit.
  Status commit(Batch batch);
  Status put(RecordKind kind, std::string key, std::string document);
  Status erase(RecordKind kind, std::string key);

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
