#include "storage/copy/tree_copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/file.h"
#include "os/safe_path.h"
#include "os/xattr.h"
#include "storage/copy/directory_reader.h"
#include "storage/copy/early_writeback.h"
#include "storage/copy/file_copy.h"

namespace holdfast {
namespace {

constexpr std::string_view kOverlayMarks = "trusted.overlay.";

// A pair of directories under way. Shared by the batches of its entries and by sub-directories not
// opened yet; the last one to let go closes it. Its attributes are set when its direct entries are
// there: what is made deeper down doesn't touch its times, and a default ACL must not be inherited
// by what is copied.
struct Directory {
  std::shared_ptr<Directory> parent;  // until opened
  std::string name;                   // in parent
  std::string path;                   // from the root, for errors and hard links
  UniqueFd source;
  UniqueFd target;
  struct stat status = {};
  std::atomic<int> unfinished{1};  // batches, and one for the reading
};
using DirectoryPtr = std::shared_ptr<Directory>;

// What a thread does next: read a directory, or copy a batch of its entries.
struct Task {
  DirectoryPtr directory;
  std::optional<DirectoryBatch> batch;
};

// A file with several names: the first thread to meet it copies, the others link to it.
struct FirstName {
  std::string path;  // from the target's root
  bool ready = false;
  bool left_out = false;  // and so are the others
};

struct Counters {
  std::atomic<std::uint64_t> files{0}, directories{0}, bytes{0}, left_out{0};
  std::atomic<std::uint64_t> owners_refused{0}, attributes_refused{0}, modes_refused{0};
};

bool refused(int number) {
  return number == EPERM || number == EACCES || number == EINVAL || number == EOPNOTSUPP ||
         number == ENOSYS;
}

timespec times_of(const struct stat& status, bool access) {
  return access ? status.st_atim : status.st_mtim;
}

class TreeCopier {
 public:
  TreeCopier(BorrowedFd source, BorrowedFd target, const TreeCopyOptions& options)
      : source_(source), target_(target), options_(options) {}

  Result<TreeCopyTotals> run();

 private:
  void work();
  bool next(Task& task);
  void push(Task task);
  void finish_task();
  void fail_with(Error error);
  void start_thread_if_it_pays();

  Status read_directory(const DirectoryPtr& directory);
  Status copy_batch(const DirectoryPtr& directory, DirectoryBatch& batch);
  Status copy_entry(const DirectoryPtr& directory, const DirectoryBatch::Entry& entry);
  Status copy_regular(const DirectoryPtr& directory, const char* name);
  Status copy_other(const DirectoryPtr& directory, const char* name);
  Status copy_symlink(const Directory& directory, const char* name, const struct stat& status);
  Status copy_node(const Directory& directory, const char* name, const struct stat& status);
  Status make_directory(const DirectoryPtr& directory, const char* name);
  Status finish_directory(Directory& directory);
  Status set_owner(BorrowedFd target, const char* name, const struct stat& status);
  bool refuses(const Error& error) const;
  void count_missing(const Directory& directory, const char* name);
  bool set_mode(BorrowedFd target, const struct stat& status);
  bool stays(const Xattr& attribute) const;
  Status set_attributes(BorrowedFd source, BorrowedFd target, const char* name);
  Status set_named(const Directory& directory, const char* name, const struct stat& status);

  // True: `name` has been linked to the file's first name, or left out with it; false: it is to be
  // made itself.
  Result<bool> link_or_claim(const Directory& directory, const char* name,
                             const struct stat& status);
  void publish(const struct stat& status, bool left_out = false);
  Status link_to(const std::string& first, const Directory& directory, const char* name);

  const BorrowedFd source_;
  const BorrowedFd target_;
  const TreeCopyOptions options_;
  UniqueFd target_root_;
  dev_t device_ = 0;  // of the source's root
  Counters counters_;
  std::atomic<bool> unshareable_{false};

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<Task> tasks_;  // last in, first out: few directories are open at a time
  int running_ = 0;          // tasks being worked on
  bool stopping_ = false;
  std::optional<Error> error_;
  CopyRefusals missing_;  // entries that were refused
  std::vector<std::thread> threads_;
  unsigned thread_limit_ = 1;

