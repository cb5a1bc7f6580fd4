#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "storage/driver/host_path_judge.h"

namespace holdfast {

// Who asked for a mount: the uid of the client's end of a Unix socket; none over TCP.
using Requester = std::optional<uid_t>;

// Which paths of the host containers may have: those below the roots that the configuration lists
// under allowed-bind-roots, or all where it has no such list. A root may hold $HOME and $USER,
// which are the requester's; one that names them is no root for a requester without a name, nor
// where a symlink behind them leads out of what they name. Judged is where a path really leads,
// when it is open, so that nothing can be exchanged afterwards. An immutable value; thread-safe.
class BindPolicy {
 public:
  BindPolicy() = default;  // allows all
  // `config_file` is named in refusals.
  BindPolicy(std::vector<std::string> roots, std::string config_file)
      : roots_(std::move(roots)), config_file_(std::move(config_file)) {}

  // Whether `source`, opened by the path `asked`, may be mounted. kPermissionDenied names the path,
  // where it leads, the roots, and how to add one.
  Status judge(BorrowedFd source, const std::string& asked, const Requester& requester) const;

  // The same for what options of volumes name; empty where all is allowed. The policy outlives it.
  HostPathJudge judge_for(const Requester& requester) const {
    if (!roots_) return {};
    return [this, requester](BorrowedFd opened, const std::string& asked) {
      return judge(opened, asked, requester);
    };
  }

  // Opens `path` (O_PATH, symlinks of the host are followed) and judges it. With `create`, what is
  // missing is made, directories with mode 0755, once their nearest existing parent is judged.
  // kNotFound when it is missing and not made.
  Result<UniqueFd> open(const std::string& path, bool create, const Requester& requester) const;

 private:
  std::vector<std::string> real_roots(const Requester& requester) const;

  std::optional<std::vector<std::string>> roots_;
  std::string config_file_;
};

// $HOME, ${HOME}, $USER and ${USER} in `root` as of `requester`; nullopt when one can't be told, or
// the result is no absolute path.
std::optional<std::string> expand_bind_root(const std::string& root, const Requester& requester);

// Whether `root` may stand in the list: an absolute path, or one that begins with $HOME, with no
// other variable than $HOME and $USER. kInvalidArgument names it.
Status check_bind_root(const std::string& root);

}  // namespace holdfast
