#include "storage/driver/plugin/mount_ledger.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/file.h"
#include "base/json.h"
#include "storage/volume/layout.h"

namespace holdfast {
namespace {

using State = MountLedger::State;

constexpr std::array<std::string_view, 4> kNames = {"mounting", "mounted", "leaving", "unsure"};

}  // namespace

bool MountLedger::mounted() const {
  return std::any_of(entries.begin(), entries.end(),
                     [](const auto& entry) { return entry.second == State::kMounted; });
}

MountLedger MountLedger::read(BorrowedFd directory) {
  MountLedger ledger;
  auto file = open_file_at(directory, layout::kPluginMounts, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  auto text = file ? read_all(*file, 1 << 20) : Result<std::string>(std::string());
  auto document = text ? json::parse_object(*text) : Result<json::Object>(json::Object{});
  if (!document) return ledger;
  ledger.mountpoint = json::string_or(*document, "mountpoint");
  for (const auto& [id, name] : json::string_map_or_empty(*document, "mounts")) {
    auto found = std::find(kNames.begin(), kNames.end(), name);
    if (found != kNames.end())
      ledger.entries[HolderId(id)] = static_cast<State>(found - kNames.begin());
  }
  return ledger;
}

Status MountLedger::write(BorrowedFd directory, bool durable) const {
  if (entries.empty()) {
    if (::unlinkat(directory.get(), layout::kPluginMounts, 0) == 0 || errno == ENOENT) return {};
    return fail_errno("remove \"{}\"", layout::kPluginMounts);
  }
  json::Object mounts;
  for (const auto& [id, state] : entries)
    mounts[id.str()] = kNames[static_cast<std::size_t>(state)];
  json::Object document{{"mountpoint", mountpoint}, {"mounts", std::move(mounts)}};
  // The directory by its descriptor.
  return write_file_atomic(
      fmt::format("/proc/self/fd/{}/{}", directory.get(), layout::kPluginMounts),
      json::serialize(document), 0600, durable);
}

}  // namespace holdfast