  std::mutex links_mutex_;  // guards what follows
  std::condition_variable linked_;
  std::map<std::pair<dev_t, ino_t>, FirstName> links_;
  bool links_broken_ = false;
};

std::string path_in(const Directory& directory, const char* name) {
  return directory.path.empty() ? std::string(name) : directory.path + "/" + name;
}

// fail_errno() for one entry, naming it by its path in the tree.
tl::unexpected<Error> fail_at(const char* what, const Directory& directory, const char* name) {
  int number = errno;
  return fail_errno_text(number, fmt::format("{} \"{}\"", what, path_in(directory, name)));
}

Result<TreeCopyTotals> TreeCopier::run() {
  auto root = std::make_shared<Directory>();
  ASSIGN_OR_RETURN(root->source, open_directory(source_, ""));
  ASSIGN_OR_RETURN(root->target, open_directory(target_, ""));
  ASSIGN_OR_RETURN(target_root_, duplicate(root->target));
  if (::fstat(root->source.get(), &root->status) != 0) return fail_errno("stat source");
  device_ = root->status.st_dev;
  // What is made in the target inherits neither group nor ACL from it: both come from the source.
  RETURN_IF_ERROR(remove_xattr(root->target, "", "system.posix_acl_default"));
  struct stat before = {};
  if (::fstat(root->target.get(), &before) != 0) return fail_errno("stat target");
  if ((before.st_mode & S_ISGID) != 0 && ::fchmod(root->target.get(), before.st_mode & 0777) != 0)
    return fail_errno("chmod target");
  EarlyWriteback early(target_root_);
  thread_limit_ = options_.threads != 0 ? options_.threads
                                        : std::clamp(std::thread::hardware_concurrency(), 1U, 4U);
  tasks_.push_back({std::move(root), std::nullopt});
  {
    std::lock_guard lock(mutex_);
    threads_.emplace_back([this] { work(); });
  }
  // Threads start further threads; joining the last one joins all.
  for (std::size_t i = 0;; ++i) {
    std::thread thread;
    {
      std::lock_guard lock(mutex_);
      if (i == threads_.size()) break;
      thread = std::move(threads_[i]);
    }
    thread.join();
  }
  if (error_) return tl::unexpected(std::move(*error_));
  missing_.owners = counters_.owners_refused;
  missing_.attributes = counters_.attributes_refused;
  missing_.modes = counters_.modes_refused;
  return TreeCopyTotals{counters_.files, counters_.directories, counters_.bytes, counters_.left_out,
                        std::move(missing_)};
}

void TreeCopier::work() {
  // A umask of our own, so that files are born with their final mode and need no chmod.
  if (::unshare(CLONE_FS) == 0) ::umask(0);
  Task task;
  while (next(task)) {
    Status status =
        task.batch ? copy_batch(task.directory, *task.batch) : read_directory(task.directory);
    if (status && task.directory->unfinished.fetch_sub(1) == 1)
      status = finish_directory(*task.directory);
    if (!status) fail_with(std::move(status).error());
    task = {};
    finish_task();
  }
}

bool TreeCopier::next(Task& task) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || !tasks_.empty() || running_ == 0; });
  if (stopping_ || tasks_.empty()) return false;
  task = std::move(tasks_.back());
  tasks_.pop_back();
  ++running_;
  return true;
}

void TreeCopier::push(Task task) {
  std::lock_guard lock(mutex_);
  tasks_.push_back(std::move(task));
  if (tasks_.size() > 1) start_thread_if_it_pays();
  changed_.notify_one();
}

// Called with mutex_ held.
void TreeCopier::start_thread_if_it_pays() {
  if (threads_.size() < thread_limit_ && !stopping_) threads_.emplace_back([this] { work(); });
}

void TreeCopier::finish_task() {
  std::lock_guard lock(mutex_);
  if (--running_ == 0 && tasks_.empty()) changed_.notify_all();
}

void TreeCopier::fail_with(Error error) {
  {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    stopping_ = true;
    changed_.notify_all();
  }
  std::lock_guard lock(links_mutex_);
  links_broken_ = true;
  linked_.notify_all();
}

