#include "client/tar/tar_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/file.h"

namespace holdfast::client {
namespace {

// A number field: octal with a final NUL, or nothing if it doesn't fit (pax carries it then).
void put_octal(std::string& block, std::size_t at, std::size_t width, std::uint64_t value) {
  std::string digits = fmt::format("{:0{}o}", value, width - 1);
  if (digits.size() > width - 1) digits = std::string(width - 1, '0');
  block.replace(at, digits.size(), digits);
}

void put_text(std::string& block, std::size_t at, std::size_t width, std::string_view text) {
  block.replace(at, std::min(width, text.size()), text.substr(0, width));
}

std::string raw_header(const TarEntry& entry) {
  std::string block(kTarBlock, '\0');
  put_text(block, 0, 100, entry.name);
  put_octal(block, 100, 8, entry.mode & 07777);
  put_octal(block, 108, 8, entry.uid);
  put_octal(block, 116, 8, entry.gid);
  put_octal(block, 124, 12, entry.size);
  put_octal(block, 136, 12, entry.mtime < 0 ? 0 : static_cast<std::uint64_t>(entry.mtime));
  block.replace(148, 8, "        ");
  block[156] = entry.type;
  put_text(block, 157, 100, entry.link);
  block.replace(257, 8,
                std::string_view("ustar\0"
                                 "00",
                                 8));
  put_octal(block, 329, 8, entry.major);
  put_octal(block, 337, 8, entry.minor);
  unsigned sum = 0;
  for (char c : block) sum += static_cast<unsigned char>(c);
  block.replace(148, 7, fmt::format("{:06o}", sum) + '\0');
  return block;
}

// "<length> key=value\n", where the length counts itself.
std::string pax_record(std::string_view key, std::string_view value) {
  std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (fmt::formatted_size("{}", length) + rest != length)
    length = fmt::formatted_size("{}", length) + rest;
  return fmt::format("{} {}={}\n", length, key, value);
}

std::string padding(std::uint64_t size) {
  return std::string((kTarBlock - size % kTarBlock) % kTarBlock, '\0');
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

char type_of(mode_t mode) {
  if (S_ISDIR(mode)) return TarEntry::kDirectory;
  if (S_ISLNK(mode)) return TarEntry::kSymlink;
  if (S_ISCHR(mode)) return TarEntry::kCharDevice;
  if (S_ISBLK(mode)) return TarEntry::kBlockDevice;
  if (S_ISFIFO(mode)) return TarEntry::kFifo;
  return TarEntry::kFile;
}

Result<std::string> read_link(const std::string& path, std::size_t size) {
  std::string target(std::max<std::size_t>(size, 255) + 1, '\0');
  ssize_t got = ::readlink(path.c_str(), target.data(), target.size());
  if (got < 0) return fail_errno("readlink \"{}\"", path);
  target.resize(static_cast<std::size_t>(got));
  return target;
}

}  // namespace

std::string tar_header(const TarEntry& entry) {
  std::string records;
  constexpr std::uint64_t kMaxId = 07777777;
  constexpr std::uint64_t kMaxSize = 077777777777;
  if (entry.name.size() > 100) records += pax_record("path", entry.name);
  if (entry.link.size() > 100) records += pax_record("linkpath", entry.link);
  if (entry.size > kMaxSize) records += pax_record("size", fmt::format("{}", entry.size));
  if (entry.uid > kMaxId) records += pax_record("uid", fmt::format("{}", entry.uid));
  if (entry.gid > kMaxId) records += pax_record("gid", fmt::format("{}", entry.gid));
  if (entry.mtime_nanos != 0)
    records += pax_record("mtime", fmt::format("{}.{:09}", entry.mtime, entry.mtime_nanos));
  if (records.empty()) return raw_header(entry);
  TarEntry pax;
  pax.name = "PaxHeaders/entry";
  pax.type = 'x';
  pax.size = records.size();
  return raw_header(pax) + records + padding(records.size()) + raw_header(entry);
}

TarWriter::TarWriter(std::string path, std::string name) {
  pending_.emplace_back(std::move(path), std::move(name));
}

Status TarWriter::add_children(const std::string& path, const std::string& name) {
  std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
  if (!directory) return fail_errno("open \"{}\"", path);
  std::vector<std::string> children;
  errno = 0;
  while (const dirent* child = ::readdir(directory.get())) {
    std::string child_name = child->d_name;
    if (child_name != "." && child_name != "..") children.push_back(std::move(child_name));
  }
  if (errno != 0) return fail_errno("read \"{}\"", path);
  std::sort(children.begin(), children.end(), std::greater<>());
  for (auto& child : children) pending_.emplace_back(path + "/" + child, name + "/" + child);
  return {};
}

Status TarWriter::next_entry() {
  if (pending_.empty()) {
    ready_.append(2 * kTarBlock, '\0');
    ended_ = true;
    return {};
  }
  auto [path, name] = std::move(pending_.back());
  pending_.pop_back();
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return fail_errno("stat \"{}\"", path);
  if (S_ISSOCK(status.st_mode)) return {};
  TarEntry entry;
  entry.name = name;
  entry.type = type_of(status.st_mode);
  entry.mode = status.st_mode & 07777U;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.mtime = status.st_mtim.tv_sec;
  entry.mtime_nanos = status.st_mtim.tv_nsec;
  if (entry.type == TarEntry::kDirectory) {
    entry.name += '/';
    RETURN_IF_ERROR(add_children(path, name));
  } else if (entry.type == TarEntry::kSymlink) {
    ASSIGN_OR_RETURN(entry.link, read_link(path, static_cast<std::size_t>(status.st_size)));
  } else if (entry.type == TarEntry::kCharDevice || entry.type == TarEntry::kBlockDevice) {
    entry.major = ::gnu_dev_major(status.st_rdev);
    entry.minor = ::gnu_dev_minor(status.st_rdev);
  } else if (entry.type == TarEntry::kFile) {
    auto [first, is_new] = links_.emplace(std::pair(status.st_dev, status.st_ino), name);
    if (status.st_nlink > 1 && !is_new) {
      entry.type = TarEntry::kHardLink;
      entry.link = first->second;
    } else {
      entry.size = static_cast<std::uint64_t>(status.st_size);
      ASSIGN_OR_RETURN(file_, open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
      file_path_ = path;
      remaining_ = entry.size;
    }
  }
  ready_ += tar_header(entry);
  return {};
}

Result<std::size_t> TarWriter::read(char* buffer, std::size_t size) {
  while (at_ == ready_.size()) {
    ready_.clear();
    at_ = 0;
    if (file_.valid() && remaining_ > 0) {
      ssize_t got = ::read(file_.get(), buffer, std::min<std::uint64_t>(size, remaining_));
      if (got < 0) return fail_errno("read \"{}\"", file_path_);
      if (got == 0)
        return fail(Code::kAborted, "\"{}\" became shorter while it was read", file_path_);
      remaining_ -= static_cast<std::uint64_t>(got);
      auto done = static_cast<std::uint64_t>(::lseek(file_.get(), 0, SEEK_CUR));
      if (remaining_ == 0) {
        ready_ = padding(done);
        file_.reset();
      }
      return static_cast<std::size_t>(got);
    }
    file_.reset();
    if (ended_) return std::size_t{0};
    RETURN_IF_ERROR(next_entry());
  }
  std::size_t part = std::min(size, ready_.size() - at_);
  std::memcpy(buffer, ready_.data() + at_, part);
  at_ += part;
  return part;
}

}  // namespace holdfast::client
