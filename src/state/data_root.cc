#include "state/data_root.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>

#include "base/file.h"

namespace holdfast {
namespace {
constexpr auto kLockPatience = std::chrono::seconds(2);
}

Result<DirectoryLock> DirectoryLock::acquire(const std::string& directory, unsigned mode) {
  RETURN_IF_ERROR(make_directories(directory, mode));
  // An existing one may have been made by hand, with another mode.
  if (::chmod(directory.c_str(), mode) != 0) return fail_errno("chmod \"{}\"", directory);
  std::string path = directory + "/lock";
  ASSIGN_OR_RETURN(auto file, open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  // A daemon that was killed while it forked leaves a child that holds the lock until it execs or
  // ends: moments.
  auto deadline = std::chrono::steady_clock::now() + kLockPatience;
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      continue;
    }
    if (errno != EWOULDBLOCK) return fail_errno("lock \"{}\"", path);
    auto holder = read_all(file, 64);
    return fail(Code::kConflict, "\"{}\" is in use by another holdfastd (pid {})", directory,
                holder && !holder->empty() ? *holder : "unknown");
  }
  std::string pid = std::to_string(::getpid());
  if (::ftruncate(file.get(), 0) != 0) return fail_errno("truncate \"{}\"", path);
  RETURN_IF_ERROR(write_all(file, pid));
  return DirectoryLock(std::move(file));
}

namespace {

bool holds_something(const std::string& directory) {
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) return false;
  while (const dirent* entry = ::readdir(stream.get())) {
    if (entry->d_name[0] != '.') return true;
  }
  return false;
}

}  // namespace

Status check_records_present(const std::string& data_root) {
  std::string database = data_root + "/state.db";
  if (file_exists(database)) return {};
  for (const char* name : {"/containers", "/layers"}) {
    if (!holds_something(data_root + name)) continue;
    return fail(Code::kDataLoss,
                "state database \"{}\" is missing, but \"{}{}\" is not empty: put the database "
                "back from a backup, or "
                "move that folder away to start with none",
                database, data_root, name);
  }
  return {};
}

}  // namespace holdfast
