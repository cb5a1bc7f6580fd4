#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/typed_id.h"

namespace holdfast {

// The label Docker's clients know an anonymous volume by.
inline constexpr std::string_view kAnonymousLabel = "com.docker.volume.anonymous";

// What a client asks for.
struct VolumeSpec {
  std::string name;    // empty: anonymous, with a name of 64 hexadecimal digits and kAnonymousLabel
  std::string driver;  // empty: "local", or the driver of the volume of that name
  std::map<std::string, std::string> options;
  std::map<std::string, std::string> labels;
};

// A volume as it is recorded: in its sidecar file volumes/<name>/volume.json, which is the truth,
// and in the Store, which lets a daemon start without reading 16,000 files. A value; never changed
// once published.
struct Volume {
  std::string id;  // 32 hexadecimal digits: tells this volume from a later one of the same name
  VolumeName name;
  std::string driver;
  std::map<std::string, std::string> options;
  std::map<std::string, std::string> labels;
  Time created;
  std::string mountpoint;  // the host path clients see; not recorded, it moves with the data root

  bool anonymous() const { return labels.contains(std::string(kAnonymousLabel)); }

  std::string to_json() const;
  // Of a document that to_json() wrote; kDataLoss for anything else. `mountpoint` is left empty.
  static Result<Volume> from_json(std::string_view document);

  json::Object to_object() const;
  static Result<Volume> from_object(const json::Object& document);
};

// A volume's row in the Store: its record, and what changes too often for the sidecar. A row that
// was lost and made again from the sidecar has forgotten that.
struct VolumeRow {
  Volume volume;
  Time last_used;      // the last time it was taken into use or given back; zero: never
  bool fresh = false;  // the row came first: directory and sidecar may not be there yet

  std::string to_json() const;
  static Result<VolumeRow> from_json(std::string_view document);
};

// Shared: a listing of 10,000 volumes copies pointers, and a volume outlives its removal for those
// who look at it.
using VolumePtr = std::shared_ptr<const Volume>;

// Docker's rule for names: two characters or more of [a-zA-Z0-9_.-], the first a letter or a digit;
// at most 255. kInvalidArgument in Docker's words.
Status check_volume_name(std::string_view name);

// kInvalidArgument when labels and options take more than a sidecar may have.
Status check_record_size(const Volume& volume);

}  // namespace holdfast
