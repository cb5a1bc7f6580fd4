#include "storage/volume/record_index.h"

namespace holdfast {

void RecordIndex::put(std::string name, std::string document) {
  queue({std::move(name), std::move(document), {}});
}

void RecordIndex::erase(std::string name, std::function<void()> committed) {
  queue({std::move(name), std::nullopt, std::move(committed)});
}

void RecordIndex::queue(Change change) {
  std::lock_guard lock(mutex_);
  changes_.push_back(std::move(change));
  if (std::exchange(committing_, true)) return;
  pool_.submit([this] { commit_queued(); });
}

void RecordIndex::commit_queued() {
  std::unique_lock lock(mutex_);
  while (!changes_.empty() && !failure_) {
    std::vector<Change> taken;
    taken.swap(changes_);
    lock.unlock();
    Batch batch;
    for (const auto& change : taken) {
      if (change.document)
        batch.put(RecordKind::kVolume, change.name, *change.document);
      else
        batch.erase(RecordKind::kVolume, change.name);
    }
    auto status = store_.commit(std::move(batch));
    if (status) {
      for (auto& change : taken) {
        if (change.committed) change.committed();
      }
    }
    lock.lock();
    last_ = status;
    if (!status) {
      // Older changes first. They are tried again with the next one, or mended by recovery.
      changes_.insert(changes_.begin(), std::make_move_iterator(taken.begin()),
                      std::make_move_iterator(taken.end()));
      if (status.error().code != Code::kResourceExhausted) failure_ = status.error();
      break;
    }
  }
  committing_ = false;
  idle_.notify_all();
}

Status RecordIndex::flush() {
  std::unique_lock lock(mutex_);
  if (!changes_.empty() && !committing_ && !failure_) {
    committing_ = true;
    pool_.submit([this] { commit_queued(); });
  }
  idle_.wait(lock, [this] { return !committing_; });
  return changes_.empty() ? Status{} : last_;
}

std::optional<Error> RecordIndex::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace holdfast
