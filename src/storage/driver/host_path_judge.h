#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Whether whoever wants a volume may have a path of the host that its options name: `opened` by the
// name `asked`. kPermissionDenied says why not. Comes from above, since storage knows neither who
// asks nor what they may have; an empty one allows all.
using HostPathJudge = std::function<Status(BorrowedFd opened, const std::string& asked)>;

}  // namespace holdfast
