#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/typed_id.h"
#include "state/store.h"
#include "storage/volume/volumes.h"

namespace holdfast {

// Anonymous volumes that come and go with a container: written down before the first is made, and
// together with the container's removal, so that a daemon that dies in between leaves none behind
// that belongs to nobody. One record (RecordKind::kIntent) per container, gone when the operation
// is.
class VolumeIntent {
 public:
  explicit VolumeIntent(ContainerId container) : container_(std::move(container)) {}

  // Adds the record, or its end, to changes that are made together.
  void declare(Batch& batch, const std::vector<std::string>& volumes) const;
  void end(Batch& batch) const;

  // Removes the volumes of every record that nobody holds, and the records. For recovery, once
  // holders are known. Returns the records that are put off, because a plugin has to be asked, who
  // may not answer: finish() is for them, once the daemon serves.
  static Result<std::vector<Record>> finish_all(Store& store, Volumes& volumes);
  // What a plugin doesn't do now stays on record, for the next start.
  static Status finish(const Record& record, Store& store, Volumes& volumes);

 private:
  const ContainerId container_;
};

}  // namespace holdfast
