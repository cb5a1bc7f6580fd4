#pragma once

#include <string>
#include <vector>

#include "base/error.h"

// Options of the file systems that are made for a container: tmpfs, ramfs and devpts. Each function
// returns the options to mount with, checked: flags as mount(8) spells them, keys with their
// values. kInvalidArgument names the option.
namespace holdfast {

// What follows the colon of a --tmpfs: any flag of mount(8), size= (bytes, k, m, g, t, p, e, also
// as "64MiB" or "1.5g", or a share of the memory "50%"), mode=, uid=, gid=, nr_inodes=, nr_blocks=,
// mpol=, huge=, inode32, inode64, noswap, tmpcopyup. Of two that contradict, the last one counts,
// as in Docker; an unknown one is refused in Docker's words.
Result<std::vector<std::string>> parse_tmpfs_options(const std::string& text);
Result<std::vector<std::string>> check_tmpfs_options(const std::vector<std::string>& options);

// Flags and mode=; ramfs knows no size.
Result<std::vector<std::string>> check_ramfs_options(const std::vector<std::string>& options);

// mode=, uid=, gid=, max=, ptmxmode=.
Result<std::vector<std::string>> check_devpts_options(const std::vector<std::string>& options);

}  // namespace holdfast