Status TreeCopier::read_directory(const DirectoryPtr& directory) {
  if (directory->parent) {
    const char* name = directory->name.c_str();
    ASSIGN_OR_RETURN(directory->source, open_directory(directory->parent->source, name));
    ASSIGN_OR_RETURN(directory->target, open_directory(directory->parent->target, name));
    directory->parent.reset();
    if (::fstat(directory->source.get(), &directory->status) != 0)
      return fail_at("stat", *directory, "");
    if (options_.one_file_system && directory->status.st_dev != device_)
      return fail(Code::kConflict, "\"{}\" is on another file system", directory->path);
  }
  counters_.directories.fetch_add(1, std::memory_order_relaxed);
  ASSIGN_OR_RETURN(auto batch, read_batch(directory->source));
  while (batch) {
    ASSIGN_OR_RETURN(auto following, read_batch(directory->source));
    if (following) {
      directory->unfinished.fetch_add(1);
      push({directory, std::move(batch)});
    } else {
      RETURN_IF_ERROR(copy_batch(directory, *batch));
    }
    batch = std::move(following);
  }
  return {};
}

Status TreeCopier::copy_batch(const DirectoryPtr& directory, DirectoryBatch& batch) {
  while (auto entry = batch.next()) {
    if (options_.cancelled && options_.cancelled->load(std::memory_order_relaxed))
      return fail(Code::kCancelled, "copy cancelled");
    RETURN_IF_ERROR(copy_entry(directory, *entry));
  }
  return {};
}

Status TreeCopier::copy_entry(const DirectoryPtr& directory, const DirectoryBatch::Entry& entry) {
  if (entry.type == DT_DIR) return make_directory(directory, entry.name);
  if (entry.type == DT_REG) return copy_regular(directory, entry.name);
  return copy_other(directory, entry.name);
}

Status TreeCopier::make_directory(const DirectoryPtr& directory, const char* name) {
  if (::mkdirat(directory->target.get(), name, 0700) != 0)
    return fail_at("make directory", *directory, name);
  auto child = std::make_shared<Directory>();
  child->parent = directory;
  child->name = name;
  child->path = path_in(*directory, name);
  push({std::move(child), std::nullopt});
  return {};
}

Status TreeCopier::finish_directory(Directory& directory) {
  const auto& status = directory.status;
  RETURN_IF_ERROR(set_owner(directory.target, "", status));
  RETURN_IF_ERROR(set_attributes(directory.source, directory.target, ""));
  if (!set_mode(directory.target, status)) return fail_at("chmod", directory, "");
  timespec times[] = {times_of(status, true), times_of(status, false)};
  if (::futimens(directory.target.get(), times) != 0) return fail_at("set times of", directory, "");
  return {};
}

Status TreeCopier::copy_regular(const DirectoryPtr& directory, const char* name) {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  UniqueFd source(::openat(directory->source.get(), name, kFlags | O_NOATIME));
  if (!source && errno == EPERM) source.reset(::openat(directory->source.get(), name, kFlags));
  if (!source && (errno == ELOOP || errno == ENXIO)) return copy_other(directory, name);
  if (!source) return fail_at("open", *directory, name);
  struct stat status = {};
  if (::fstat(source.get(), &status) != 0) return fail_at("stat", *directory, name);
  // Not what the directory said any more: look again.
  if (!S_ISREG(status.st_mode)) return copy_other(directory, name);
  if (status.st_nlink > 1) {
    ASSIGN_OR_RETURN(bool linked, link_or_claim(*directory, name, status));
    if (linked) return {};
  }
  UniqueFd target(::openat(directory->target.get(), name,
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                           status.st_mode & 0777));
  if (!target) return fail_at("create", *directory, name);
  auto copied =
      copy_file_content(source, target, status,
                        {options_.sharing, options_.cancelled, options_.copied, &unshareable_});
  if (!copied)
    return tl::unexpected(
        std::move(copied).error().wrap(fmt::format("copy \"{}\"", path_in(*directory, name))));
  RETURN_IF_ERROR(set_owner(target, "", status));
  RETURN_IF_ERROR(set_attributes(source, target, ""));
  // After the owner, whose change takes these bits away.
  if ((status.st_mode & 07000) != 0 && !set_mode(target, status))
    return fail_at("chmod", *directory, name);
  timespec times[] = {times_of(status, true), times_of(status, false)};
  if (::futimens(target.get(), times) != 0) return fail_at("set times of", *directory, name);
  counters_.files.fetch_add(1, std::memory_order_relaxed);
  counters_.bytes.fetch_add(*copied, std::memory_order_relaxed);
  if (status.st_nlink > 1) publish(status);
  return {};
}

