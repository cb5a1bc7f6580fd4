#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "client/tar/tar_reader.h"

namespace holdfast::client {

// Unpacks an archive below `directory`, which exists. Members' names are changed by `rename`. What
// is made belongs to the caller; modes and times are the archive's. A file replaces a file; neither
// a file a directory nor a directory a file.
//
// The archive is a container's and may be hostile: no name leads out of `directory`, neither by
// ".." nor through a symbolic link, whether the archive or somebody else made it.
// kPermissionDenied then.
Status extract_tar(TarReader& archive, const std::string& directory,
                   const std::function<std::string(const std::string&)>& rename);

}  // namespace holdfast::client
