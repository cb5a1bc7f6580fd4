#include "runtime/user_lookup.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "base/file.h"
#include "base/text.h"
#include "os/safe_path.h"

namespace holdfast {
namespace {

constexpr std::size_t kDatabaseLimit = 16 << 20;

struct PasswdEntry {
  std::string name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string home;
};

struct GroupEntry {
  std::string name;
  std::uint32_t gid = 0;
  std::vector<std::string> members;
};

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The text of a regular file of the image; empty when it has none. O_NONBLOCK: an image may put a
// FIFO there, on which open(2) would wait for ever.
Result<std::string> read_database(BorrowedFd root, const std::string& path) {
  auto file = open_confined(root, path, Confine::kInRoot, O_RDONLY | O_NONBLOCK);
  if (!file) {
    if (file.error().code == Code::kNotFound) return std::string();
    return tl::unexpected(std::move(file).error());
  }
  struct stat status = {};
  if (::fstat(file->get(), &status) != 0) return fail_errno("stat \"{}\"", path);
  if (!S_ISREG(status.st_mode)) {
    return fail(Code::kInvalidArgument, "\"{}\" is not a regular file", path);
  }
  return read_all(*file, kDatabaseLimit);
}

template <typename Entry, typename Parse>
std::vector<Entry> parse_lines(std::string_view text, Parse parse) {
  std::vector<Entry> entries;
  for (const auto& line : split(text, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    if (auto entry = parse(split(line, ':'))) entries.push_back(std::move(*entry));
  }
  return entries;
}

Result<std::vector<PasswdEntry>> read_passwd(BorrowedFd root) {
  ASSIGN_OR_RETURN(auto text, read_database(root, "etc/passwd"));
  return parse_lines<PasswdEntry>(
      text, [](const std::vector<std::string>& fields) -> std::optional<PasswdEntry> {
        if (fields.size() < 4) return std::nullopt;
        auto uid = parse_number(fields[2]);
        auto gid = parse_number(fields[3]);
        if (!uid || !gid || *uid > UINT32_MAX || *gid > UINT32_MAX) return std::nullopt;
        return PasswdEntry{fields[0], static_cast<std::uint32_t>(*uid),
                           static_cast<std::uint32_t>(*gid), fields.size() > 5 ? fields[5] : ""};
      });
}

Result<std::vector<GroupEntry>> read_group(BorrowedFd root) {
  ASSIGN_OR_RETURN(auto text, read_database(root, "etc/group"));
  return parse_lines<GroupEntry>(
      text, [](const std::vector<std::string>& fields) -> std::optional<GroupEntry> {
        if (fields.size() < 3) return std::nullopt;
        auto gid = parse_number(fields[2]);
        if (!gid || *gid > UINT32_MAX) return std::nullopt;
        return GroupEntry{fields[0], static_cast<std::uint32_t>(*gid),
                          fields.size() > 3 ? split(fields[3], ',') : std::vector<std::string>()};
      });
}

Result<std::uint32_t> check_range(std::uint64_t number) {
  if (number > 0x7fffffff) {
    return fail(Code::kInvalidArgument, "uids and gids must be in range 0-2147483647");
  }
  return static_cast<std::uint32_t>(number);
}

// The gid of a group by name or number; the file decides first, as a name may look like a number.
Result<std::uint32_t> find_group(const std::string& name, const std::vector<GroupEntry>& groups) {
  auto number = parse_number(name);
  auto found = std::find_if(groups.begin(), groups.end(), [&](const GroupEntry& entry) {
    return entry.name == name || (number && entry.gid == *number);
  });
  if (found != groups.end()) return found->gid;
  if (number) return check_range(*number);
  return fail(Code::kInvalidArgument, "unable to find group {}: no matching entries in group file",
              name);
}

// Fills in uid, gid and home; returns the name by which the user's groups are to be looked up.
Result<std::string> find_user(const std::string& name, const std::vector<PasswdEntry>& entries,
                              ContainerUser& user) {
  auto number = name.empty() ? std::optional<std::uint64_t>(0) : parse_number(name);
  auto found = std::find_if(entries.begin(), entries.end(), [&](const PasswdEntry& entry) {
    return (!name.empty() && entry.name == name) || (number && entry.uid == *number);
  });
  if (found != entries.end()) {
    user.uid = found->uid;
    user.gid = found->gid;
    if (!found->home.empty()) user.home = found->home;
    return found->name;
  }
  if (!number) {
    return fail(Code::kInvalidArgument,
                "unable to find user {}: no matching entries in passwd file", name);
  }
  ASSIGN_OR_RETURN(user.uid, check_range(*number));
  return std::string();
}

void add_gid(std::vector<std::uint32_t>& gids, std::uint32_t gid) {
  if (std::find(gids.begin(), gids.end(), gid) == gids.end()) gids.push_back(gid);
}

}  // namespace

Result<ContainerUser> resolve_user(const std::string& user,
                                   const std::vector<std::string>& group_add, BorrowedFd root) {
  ContainerUser result;
  auto colon = user.find(':');
  std::string user_name = user.substr(0, colon);
  std::string group_name = colon == std::string::npos ? "" : user.substr(colon + 1);
  ASSIGN_OR_RETURN(auto passwd, read_passwd(root));
  ASSIGN_OR_RETURN(auto groups, read_group(root));
  ASSIGN_OR_RETURN(auto known_as, find_user(user_name, passwd, result));
  if (!group_name.empty()) {
    // A group asked for by name stands alone: the user's other groups do not apply.
    ASSIGN_OR_RETURN(result.gid, find_group(group_name, groups));
  } else if (!known_as.empty()) {
    for (const auto& group : groups) {
      if (std::find(group.members.begin(), group.members.end(), known_as) != group.members.end()) {
        add_gid(result.additional_gids, group.gid);
      }
    }
  }
  for (const auto& name : group_add) {
    ASSIGN_OR_RETURN(auto gid, find_group(name, groups));
    add_gid(result.additional_gids, gid);
  }
  return result;
}

}  // namespace holdfast
