#include "storage/driver/plugin/plugin_driver.h"

#include <algorithm>

#include "storage/driver/plugin/plugin_mountpoint.h"

namespace holdfast {
namespace {

using Pace = PluginClient::Pace;
using State = MountLedger::State;

json::Object named(const VolumeName& name) { return {{"Name", name.str()}}; }
json::Object named(const VolumeName& name, const HolderId& holder) {
  return {{"Name", name.str()}, {"ID", holder.str()}};
}

PluginVolume read_volume(const json::Object& object) {
  PluginVolume volume;
  volume.name = json::string_or(object, "Name");
  volume.mountpoint = json::string_or(object, "Mountpoint");
  if (auto created = parse_rfc3339(json::string_or(object, "CreatedAt"))) volume.created = *created;
  volume.status = json::object_or_empty(object, "Status");
  return volume;
}

// States are told apart by who may still rely on the mount.
bool unsure(State state) { return state == State::kUnsure || state == State::kMounting; }

}  // namespace

Status PluginDriver::check(const Volume&, const HostPathJudge&) {
  return client_.greet().map([](const std::vector<std::string>&) {});
}

Result<std::vector<PluginVolume>> PluginDriver::list() {
  ASSIGN_OR_RETURN(auto answer, client_.call("List", {}, Pace::kQuick));
  std::vector<PluginVolume> volumes;
  for (const auto& entry : json::array_or_empty(answer, "Volumes")) {
    if (!entry.is_object()) continue;
    auto volume = read_volume(entry.get_object());
    if (volume.name.size() > 1 && check_volume_name(volume.name))
      volumes.push_back(std::move(volume));
  }
  return volumes;
}

// A plugin may say in any words that it has no such volume, and in the same manner that it can't
// reach its server. Only where its list doesn't have the volume either, it is gone.
Result<std::optional<PluginVolume>> PluginDriver::get(const VolumeName& name) {
  auto answer = client_.call("Get", named(name), Pace::kQuick);
  if (answer) {
    auto volume = read_volume(json::object_or_empty(*answer, "Volume"));
    if (volume.name.empty()) return std::nullopt;
    return volume;
  }
  if (!plugin_said_so(answer.error())) return tl::unexpected(std::move(answer).error());
  auto all = list();
  if (!all) return tl::unexpected(std::move(answer).error());
  bool listed = std::any_of(all->begin(), all->end(),
                            [&](const PluginVolume& volume) { return volume.name == name.str(); });
  if (listed) return tl::unexpected(std::move(answer).error());
  return std::nullopt;
}

Result<VolumeSight> PluginDriver::look(const Volume& volume) {
  ASSIGN_OR_RETURN(auto found, get(volume.name));
  VolumeSight sight;
  sight.scope = client_.scope();
  sight.gone = !found;
  if (found) {
    sight.mountpoint = std::move(found->mountpoint);
    // Some tell it only when asked for it.
    auto path = sight.mountpoint.empty() ? client_.call("Path", named(volume.name), Pace::kQuick)
                                         : Result<json::Object>(json::Object{});
    if (path && sight.mountpoint.empty()) sight.mountpoint = json::string_or(*path, "Mountpoint");
    sight.status = std::move(found->status);
  }
  return sight;
}

// Where the plugin itself doesn't know, creating it tells.
Result<bool> PluginDriver::has(const Volume& volume) {
  auto found = get(volume.name);
  if (found) return found->has_value();
  if (!plugin_said_so(found.error())) return tl::unexpected(std::move(found).error());
  auto all = list();
  return all && std::any_of(all->begin(), all->end(), [&](const PluginVolume& other) {
           return other.name == volume.name.str();
         });
}

Status PluginDriver::create(const Volume& volume, BorrowedFd) {
  auto arguments = named(volume.name);
  arguments["Opts"] = json::from_string_map(volume.options);
  return client_.call("Create", arguments, Pace::kSlow).map([](const json::Object&) {});
}

// The protocol has no word for it.
Status PluginDriver::update(const Volume& from, const Volume& to, BorrowedFd, bool) {
  if (from.options == to.options) return {};
  return fail(Code::kInvalidArgument, "plugin \"{}\" can't change the options of a volume it has",
              client_.name());
}

Status PluginDriver::remove(const Volume& volume, BorrowedFd directory) {
  // What it still has to be told first; where that fails, the removal says why.
  static_cast<void>(settle(volume, directory, {}));
  auto removed = client_.call("Remove", named(volume.name), Pace::kSlow);
  if (removed) return {};
  auto found = plugin_said_so(removed.error())
                   ? get(volume.name)
                   : Result<std::optional<PluginVolume>>(PluginVolume{});
  if (found && !*found) return {};
  return tl::unexpected(std::move(removed).error());
}

// Says Unmount for `holder`, whose entry says that it has left, and strikes it out once that is
// answered, whatever the answer: a second time would be no better.
Status PluginDriver::tell_unmount(const Volume& volume, BorrowedFd directory, MountLedger& ledger,
                                  const HolderId& holder) {
  auto told = client_.call("Unmount", named(volume.name, holder), Pace::kSlow);
  if (told || plugin_said_so(told.error())) {
    ledger.entries.erase(holder);
    if (!ledger.mounted()) ledger.mountpoint.clear();
    RETURN_IF_ERROR(ledger.write(directory, false));
  } else if (!certainly_undone(told.error())) {
    ledger.entries[holder] = State::kUnsure;
    RETURN_IF_ERROR(ledger.write(directory, false));
  }
  return told.map([](const json::Object&) {});
}

Result<std::string> PluginDriver::tell_mount(const Volume& volume, BorrowedFd directory,
                                             MountLedger& ledger, const HolderId& holder) {
  ledger.entries[holder] = State::kMounting;
  RETURN_IF_ERROR(ledger.write(directory, true));
  auto told = client_.call("Mount", named(volume.name, holder), Pace::kSlow);
  if (told) return json::string_or(*told, "Mountpoint");
  if (certainly_undone(told.error()))
    ledger.entries.erase(holder);
  else
    ledger.entries[holder] = State::kUnsure;
  RETURN_IF_ERROR(ledger.write(directory, false));
  return tl::unexpected(std::move(told).error());
}

Result<UniqueFd> PluginDriver::mount(const Volume& volume, BorrowedFd directory,
                                     const HolderId& holder, const HostPathJudge&) {
  auto ledger = MountLedger::read(directory);
  auto entry = ledger.entries.find(holder);
  if (entry != ledger.entries.end() && relied_on(volume, holder))
    return open_plugin_mountpoint(ledger.mountpoint, private_roots_);
  // It left and comes again, and the plugin hasn't heard of the first, or everything was shut down
  // in between. What the plugin says to it doesn't matter: it is told to mount next.
  if (entry != ledger.entries.end() && (!unsure(entry->second) || !ledger.mounted())) {
    auto told = tell_unmount(volume, directory, ledger, holder);
    if (!told && !plugin_said_so(told.error())) return tl::unexpected(std::move(told).error());
  }
  ASSIGN_OR_RETURN(auto mountpoint, tell_mount(volume, directory, ledger, holder));
  auto root = open_plugin_mountpoint(mountpoint, private_roots_);
  if (!root) {
    ledger.entries[holder] = State::kLeaving;
    static_cast<void>(tell_unmount(volume, directory, ledger, holder));
    return root;
  }
  ledger.entries[holder] = State::kMounted;
  ledger.mountpoint = mountpoint;
  RETURN_IF_ERROR(ledger.write(directory, false));
  rely(volume, holder, true);
  return root;
}

Status PluginDriver::unmount(const Volume& volume, BorrowedFd directory, const HolderId& holder,
                             bool) {
  rely(volume, holder, false);
  auto ledger = MountLedger::read(directory);
  auto entry = ledger.entries.find(holder);
  if (entry == ledger.entries.end()) return {};
  entry->second = State::kLeaving;
  RETURN_IF_ERROR(ledger.write(directory, true));
  return tell_unmount(volume, directory, ledger, holder);
}

Status PluginDriver::remount(const Volume& volume, BorrowedFd directory, const HolderId& holder) {
  rely(volume, holder, true);
  auto ledger = MountLedger::read(directory);
  auto [entry, added] = ledger.entries.try_emplace(holder, State::kMounted);
  if (!added && entry->second == State::kMounted) return {};
  entry->second = State::kMounted;
  return ledger.write(directory, false);
}

Result<bool> PluginDriver::settle(const Volume& volume, BorrowedFd directory,
                                  const std::set<HolderId>& mounters) {
  auto ledger = MountLedger::read(directory);
  std::vector<HolderId> due, doubtful;
  for (const auto& [holder, state] : ledger.entries) {
    if (!mounters.contains(holder)) (unsure(state) ? doubtful : due).push_back(holder);
  }
  Status last;
  auto tell = [&](const std::vector<HolderId>& holders, State state) -> bool {
    for (const auto& holder : holders) {
      rely(volume, holder, false);
      ledger.entries[holder] = state;
      last = tell_unmount(volume, directory, ledger, holder);
      if (!last && !plugin_said_so(last.error())) return false;
    }
    return true;
  };
  if (!tell(due, State::kLeaving)) return tl::unexpected(std::move(last).error());
  if (ledger.mounted()) return doubtful.empty();
  if (!tell(doubtful, State::kUnsure)) return tl::unexpected(std::move(last).error());
  return true;
}

bool PluginDriver::relied_on(const Volume& volume, const HolderId& holder) const {
  std::lock_guard lock(mutex_);
  return relied_.contains({volume.id, holder});
}

void PluginDriver::rely(const Volume& volume, const HolderId& holder, bool on) {
  std::lock_guard lock(mutex_);
  if (on)
    relied_.emplace(volume.id, holder);
  else
    relied_.erase({volume.id, holder});
}

std::string PluginDriver::mountpoint(const Volume&, BorrowedFd directory) const {
  return MountLedger::read(directory).mountpoint;
}

}  // namespace holdfast
