#include "client/tar/tar_extract.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/file.h"

namespace holdfast::client {
namespace {

// The components of a name without "." and empty ones; kPermissionDenied for "..".
Result<std::vector<std::string>> components(std::string_view name) {
  std::vector<std::string> parts;
  while (!name.empty()) {
    auto slash = name.find('/');
    auto part = name.substr(0, slash);
    name.remove_prefix(slash == std::string_view::npos ? name.size() : slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") return fail(Code::kPermissionDenied, "archive member leads outside");
    parts.emplace_back(part);
  }
  return parts;
}

Result<UniqueFd> open_directory_at(BorrowedFd parent, const std::string& name) {
  return open_file_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

// One extraction below one directory.
class Extraction {
 public:
  Extraction(TarReader& archive, UniqueFd root) : archive_(archive), root_(std::move(root)) {}

  Status add(const TarEntry& entry, const std::string& name,
             const std::function<std::string(const std::string&)>& rename) {
    ASSIGN_OR_RETURN(auto parts, components(name));
    if (parts.empty()) return {};  // the directory itself
    std::string last = parts.back();
    parts.pop_back();
    ASSIGN_OR_RETURN(auto parent, walk(parts));
    switch (entry.type) {
      case TarEntry::kDirectory:
        return add_directory(entry, parent, last, name);
      case TarEntry::kFile:
        return add_file(entry, parent, last, name);
      case TarEntry::kSymlink:
        RETURN_IF_ERROR(clear(parent, last, name));
        if (::symlinkat(entry.link.c_str(), parent.get(), last.c_str()) != 0)
          return fail_errno("create symlink \"{}\"", name);
        return set_times(entry, parent, last);
      case TarEntry::kHardLink:
        return add_link(rename(entry.link), parent, last, name);
      case TarEntry::kFifo:
        RETURN_IF_ERROR(clear(parent, last, name));
        if (::mkfifoat(parent.get(), last.c_str(), entry.mode & 0777) != 0)
          return fail_errno("create fifo \"{}\"", name);
        return {};
      default:
        return {};  // devices would be the caller's, not the container's: left out
    }
  }

  // Directories get their modes and times last: a read-only one must take its files first.
  Status finish() {
    for (auto entry = directories_.rbegin(); entry != directories_.rend(); ++entry) {
      ASSIGN_OR_RETURN(auto parts, components(entry->name));
      ASSIGN_OR_RETURN(auto directory, walk(parts));
      if (::fchmod(directory.get(), entry->mode & 07777) != 0)
        return fail_errno("set mode of \"{}\"", entry->name);
      timespec times[2] = {{0, UTIME_OMIT}, {entry->mtime, entry->mtime_nanos}};
      (void)::futimens(directory.get(), times);
    }
    return {};
  }

 private:
  // Opens the directory that `parts` lead to, making those that are missing.
  Result<UniqueFd> walk(const std::vector<std::string>& parts) {
    ASSIGN_OR_RETURN(auto at, duplicate(root_));
    for (const auto& part : parts) {
      if (::mkdirat(at.get(), part.c_str(), 0755) != 0 && errno != EEXIST)
        return fail_errno("create directory \"{}\"", part);
      auto next = open_directory_at(at, part);
      if (!next)
        return fail(Code::kPermissionDenied,
                    "archive member leads through \"{}\", which is no "
                    "directory",
                    part);
      at = std::move(*next);
    }
    return at;
  }

  // Makes room for something that isn't a directory.
  static Status clear(BorrowedFd parent, const std::string& last, const std::string& name) {
    if (::unlinkat(parent.get(), last.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno == EISDIR || errno == EPERM)
      return fail(Code::kConflict, "cannot overwrite directory \"{}\" with non-directory", name);
    return fail_errno("replace \"{}\"", name);
  }

  static Status set_times(const TarEntry& entry, BorrowedFd parent, const std::string& last) {
    timespec times[2] = {{0, UTIME_OMIT}, {entry.mtime, entry.mtime_nanos}};
    (void)::utimensat(parent.get(), last.c_str(), times, AT_SYMLINK_NOFOLLOW);
    return {};
  }

  Status add_directory(const TarEntry& entry, BorrowedFd parent, const std::string& last,
                       const std::string& name) {
    if (::mkdirat(parent.get(), last.c_str(), 0700) != 0) {
      if (errno != EEXIST) return fail_errno("create directory \"{}\"", name);
      if (!open_directory_at(parent, last))
        return fail(Code::kConflict, "cannot overwrite non-directory \"{}\" with directory", name);
    }
    directories_.push_back(entry);
    directories_.back().name = name;
    return {};
  }

  Status add_file(const TarEntry& entry, BorrowedFd parent, const std::string& last,
                  const std::string& name) {
    RETURN_IF_ERROR(clear(parent, last, name));
    ASSIGN_OR_RETURN(auto file,
                     open_file_at(parent, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    std::vector<char> buffer(256 << 10);
    while (true) {
      ASSIGN_OR_RETURN(auto got, archive_.read(buffer.data(), buffer.size()));
      if (got == 0) break;
      RETURN_IF_ERROR(write_all(file, std::string_view(buffer.data(), got)));
    }
    if (::fchmod(file.get(), entry.mode & 07777) != 0)
      return fail_errno("set mode of \"{}\"", name);
    timespec times[2] = {{0, UTIME_OMIT}, {entry.mtime, entry.mtime_nanos}};
    (void)::futimens(file.get(), times);
    return {};
  }

  Status add_link(const std::string& target, BorrowedFd parent, const std::string& last,
                  const std::string& name) {
    ASSIGN_OR_RETURN(auto parts, components(target));
    if (parts.empty()) return fail(Code::kInvalidArgument, "hard link \"{}\" to nothing", name);
    std::string target_last = parts.back();
    parts.pop_back();
    ASSIGN_OR_RETURN(auto target_parent, walk(parts));
    RETURN_IF_ERROR(clear(parent, last, name));
    // Without AT_SYMLINK_FOLLOW a symlink is linked to, not what it points at.
    if (::linkat(target_parent.get(), target_last.c_str(), parent.get(), last.c_str(), 0) != 0)
      return fail_errno("link \"{}\" to \"{}\"", name, target);
    return {};
  }

  TarReader& archive_;
  UniqueFd root_;
  std::vector<TarEntry> directories_;
};

}  // namespace

Status extract_tar(TarReader& archive, const std::string& directory,
                   const std::function<std::string(const std::string&)>& rename) {
  ASSIGN_OR_RETURN(auto root, open_file(directory, O_RDONLY | O_DIRECTORY));
  Extraction extraction(archive, std::move(root));
  while (true) {
    ASSIGN_OR_RETURN(auto entry, archive.next());
    if (!entry) return extraction.finish();
    RETURN_IF_ERROR(extraction.add(*entry, rename(entry->name), rename));
  }
}

}  // namespace holdfast::client
