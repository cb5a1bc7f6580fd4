#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "state/store.h"

namespace holdfast {

// Carries volume records into the Store after the fact. The sidecar and the directory are what
// makes a volume durable; the Store's table is the index that spares reading them all at start, and
// recovery mends it where it lags. So many changes share one commit, and none waits for it.
// Thread-safe; owned by Volumes.
class RecordIndex {
 public:
  RecordIndex(Store& store, ThreadPool& pool) : store_(store), pool_(pool) {}

  void put(std::string name, std::string document);
  // `committed` runs once the erasure is durable.
  void erase(std::string name, std::function<void()> committed);

  // Waits until what was queued before is committed, or has failed.
  Status flush();

  // Why the Store takes no commit any more (its disk failed). A full disk is no failure: it is
  // tried again.
  std::optional<Error> failure() const;

 private:
  struct Change {
    std::string name;
    std::optional<std::string> document;  // nullopt: erase
    std::function<void()> committed;
  };
  void queue(Change change);
  void commit_queued();

  Store& store_;
  ThreadPool& pool_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable idle_;
  std::vector<Change> changes_;
  bool committing_ = false;
  Status last_;
  std::optional<Error> failure_;
};

}  // namespace holdfast