// Everything that isn't opened: symlinks, FIFOs, devices; and what the file system didn't tell the
// type of.
Status TreeCopier::copy_other(const DirectoryPtr& directory, const char* name) {
  struct stat status = {};
  if (::fstatat(directory->source.get(), name, &status, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_at("stat", *directory, name);
  if (S_ISDIR(status.st_mode)) return make_directory(directory, name);
  if (S_ISREG(status.st_mode)) return copy_regular(directory, name);
  bool device = S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode);
  if (S_ISSOCK(status.st_mode) || (device && !options_.include_devices)) {
    counters_.left_out.fetch_add(1, std::memory_order_relaxed);
    return {};
  }
  if (status.st_nlink > 1) {
    ASSIGN_OR_RETURN(bool linked, link_or_claim(*directory, name, status));
    if (linked) return {};
  }
  auto made = S_ISLNK(status.st_mode) ? copy_symlink(*directory, name, status)
                                      : copy_node(*directory, name, status);
  if (!made && refuses(made.error())) {
    count_missing(*directory, name);
    if (status.st_nlink > 1) publish(status, true);
    return {};
  }
  RETURN_IF_ERROR(std::move(made));
  RETURN_IF_ERROR(set_named(*directory, name, status));
  counters_.files.fetch_add(1, std::memory_order_relaxed);
  if (status.st_nlink > 1) publish(status);
  return {};
}

Status TreeCopier::copy_symlink(const Directory& directory, const char* name,
                                const struct stat& status) {
  std::string text(static_cast<std::size_t>(std::max<off_t>(status.st_size, 255)) + 1, '\0');
  ssize_t length = ::readlinkat(directory.source.get(), name, text.data(), text.size());
  if (length < 0) return fail_at("read link", directory, name);
  if (static_cast<std::size_t>(length) == text.size())
    return fail(Code::kAborted, "symlink \"{}\" changed while it was copied",
                path_in(directory, name));
  text.resize(static_cast<std::size_t>(length));
  if (::symlinkat(text.c_str(), directory.target.get(), name) != 0)
    return fail_at("make link", directory, name);
  return {};
}

Status TreeCopier::copy_node(const Directory& directory, const char* name,
                             const struct stat& status) {
  if (::mknodat(directory.target.get(), name, status.st_mode & (S_IFMT | 0777), status.st_rdev) ==
      0)
    return {};
  // Some FUSE programs make a plain file of it, which the kernel takes for an error.
  if (errno == EIO && ::unlinkat(directory.target.get(), name, 0) == 0) errno = EOPNOTSUPP;
  return fail_at("make node", directory, name);
}

// Owner, attributes, mode and times of an entry that isn't opened.
Status TreeCopier::set_named(const Directory& directory, const char* name,
                             const struct stat& status) {
  RETURN_IF_ERROR(set_owner(directory.target, name, status));
  auto attributes = read_xattrs(directory.source, name);
  if (attributes) {
    for (const auto& attribute : *attributes) {
      if (stays(attribute)) continue;
      if (!write_xattr(directory.target, name, attribute))
        counters_.attributes_refused.fetch_add(1);
    }
  }
  if (!S_ISLNK(status.st_mode) && (status.st_mode & 07000) != 0 &&
      ::fchmodat(directory.target.get(), name, status.st_mode & 07777, 0) != 0)
    return fail_at("chmod", directory, name);
  timespec times[] = {times_of(status, true), times_of(status, false)};
  if (::utimensat(directory.target.get(), name, times, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_at("set times of", directory, name);
  return {};
}

// What we make is ours at birth: only other owners have to be set.
Status TreeCopier::set_owner(BorrowedFd target, const char* name, const struct stat& status) {
  static const uid_t own_uid = ::geteuid();
  static const gid_t own_gid = ::getegid();
  bool is_root = *name == '\0' && S_ISDIR(status.st_mode);
  if (status.st_uid == own_uid && status.st_gid == own_gid && !is_root) return {};
  int flags = AT_SYMLINK_NOFOLLOW | (*name == '\0' ? AT_EMPTY_PATH : 0);
  if (::fchownat(target.get(), name, status.st_uid, status.st_gid, flags) == 0) return {};
  if (!refused(errno)) return fail_errno("change owner of \"{}\"", name);
  counters_.owners_refused.fetch_add(1);
  return {};
}

// Whether the target has no such things, and may do without.
bool TreeCopier::refuses(const Error& error) const {
  return options_.leave_unknown && refused(error.sys_errno);
}

void TreeCopier::count_missing(const Directory& directory, const char* name) {
  std::lock_guard lock(mutex_);
  if (missing_.entries++ == 0) missing_.example = path_in(directory, name);
}

// False with errno set: it is an error.
bool TreeCopier::set_mode(BorrowedFd target, const struct stat& status) {
  if (::fchmod(target.get(), status.st_mode & 07777) == 0) return true;
  if (!options_.leave_unknown || !refused(errno)) return false;
  counters_.modes_refused.fetch_add(1);
  return true;
}

// What belongs to the place it is in.
bool TreeCopier::stays(const Xattr& attribute) const {
  return attribute.name == "security.selinux" ||
         (options_.from_layer && attribute.name.starts_with(kOverlayMarks));
}

Status TreeCopier::set_attributes(BorrowedFd source, BorrowedFd target, const char* name) {
  char names[4096];
  ssize_t size = ::flistxattr(source.get(), names, sizeof names);
  if (size == 0 || (size < 0 && errno != ERANGE)) return {};
  ASSIGN_OR_RETURN(auto attributes, read_xattrs(source, name));
  for (const auto& attribute : attributes) {
    if (stays(attribute)) continue;
    if (::fsetxattr(target.get(), attribute.name.c_str(), attribute.value.data(),
                    attribute.value.size(), 0) == 0)
      continue;
    if (!refused(errno)) return fail_errno("set attribute \"{}\"", attribute.name);
    counters_.attributes_refused.fetch_add(1);
  }
  return {};
}

Result<bool> TreeCopier::link_or_claim(const Directory& directory, const char* name,
                                       const struct stat& status) {
  std::string first;
  {
    std::unique_lock lock(links_mutex_);
    auto [found, claimed] = links_.try_emplace({status.st_dev, status.st_ino});
    if (claimed) {
      found->second.path = path_in(directory, name);
      return false;
    }
    linked_.wait(lock, [&, entry = &found->second] { return entry->ready || links_broken_; });
    if (!found->second.ready) return fail(Code::kCancelled, "copy cancelled");
    if (!found->second.left_out) first = found->second.path;
  }
  if (first.empty()) {
    count_missing(directory, name);
    return true;
  }
  auto linked = link_to(first, directory, name);
  // A file of its own will do where there are no hard links.
  if (!linked && refuses(linked.error())) return false;
  RETURN_IF_ERROR(std::move(linked));
  counters_.files.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void TreeCopier::publish(const struct stat& status, bool left_out) {
  std::lock_guard lock(links_mutex_);
  auto& first = links_[{status.st_dev, status.st_ino}];
  first.ready = true;
  first.left_out = left_out;
  linked_.notify_all();
}

Status TreeCopier::link_to(const std::string& first, const Directory& directory, const char* name) {
  auto slash = first.find_last_of('/');
  std::string parent = slash == std::string::npos ? "." : first.substr(0, slash);
  std::string base = slash == std::string::npos ? first : first.substr(slash + 1);
  ASSIGN_OR_RETURN(auto from, open_confined(target_root_, parent, Confine::kBeneath,
                                            O_PATH | O_DIRECTORY | O_NOFOLLOW));
  if (::linkat(from.get(), base.c_str(), directory.target.get(), name, 0) != 0)
    return fail_at("link", directory, name);
  return {};
}

}  // namespace

Result<TreeCopyTotals> copy_tree(BorrowedFd source, BorrowedFd target,
                                 const TreeCopyOptions& options) {
  return TreeCopier(source, target, options).run();
}

Status copy_attributes(BorrowedFd source, BorrowedFd target) {
  struct stat status = {};
  if (::fstatat(source.get(), "", &status, AT_EMPTY_PATH) != 0) return fail_errno("stat source");
  if (::fchownat(target.get(), "", status.st_uid, status.st_gid, AT_EMPTY_PATH) != 0 &&
      !refused(errno))
    return fail_errno("change owner");
  ASSIGN_OR_RETURN(auto attributes, read_xattrs(source));
  for (const auto& attribute : attributes) {
    if (attribute.name == "security.selinux" || attribute.name.starts_with(kOverlayMarks)) continue;
    auto written = write_xattr(target, "", attribute);
    if (!written && !refused(written.error().sys_errno)) return written;
  }
  std::string path = fmt::format("/proc/self/fd/{}", target.get());
  if (::chmod(path.c_str(), status.st_mode & 07777) != 0 && !refused(errno))
    return fail_errno("chmod");
  timespec times[] = {times_of(status, true), times_of(status, false)};
  if (::utimensat(AT_FDCWD, path.c_str(), times, 0) != 0) return fail_errno("set times");
  return {};
}

}  // namespace holdfast
