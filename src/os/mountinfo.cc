#include "os/mountinfo.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/file.h"

namespace holdfast {
namespace {

std::string_view next_field(std::string_view& rest) {
  auto end = rest.find(' ');
  auto field = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return field;
}

std::uint64_t to_number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// The kernel writes space, tab, newline, backslash and '#' as \ooo.
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

bool parse_line(std::string_view line, MountEntry& entry) {
  entry.id = to_number(next_field(line));
  entry.parent = to_number(next_field(line));
  entry.device = next_field(line);
  entry.root = unescape(next_field(line));
  entry.target = unescape(next_field(line));
  entry.options = next_field(line);
  while (!line.empty()) {
    auto field = next_field(line);
    if (field == "-") {
      entry.type = unescape(next_field(line));
      entry.source = unescape(next_field(line));
      entry.super_options = line;
      return entry.id != 0 && !entry.target.empty();
    }
    if (field.starts_with("shared:")) entry.peer_group = to_number(field.substr(7));
    if (field.starts_with("master:")) entry.master = to_number(field.substr(7));
    if (field == "unbindable") entry.unbindable = true;
  }
  return false;
}

Result<std::string> path_of(BorrowedFd fd) {
  char name[4096];
  auto length = ::readlink(fmt::format("/proc/self/fd/{}", fd.get()).c_str(), name, sizeof name);
  if (length < 0) return fail_errno("read path of descriptor {}", fd.get());
  return std::string(name, static_cast<std::size_t>(length));
}

// /proc/self/fdinfo/N says "mnt_id:\t27" on every kernel that has O_PATH.
Result<std::uint64_t> mount_id(BorrowedFd fd) {
  ASSIGN_OR_RETURN(auto text, read_file(fmt::format("/proc/self/fdinfo/{}", fd.get())));
  auto at = text.find("mnt_id:");
  if (at == std::string::npos) return fail(Code::kNotImplemented, "kernel tells no mount ids");
  std::string_view rest = std::string_view(text).substr(at + 7);
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  return to_number(rest.substr(0, rest.find('\n')));
}

}  // namespace

Propagation MountEntry::propagation() const {
  if (master != 0) return Propagation::kSlave;
  if (peer_group != 0) return Propagation::kShared;
  return unbindable ? Propagation::kUnbindable : Propagation::kPrivate;
}

std::vector<MountEntry> parse_mount_table(std::string_view text) {
  std::vector<MountEntry> entries;
  while (!text.empty()) {
    auto end = text.find('\n');
    MountEntry entry;
    if (parse_line(text.substr(0, end), entry)) entries.push_back(std::move(entry));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return entries;
}

Result<std::vector<MountEntry>> read_mount_table() {
  ASSIGN_OR_RETURN(auto text, read_file("/proc/self/mountinfo", 256 << 20));
  return parse_mount_table(text);
}

Result<bool> is_mount_point(BorrowedFd directory, const std::string& path) {
  struct statx status = {};
  int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  if (path.empty()) flags |= AT_EMPTY_PATH;
  // No basic fields: nothing has to be asked of a network file system that may be away.
  if (::statx(directory.get(), path.c_str(), flags, 0, &status) != 0)
    return fail_errno("stat \"{}\"", path);
  if ((status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0)
    return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  auto opened =
      path.empty() ? duplicate(directory) : open_file_at(directory, path, O_PATH | O_NOFOLLOW);
  ASSIGN_OR_RETURN(auto fd, std::move(opened));
  ASSIGN_OR_RETURN(auto entry, mount_of(fd));
  ASSIGN_OR_RETURN(auto name, path_of(fd));
  return entry.target == name;
}

Result<MountEntry> mount_of(BorrowedFd fd) {
  ASSIGN_OR_RETURN(auto id, mount_id(fd));
  ASSIGN_OR_RETURN(auto table, read_mount_table());
  for (auto& entry : table) {
    if (entry.id == id) return std::move(entry);
  }
  return fail(Code::kNotFound, "mount {} is not in the mount table", id);
}

Result<bool> is_mounted_on(BorrowedFd directory, const std::string& name) {
  open_how how = {};
  how.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV;
  UniqueFd bare(
      static_cast<int>(::syscall(SYS_openat2, directory.get(), name.c_str(), &how, sizeof how)));
  if (bare) return false;
  if (errno == EXDEV) return true;
  if (errno != ENOSYS && errno != EPERM) return fail_errno("open \"{}\"", name);
  ASSIGN_OR_RETURN(auto entry, mount_on(directory, name));
  return entry.has_value();
}

Result<std::optional<MountEntry>> mount_on(BorrowedFd directory, const std::string& name) {
  ASSIGN_OR_RETURN(auto path, path_of(directory));
  path += "/" + name;
  ASSIGN_OR_RETURN(auto table, read_mount_table());
  auto found = std::find_if(table.rbegin(), table.rend(),
                            [&](const MountEntry& entry) { return entry.target == path; });
  if (found == table.rend()) return std::nullopt;
  return std::move(*found);
}

}  // namespace holdfast
