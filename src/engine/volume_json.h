#pragma once

#include <string>

#include "base/json.h"
#include "storage/volume/volume.h"

namespace holdfast {

// A volume as Docker's API shows it, in the form its clients expect: labels and options that are
// not there are null.
json::Object volume_json(const Volume& volume, const std::string& scope = "local");

// The same as text, at the end of `out`: a listing of 10,000 costs a tenth of what it does by way
// of objects.
void append_volume_json(std::string& out, const Volume& volume, const std::string& scope);

}  // namespace holdfast
