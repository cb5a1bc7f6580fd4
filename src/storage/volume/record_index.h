#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "state/store.h"

namespace holdfast {

// Carries volume records into the Store, mostly after the fact. The sidecar and the directory are
// what makes a volume durable; the Store's table is the index that spares reading them all at
// start, and recovery mends it where it lags. So many changes share one commit, none waits for it,
// and commits keep a distance: their syncs would slow down those that somebody waits for. Changes
// are committed in the order they came. Thread-safe; owned by Volumes.
class RecordIndex {
 public:
  RecordIndex(Store& store, ThreadPool& pool) : store_(store), pool_(pool) {}

  void put(std::string name, std::string document);
  // For what is nice to have: committed with the next other change, or after some seconds.
  void put_at_leisure(std::string name, std::string document);
  // All or nothing, durable on return, and after what was queued of those names before.
  struct Row {
    std::string name;
    std::optional<std::string> document;  // nullopt: erase
  };
  Status commit(const std::vector<Row>& rows);
  // `committed` runs once the erasure is durable.
  void erase(std::string name, std::function<void()> committed);

  // Waits until what was queued before is committed, or has failed.
  Status flush();

  // Why the Store takes no commit any more (its disk failed). A full disk is no failure: it is
  // tried again.
  std::optional<Error> failure() const;

 private:
  using Moment = std::chrono::steady_clock::time_point;
  static constexpr Moment kAtOnce = Moment::min();

  struct Change {
    Row row;
    std::function<void()> committed;
  };
  void queue(Change change, Moment due);
  void commit_queued();
  bool commit_now(std::unique_lock<std::mutex>& lock);

  Store& store_;
  ThreadPool& pool_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable hurry_;
  std::condition_variable settled_;
  std::vector<Change> changes_;
  std::unordered_map<std::string, int> names_;  // of changes that aren't committed, with how many
  Moment due_ = Moment::max();                  // when the queued changes are to be committed
  Moment last_ = Moment::min();                 // end of the last commit
  std::uint64_t queued_ = 0;                    // changes ever queued, and committed
  std::uint64_t committed_ = 0;
  bool working_ = false;
  Status status_;  // of the last commit
  std::optional<Error> failure_;
};

}  // namespace holdfast
