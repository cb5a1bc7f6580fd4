#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Whether this machine's kernel enforces an SELinux policy.
bool selinux_enforced();

// The label of files that containers may use: all of them, or, with `private_to`, the one whose two
// categories follow from that text.
std::string container_file_label(const std::string& private_to = {});

// Gives `root` (a file or a directory) and all below it the label, mounts left out. Safe to repeat;
// not durable.
Status relabel_tree(BorrowedFd root, const std::string& label);

}  // namespace holdfast
