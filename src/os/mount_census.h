#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// What was mounted from somewhere within a file system (a bind mount), in all mount namespaces of
// the machine, at one moment: who uses a directory, whichever engine, container or person mounted
// it. Namespaces that end meanwhile are left out. Sees the processes of our PID namespace, and
// needs CAP_SYS_PTRACE for those of others. A value.
class MountCensus {
 public:
  static Result<MountCensus> take();

  struct User {
    pid_t pid = 0;
    std::string command;  // as the kernel shows it
  };
  // Somebody who has `directory`, or something below it, mounted; nullopt: nobody has.
  Result<std::optional<User>> user_of(BorrowedFd directory) const;

 private:
  struct Bind {
    std::string device;  // as MountEntry's
    std::string root;
    pid_t pid = 0;
  };
  std::vector<Bind> binds_;
};

}  // namespace holdfast
