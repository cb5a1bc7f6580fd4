#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"
#include "storage/driver/host_path_judge.h"
#include "storage/driver/local/mount_options.h"

// Which paths of the host a volume's options name, and whether whoever wants the volume may have
// them. Where nobody judges, all is allowed.
namespace holdfast {

// "/a:/b\:c" as "/a" and "/b:c".
std::vector<std::string> split_paths(const std::string& paths);

// Judges by name all that the mount would take from the host: its device, and the paths in its
// options. What isn't there is let pass; the mount will fail over it. kPermissionDenied also for
// file systems of which nobody can tell what they show: types that option_rules.cc doesn't list,
// and programs that take a path of the host, which they would open once more, by its name.
// kDeadlineExceeded when a path's file system hangs.
Status judge_host_paths(const LocalMount& mount, const HostPathJudge& judge,
                        std::chrono::milliseconds deadline);

// Judges what is open, and is about to be mounted: nothing can be exchanged any more.
Status judge_opened(const HostPathJudge& judge, BorrowedFd opened, const std::string& asked);

}  // namespace holdfast
