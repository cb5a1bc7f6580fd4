#include "storage/copy/tree_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "storage/copy/directory_reader.h"

namespace holdfast {
namespace {

bool vanished(int number) { return number == ENOENT || number == ENOTDIR || number == ELOOP; }

// statx(2) of `name` in `directory`, or of that itself; symlinks are not followed.
int status_of(BorrowedFd directory, const char* name, struct statx& status) {
  return ::statx(directory.get(), name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH,
                 STATX_TYPE | STATX_UID | STATX_GID, &status);
}

bool is_mount_root(const struct statx& status) {
  return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

// A directory to go through; opened when its turn comes, so that few are open at a time.
struct Task {
  std::shared_ptr<UniqueFd> parent;
  std::string name;  // empty: parent itself
};

class TreeWalk {
 public:
  explicit TreeWalk(const TreeVisit& visit) : visit_(visit) {}

  Status run(UniqueFd root) {
    tasks_.push_back({std::make_shared<UniqueFd>(std::move(root)), ""});
    unsigned count = std::clamp(std::thread::hardware_concurrency(), 1U, 4U);
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < count; ++i) threads.emplace_back([this] { work(); });
    work();
    for (auto& thread : threads) thread.join();
    if (error_) return tl::unexpected(std::move(*error_));
    return {};
  }

 private:
  void work() {
    while (auto task = next()) {
      auto status = go_through(*task);
      std::lock_guard lock(mutex_);
      if (!status && !error_) error_ = std::move(status).error();
      if (--running_ == 0 || error_) idle_.notify_all();
    }
  }

  std::optional<Task> next() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return error_ || !tasks_.empty() || running_ == 0; });
    if (error_ || tasks_.empty()) return std::nullopt;
    auto task = std::move(tasks_.back());  // the last first: depth before breadth
    tasks_.pop_back();
    ++running_;
    return task;
  }

  void push(Task task) {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    idle_.notify_one();
  }

  Status go_through(const Task& task) {
    auto opened = open_directory(*task.parent, task.name.c_str());
    if (!opened) {
      if (vanished(opened.error().sys_errno)) return {};
      return tl::unexpected(std::move(opened).error());
    }
    auto directory = std::make_shared<UniqueFd>(std::move(*opened));
    struct statx status = {};
    if (status_of(*directory, "", status) != 0) return fail_errno("stat \"{}\"", task.name);
    if (!task.name.empty() && is_mount_root(status)) return {};
    RETURN_IF_ERROR(visit(*directory, "", status));
    while (true) {
      ASSIGN_OR_RETURN(auto batch, read_batch(*directory));
      if (!batch) return {};
      while (auto entry = batch->next()) RETURN_IF_ERROR(take_entry(directory, *entry));
    }
  }

  Status take_entry(const std::shared_ptr<UniqueFd>& directory,
                    const DirectoryBatch::Entry& entry) {
    if (entry.type != DT_DIR) {
      struct statx status = {};
      if (status_of(*directory, entry.name, status) != 0) {
        if (vanished(errno)) return {};
        return fail_errno("stat \"{}\"", entry.name);
      }
      if (!S_ISDIR(status.stx_mode))
        return is_mount_root(status) ? Status{} : visit(*directory, entry.name, status);
    }
    push({directory, entry.name});
    return {};
  }

  Status visit(BorrowedFd directory, const char* name, const struct statx& status) {
    auto visited = visit_(directory, name, status);
    return !visited && vanished(visited.error().sys_errno) ? Status{} : visited;
  }

  const TreeVisit& visit_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable idle_;
  std::vector<Task> tasks_;
  int running_ = 0;
  std::optional<Error> error_;
};

}  // namespace

Status walk_tree(BorrowedFd root, const TreeVisit& visit) {
  struct statx status = {};
  if (status_of(root, "", status) != 0) return fail_errno("stat");
  if (!S_ISDIR(status.stx_mode)) return visit(root, "", status);
  ASSIGN_OR_RETURN(auto directory, open_directory(root, ""));
  return TreeWalk(visit).run(std::move(directory));
}

}  // namespace holdfast
