#pragma once

#include <map>
#include <string>

#include "base/error.h"
#include "base/typed_id.h"
#include "base/unique_fd.h"

namespace holdfast {

// For whom a plugin has been told to mount a volume: volumes/<name>/plugin.json, written before the
// plugin is told, so that whatever dies when, each Mount is followed by its Unmount and no Mount is
// repeated. There only while it has entries.
//
//              Mount answered               holder has left
//   kMounting ────────────────▶ kMounted ──────────────────▶ kLeaving ──▶ (gone: Unmount answered)
//       │ daemon or plugin died, deadline                        │ deadline
//       └──────────────────▶ kUnsure ◀───────────────────────────┘
//
// kUnsure: the plugin may or may not have done what it was told. It is told Unmount only once
// nobody else has the volume mounted: a plugin that merely counts would take it from under them.
//
// A value; used by one thread at a time, under the volume's operation slot.
struct MountLedger {
  enum class State { kMounting, kMounted, kLeaving, kUnsure };

  std::map<HolderId, State> entries;
  std::string mountpoint;  // where the plugin said it is; empty: not mounted

  bool mounted() const;

  // A ledger that is missing or damaged is empty: nothing is unmounted by guesswork.
  static MountLedger read(BorrowedFd directory);
  // With `durable`, it survives a power cut on return; a kill it survives in any case.
  Status write(BorrowedFd directory, bool durable) const;
};

}  // namespace holdfast
