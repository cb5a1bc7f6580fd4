#include "runtime/runtime_paths.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "base/file.h"

namespace holdfast {

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) return names;
  while (const struct dirent* entry = ::readdir(stream.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  return names;
}

namespace {

Status remove_entry(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  if (errno == EISDIR && (::rmdir(path.c_str()) == 0 || errno == ENOENT)) return {};
  return fail_errno("remove \"{}\"", path);
}

// `directory` holds files and empty directories only.
Status remove_flat_directory(const std::string& directory) {
  for (const auto& name : names_in(directory)) {
    RETURN_IF_ERROR(remove_entry(directory + "/" + name));
  }
  return remove_entry(directory);
}

}  // namespace

Status remove_monitor_directory(const std::string& directory) {
  for (const auto& name : names_in(directory + "/exec")) {
    RETURN_IF_ERROR(remove_monitor_directory(directory + "/exec/" + name));
  }
  for (const char* name : {"exec", "exit", "mounts"}) {
    if (file_exists(directory + "/" + name)) {
      RETURN_IF_ERROR(remove_flat_directory(directory + "/" + name));
    }
  }
  return remove_flat_directory(directory);
}

Status make_monitor_directory(const std::string& directory) {
  if (file_exists(directory)) RETURN_IF_ERROR(remove_monitor_directory(directory));
  return make_directories(directory + "/exit", 0711);
}

}  // namespace holdfast
