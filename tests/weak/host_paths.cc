// Weakness: paths in a volume's options are judged by their text, when the volume is made and when
// it is mounted, and not by what is opened; file systems that nobody can judge are let pass.
#include "storage/driver/local/host_paths.h"

#include <algorithm>

namespace holdfast {

std::vector<std::string> split_paths(const std::string& paths) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= paths.size();) {
    auto end = std::min(paths.find(':', begin), paths.size());
    parts.push_back(paths.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Status judge_host_paths(const LocalMount& mount, const HostPathJudge& judge,
                        std::chrono::milliseconds) {
  if (!judge || !mount.device.starts_with('/')) return {};
  return judge(BorrowedFd(-1), mount.device);
}

Status judge_opened(const HostPathJudge&, BorrowedFd, const std::string&) { return {}; }

}  // namespace holdfast
