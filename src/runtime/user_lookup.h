#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Whom a process in a container runs as.
struct ContainerUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> additional_gids;
  std::string home = "/";
};

// What `user` ("", "name", "uid", "name:group", "uid:gid") and `--group-add` mean in the image
// whose root directory is `root`: etc/passwd and etc/group are read beneath it, whatever symlinks
// it holds, and both may be missing. kInvalidArgument with Docker's words ("unable to find user x:
// no matching entries in passwd file").
Result<ContainerUser> resolve_user(const std::string& user,
                                   const std::vector<std::string>& group_add, BorrowedFd root);

}  // namespace holdfast
