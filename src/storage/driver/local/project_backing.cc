#include "storage/driver/local/project_backing.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <random>

#include "base/file.h"
#include "storage/copy/directory_reader.h"
#include "storage/volume/layout.h"

namespace holdfast {
namespace {

// Far above what people number by hand, below where some tools' signed numbers end.
constexpr std::uint32_t kFirstProject = 1U << 20;
constexpr std::uint32_t kLastProject = (1U << 31) - 1;
constexpr int kAttempts = 1000;

// The project of `directory`/`name` that was given out for it: not one that somebody gave to the
// whole data root, and that all in it has inherited. 0: none.
Result<std::uint32_t> own_project(const ProjectQuota& quota, BorrowedFd directory,
                                  const std::string& name) {
  ASSIGN_OR_RETURN(auto data, open_directory(directory, name.c_str()));
  ASSIGN_OR_RETURN(auto project, quota.project_of(data));
  if (project < kFirstProject || project > kLastProject) return 0;
  ASSIGN_OR_RETURN(auto parent, open_directory(directory, ""));
  ASSIGN_OR_RETURN(auto inherited, quota.project_of(parent));
  return project == inherited ? 0 : project;
}

// Puts all in `directory` into the project, files before the directories that hold them, so that
// one that hands it on has it all.
Status put_tree_into(const ProjectQuota& quota, BorrowedFd directory, std::uint32_t project) {
  while (true) {
    ASSIGN_OR_RETURN(auto batch, read_batch(directory));
    if (!batch) break;
    while (auto entry = batch->next()) {
      struct stat status = {};
      if (::fstatat(directory.get(), entry->name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return fail_errno("stat \"{}\"", entry->name);
      if (S_ISDIR(status.st_mode)) {
        ASSIGN_OR_RETURN(auto child, open_directory(directory, entry->name));
        RETURN_IF_ERROR(put_tree_into(quota, child, project));
      } else if (S_ISREG(status.st_mode)) {
        ASSIGN_OR_RETURN(auto file,
                         open_file_at(directory, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
        RETURN_IF_ERROR(quota.put_into(file, project, false));
      }
    }
  }
  return quota.put_into(directory, project, true);
}

}  // namespace

bool ProjectBacking::suits(BorrowedFd directory) { return quota_.enforced(directory); }

Result<bool> ProjectBacking::has(const SizedVolume& volume) {
  ASSIGN_OR_RETURN(auto project, own_project(quota_, volume.directory, layout::kData));
  return project != 0 && quota_.enforced(volume.directory);
}

// An id nobody has, with the limit set: from then on others see that it is taken.
Result<std::uint32_t> ProjectBacking::take_project(BorrowedFd directory, std::uint64_t limit) {
  std::random_device random;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::uint32_t id = kFirstProject + random() % (kLastProject - kFirstProject);
    {
      std::lock_guard lock(mutex_);
      if (!taking_.insert(id).second) continue;
    }
    auto account = quota_.read(directory, id);
    bool free = account && account->unused();
    auto taken = free ? quota_.limit(directory, id, limit) : Status{};
    {
      std::lock_guard lock(mutex_);
      taking_.erase(id);
    }
    if (!account) return tl::unexpected(std::move(account).error());
    if (!taken) return tl::unexpected(std::move(taken).error());
    if (free) return id;
  }
  return fail(Code::kUnavailable, "no project id is free");
}

Status ProjectBacking::create(const SizedVolume& volume) {
  if (::mkdirat(volume.directory.get(), layout::kData, 0755) != 0)
    return fail_errno("mkdir \"_data\"");
  ASSIGN_OR_RETURN(auto data, open_directory(volume.directory, layout::kData));
  if (::fchmod(data.get(), 0755) != 0) return fail_errno("chmod \"_data\"");
  ASSIGN_OR_RETURN(auto project, take_project(data, volume.limit));
  RETURN_IF_ERROR(quota_.put_into(data, project, true));
  if (::fsync(data.get()) != 0) return fail_errno("sync \"_data\"");
  return {};
}

// A crash half-way leaves _data itself, the last to be put in, without a project; the next call
// begins again with another id.
Status ProjectBacking::adopt(const SizedVolume& volume) {
  ASSIGN_OR_RETURN(auto data, open_directory(volume.directory, layout::kData));
  ASSIGN_OR_RETURN(auto project, take_project(data, volume.limit));
  RETURN_IF_ERROR(put_tree_into(quota_, data, project));
  if (::syncfs(data.get()) != 0) return fail_errno("sync file system");
  return {};
}

Status ProjectBacking::enforce(BorrowedFd data, std::uint64_t limit) {
  ASSIGN_OR_RETURN(auto project, quota_.project_of(data));
  ASSIGN_OR_RETURN(auto account, quota_.read(data, project));
  return account.limit == limit ? Status{} : quota_.limit(data, project, limit);
}

Result<UniqueFd> ProjectBacking::mount(const SizedVolume& volume) {
  ASSIGN_OR_RETURN(auto data, open_directory(volume.directory, layout::kData));
  RETURN_IF_ERROR(enforce(data, volume.limit));
  return open_file_at(volume.directory, layout::kData, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

Result<SizeBacking::Use> ProjectBacking::use(const SizedVolume& volume) {
  ASSIGN_OR_RETURN(auto data, open_directory(volume.directory, layout::kData));
  ASSIGN_OR_RETURN(auto project, quota_.project_of(data));
  ASSIGN_OR_RETURN(auto account, quota_.read(data, project));
  return Use{account.used, std::nullopt};
}

Status ProjectBacking::resize(const SizedVolume& volume, bool) {
  ASSIGN_OR_RETURN(auto data, open_directory(volume.directory, layout::kData));
  return enforce(data, volume.limit);
}

// The limit goes first, so that a crash in between leaves no record of an id without files.
Status dispose_of_project(const ProjectQuota& quota, BorrowedFd directory,
                          const std::string& name) {
  auto found = own_project(quota, directory, name);
  if (!found && found.error().sys_errno == ENOENT) return {};
  ASSIGN_OR_RETURN(auto project, std::move(found));
  ASSIGN_OR_RETURN(auto data, open_directory(directory, name.c_str()));
  if (project == 0 || !quota.enforced(data)) return {};
  return quota.limit(data, project, 0);
}

}  // namespace holdfast
