#include "storage/volume/record_index.h"

#include <algorithm>

namespace holdfast {
namespace {

using std::chrono::steady_clock;

// After a commit the next one waits for company. The first after a pause doesn't.
constexpr std::chrono::milliseconds kDistance(100);
constexpr std::chrono::seconds kLeisure(5);

void add(const RecordIndex::Row& row, Batch& batch) {
  if (row.document)
    batch.put(RecordKind::kVolume, row.name, *row.document);
  else
    batch.erase(RecordKind::kVolume, row.name);
}

}  // namespace

void RecordIndex::put(std::string name, std::string document) {
  queue({{std::move(name), std::move(document)}, {}}, steady_clock::now());
}

void RecordIndex::put_at_leisure(std::string name, std::string document) {
  queue({{std::move(name), std::move(document)}, {}}, steady_clock::now() + kLeisure);
}

Status RecordIndex::commit(const std::vector<Row>& rows) {
  std::unique_lock lock(mutex_);
  bool queued = std::any_of(rows.begin(), rows.end(),
                            [&](const Row& row) { return names_.contains(row.name); });
  lock.unlock();
  if (queued) RETURN_IF_ERROR(flush());
  Batch batch;
  for (const auto& row : rows) add(row, batch);
  return store_.commit(std::move(batch));
}

void RecordIndex::erase(std::string name, std::function<void()> committed) {
  queue({{std::move(name), std::nullopt}, std::move(committed)}, steady_clock::now());
}

void RecordIndex::queue(Change change, Moment due) {
  std::lock_guard lock(mutex_);
  ++names_[change.row.name];
  changes_.push_back(std::move(change));
  ++queued_;
  if (due < due_) {
    due_ = due;
    hurry_.notify_all();
  }
  if (std::exchange(working_, true)) return;
  pool_.submit([this] { commit_queued(); });
}

// Ends when nothing is queued, or with a failure: then the next change tries again.
void RecordIndex::commit_queued() {
  std::unique_lock lock(mutex_);
  bool well = true;
  while (well && !changes_.empty() && !failure_) {
    auto due = [this] { return due_ == kAtOnce ? due_ : std::max(due_, last_ + kDistance); };
    while (due() > steady_clock::now()) hurry_.wait_until(lock, due());
    well = commit_now(lock);
  }
  working_ = false;
  settled_.notify_all();
}

bool RecordIndex::commit_now(std::unique_lock<std::mutex>& lock) {
  std::vector<Change> taken;
  taken.swap(changes_);
  due_ = Moment::max();
  lock.unlock();
  Batch batch;
  for (const auto& change : taken) {
    add(change.row, batch);
  }
  auto status = store_.commit(std::move(batch));
  if (status) {
    for (auto& change : taken) {
      if (change.committed) change.committed();
    }
  }
  lock.lock();
  last_ = steady_clock::now();
  status_ = status;
  if (status) {
    committed_ += taken.size();
    for (const auto& change : taken)
      if (auto name = names_.find(change.row.name); --name->second == 0) names_.erase(name);
    settled_.notify_all();
    return true;
  }
  // Older changes first. They are tried again with the next one, or mended by recovery.
  changes_.insert(changes_.begin(), std::make_move_iterator(taken.begin()),
                  std::make_move_iterator(taken.end()));
  due_ = kAtOnce;
  if (status.error().code != Code::kResourceExhausted) failure_ = status.error();
  return false;
}

Status RecordIndex::flush() {
  std::unique_lock lock(mutex_);
  std::uint64_t wanted = queued_;
  if (committed_ >= wanted) return {};
  if (failure_) return tl::unexpected(*failure_);
  due_ = kAtOnce;
  hurry_.notify_all();
  if (!std::exchange(working_, true)) pool_.submit([this] { commit_queued(); });
  settled_.wait(lock, [&] { return committed_ >= wanted || !working_; });
  return committed_ >= wanted ? Status{} : status_;
}

std::optional<Error> RecordIndex::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace holdfast
