#include "engine/user_ranges.h"

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "base/text.h"

namespace holdfast {
namespace {

constexpr std::uint32_t kUsualCount = 65536;
// 524288 to 1879048191 are for container engines (systemd, UIDS-GIDS.md); the lower part is what
// distributions give to users in /etc/subuid.
constexpr std::uint32_t kDefaultBegin = 0x40000000;
constexpr std::uint32_t kDefaultEnd = 1879048192;

std::optional<std::uint32_t> number_of(std::string_view text) {
  std::uint32_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Whether `count` ids from `begin` on meet those of a range.
bool meet(std::uint64_t begin, std::uint64_t count, std::uint64_t other,
          std::uint64_t other_count) {
  return begin < other + other_count && other < begin + count;
}

}  // namespace

json::Value to_json(const std::optional<UserRange>& range) {
  if (!range) return {};
  return json::Object{{"Uid", range->uid}, {"Gid", range->gid}, {"Count", range->count}};
}

std::optional<UserRange> user_range_from_json(const json::Object& record, std::string_view key) {
  const auto& object = json::object_or_empty(record, key);
  auto number = [&](const char* name) {
    return static_cast<std::uint32_t>(json::int_or(object, name));
  };
  if (number("Count") == 0) return std::nullopt;
  return UserRange{number("Uid"), number("Gid"), number("Count")};
}

Result<std::uint32_t> parse_userns_mode(std::string_view mode) {
  if (mode.empty() || mode == "host") return 0;
  if (mode == "auto" || mode == "private") return kUsualCount;
  constexpr std::string_view kSized = "auto:size=";
  if (mode.starts_with(kSized)) {
    auto count = number_of(mode.substr(kSized.size()));
    if (count && *count > 0 && *count <= (1u << 24)) return *count;
    return fail(Code::kInvalidArgument,
                "invalid USER mode: {}: the size is a number from 1 to 16777216", mode);
  }
  return fail(Code::kInvalidArgument, "invalid USER mode: {}", mode);
}

std::optional<UserRanges::Span> UserRanges::span_of(const std::string& path,
                                                    std::string_view user) {
  auto text = read_file(path);
  if (!text) return std::nullopt;
  for (const auto& line : split(*text, '\n')) {
    auto fields = split(line, ':');
    if (fields.size() != 3 || fields[0] != user) continue;
    auto begin = number_of(fields[1]), count = number_of(fields[2]);
    bool fits = begin && count && *count > 0 && std::uint64_t{*begin} + *count <= kNoId;
    if (fits) return Span{*begin, *count};
  }
  return std::nullopt;
}

Result<UserRanges> UserRanges::open(const std::string& user) {
  std::string name = user.empty() ? "holdfast" : user;
  auto uids = span_of("/etc/subuid", name);
  auto gids = span_of("/etc/subgid", name);
  if (uids && gids) return UserRanges(*uids, *gids);
  if (!user.empty())
    return fail(Code::kInvalidArgument,
                "userns-remap: no subordinate ids for \"{}\" in /etc/subuid and /etc/subgid", user);
  Span usual{kDefaultBegin, kDefaultEnd - kDefaultBegin};
  return UserRanges(usual, usual);
}

Result<UserRange> UserRanges::take(const ContainerId& container, std::uint32_t count) {
  std::lock_guard lock(mutex_);
  // Where a range in use ends a free one may begin; users and groups go side by side.
  std::vector<std::uint64_t> offsets = {0};
  for (const auto& [id, range] : taken_) {
    if (range.uid >= uids_.begin)
      offsets.push_back(std::uint64_t{range.uid} - uids_.begin + range.count);
  }
  std::sort(offsets.begin(), offsets.end());
  for (auto offset : offsets) {
    bool fits = offset + count <= std::min(uids_.count, gids_.count);
    bool free = std::none_of(taken_.begin(), taken_.end(), [&](const auto& entry) {
      const UserRange& range = entry.second;
      return meet(uids_.begin + offset, count, range.uid, range.count) ||
             meet(gids_.begin + offset, count, range.gid, range.count);
    });
    if (!fits || !free) continue;
    UserRange range{static_cast<std::uint32_t>(uids_.begin + offset),
                    static_cast<std::uint32_t>(gids_.begin + offset), count};
    taken_[container] = range;
    return range;
  }
  return fail(Code::kResourceExhausted, "no {} ids are left for a user namespace", count);
}

void UserRanges::restore(const ContainerId& container, const UserRange& range) {
  std::lock_guard lock(mutex_);
  taken_[container] = range;
}

void UserRanges::give_back(const ContainerId& container) {
  std::lock_guard lock(mutex_);
  taken_.erase(container);
}

}  // namespace holdfast
