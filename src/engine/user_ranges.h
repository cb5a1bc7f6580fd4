#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/typed_id.h"
#include "os/id_map.h"

namespace holdfast {

// Ids of the host that a container's user namespace has to itself: `count` from `uid` and `gid` on
// are its users and groups 0 and following.
struct UserRange {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t count = 0;

  IdMap map() const { return {{{0, uid, count}}, {{0, gid, count}}}; }
  bool operator==(const UserRange&) const = default;
};

json::Value to_json(const std::optional<UserRange>& range);
std::optional<UserRange> user_range_from_json(const json::Object& record, std::string_view key);

// What a HostConfig's UsernsMode asks for: "" and "host" the host's own ids, "private" and "auto" a
// namespace of the container's own, "auto:size=N" one with so many ids. The answer is the number of
// ids, 0 for the host's. kInvalidArgument in Docker's words.
Result<std::uint32_t> parse_userns_mode(std::string_view mode);

// The ranges given to containers, each to one. Filled from the records before anything is served;
// thread-safe.
class UserRanges {
 public:
  // The ids to give from, as /etc/subuid and /etc/subgid list them (subuid(5)) for `user`: those of
  // "holdfast" if `user` is empty and it has any, else the upper part of what systemd leaves to
  // container engines. kInvalidArgument when a user is named who has none.
  static Result<UserRanges> open(const std::string& user);

  // The lowest range of `count` ids that is free in both. kResourceExhausted.
  Result<UserRange> take(const ContainerId& container, std::uint32_t count);
  void restore(const ContainerId& container, const UserRange& range);
  void give_back(const ContainerId& container);

  UserRanges(UserRanges&& other) noexcept : uids_(other.uids_), gids_(other.gids_) {}

 private:
  struct Span {
    std::uint32_t begin = 0;
    std::uint32_t count = 0;
  };
  UserRanges(Span uids, Span gids) : uids_(uids), gids_(gids) {}
  static std::optional<Span> span_of(const std::string& path, std::string_view user);

  const Span uids_;
  const Span gids_;
  std::mutex mutex_;  // guards what follows
  std::map<ContainerId, UserRange> taken_;
};

}  // namespace holdfast
