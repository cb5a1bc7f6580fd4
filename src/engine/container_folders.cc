#include "engine/container_folders.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"
#include "os/file_identity.h"
#include "os/safe_path.h"
#include "os/xattr.h"
#include "storage/copy/tree_remove.h"

namespace holdfast {
namespace {

constexpr std::string_view kRemovedPrefix = ".removed-";

bool is_id(std::string_view name) {
  return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<std::vector<std::string>> names_in(const std::string& path) {
  std::vector<std::string> names;
  DIR* stream = ::opendir(path.c_str());
  if (!stream) {
    if (errno == ENOENT) return names;
    return fail_errno("read directory \"{}\"", path);
  }
  while (const dirent* entry = ::readdir(stream)) names.emplace_back(entry->d_name);
  ::closedir(stream);
  return names;
}

Result<std::vector<ContainerId>> ids_in(const std::string& path) {
  ASSIGN_OR_RETURN(auto names, names_in(path));
  std::vector<ContainerId> ids;
  for (const auto& name : names) {
    if (is_id(name)) ids.push_back(ContainerId(name));
  }
  return ids;
}

}  // namespace

Status ContainerFolders::prepare() const {
  return make_directories(data_root_ + "/containers", 0700);
}

Status ContainerFolders::create(const ContainerId& id) const {
  RETURN_IF_ERROR(make_directories(folder(id), 0700));
  // The root of the container takes its mode from the upper directory.
  return make_directories(upper(id), 0755);
}

Status ContainerFolders::discard(const ContainerId& id) const {
  std::string removed = fmt::format("{}/containers/{}{}", data_root_, kRemovedPrefix, id);
  if (::rename(folder(id).c_str(), removed.c_str()) == 0 || errno == ENOENT) return {};
  return fail_errno("rename \"{}\" to \"{}\"", folder(id), removed);
}

void ContainerFolders::sweep() const {
  auto names = names_in(data_root_ + "/containers");
  auto directory = open_file(data_root_ + "/containers", O_RDONLY | O_DIRECTORY);
  if (!names || !directory) return;
  for (const auto& name : *names) {
    // What cannot be deleted now is tried again at the next sweep.
    if (name.starts_with(kRemovedPrefix)) (void)remove_tree(*directory, name);
  }
}

Result<std::vector<ContainerId>> ContainerFolders::ids() const {
  return ids_in(data_root_ + "/containers");
}

Result<ContainerFolders::Overlay> ContainerFolders::make_overlay(const ContainerId& id,
                                                                 std::size_t number) const {
  std::string place = fmt::format("{}/overlay/{}", folder(id), number);
  RETURN_IF_ERROR(make_directories(folder(id) + "/overlay", 0700));
  ASSIGN_OR_RETURN(auto parent, open_file(folder(id) + "/overlay", O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(remove_tree(parent, std::to_string(number)));
  RETURN_IF_ERROR(make_directories(place + "/upper", 0755));
  RETURN_IF_ERROR(make_directories(place + "/work", 0700));
  Overlay overlay;
  ASSIGN_OR_RETURN(overlay.upper, open_file(place + "/upper", O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(overlay.work, open_file(place + "/work", O_PATH | O_DIRECTORY));
  return overlay;
}

Status ContainerFolders::remove_overlays(const ContainerId& id) const {
  ASSIGN_OR_RETURN(auto directory, open_file(folder(id), O_RDONLY | O_DIRECTORY));
  return remove_tree(directory, "overlay");
}

namespace {

// The directory itself, or a mount of it whose files are owned as `users` maps them.
Result<UniqueFd> open_mapped(const std::string& path, const std::optional<UserNamespace>& users) {
  ASSIGN_OR_RETURN(auto directory, open_file(path, O_PATH | O_DIRECTORY));
  if (!users) return directory;
  ASSIGN_OR_RETURN(auto mount, DetachedMount::clone(directory, "", false));
  MountAttributes attributes;
  attributes.id_map_namespace = users->file;
  RETURN_IF_ERROR(mount.set(attributes));
  return std::move(mount).release();
}

Result<std::vector<UniqueFd>> open_layers(const std::vector<std::string>& layers,
                                          const std::optional<UserNamespace>& users) {
  std::vector<UniqueFd> fds;
  for (const auto& path : layers) {
    ASSIGN_OR_RETURN(auto fd, open_mapped(path, users));
    fds.push_back(std::move(fd));
  }
  return fds;
}

// The kernel makes files of its own in the workspace, and keeps acting there, as whoever mounts:
// for a user namespace that has to be its root.
Result<DetachedMount> mount_as_root_of(const std::optional<UserNamespace>& users,
                                       const OverlayParts& parts) {
  if (!users) return mount_overlay(parts);
  Result<DetachedMount> mounted = fail(Code::kInternal, "mount overlay");
  RETURN_IF_ERROR(run_with_file_identity(map_id(users->ids.uids, 0), map_id(users->ids.gids, 0),
                                         [&]() -> Status {
                                           mounted = mount_overlay(parts);
                                           return {};
                                         }));
  return mounted;
}

}  // namespace

Result<DetachedMount> ContainerFolders::mount_root(
    const ContainerId& id, const std::vector<std::string>& layers, bool unsynced,
    const std::optional<UserNamespace>& users) const {
  // A workspace that an earlier mount without syncing left behind is refused by the kernel: it is
  // made anew each time.
  ASSIGN_OR_RETURN(auto directory, open_file(folder(id), O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(remove_tree(directory, "work"));
  RETURN_IF_ERROR(make_directories(folder(id) + "/work", 0700));
  RETURN_IF_ERROR(make_directories(upper(id), 0755));
  ASSIGN_OR_RETURN(auto lower, open_layers(layers, users));
  // The two must lie on one mount.
  ASSIGN_OR_RETURN(auto mapped, open_mapped(folder(id), users));
  ASSIGN_OR_RETURN(auto upper_fd, open_file_at(mapped, "upper", O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(auto work_fd, open_file_at(mapped, "work", O_PATH | O_DIRECTORY));
  OverlayParts parts;
  for (const auto& fd : lower) parts.lower.push_back(fd);
  parts.upper = upper_fd;
  parts.work = work_fd;
  // Whatever the kernel's defaults are: layers are read by commit and diff, which know plain ones
  // only.
  for (const char* feature : {"metacopy", "redirect_dir", "index"}) {
    parts.options.push_back({.key = feature, .value = "off"});
  }
  if (unsynced) parts.options.push_back({.key = "volatile", .value = std::nullopt});
  return mount_as_root_of(users, parts);
}

Result<ImageRoot> ImageRoot::open(const std::vector<std::string>& layers,
                                  const std::optional<UserNamespace>& users) {
  ImageRoot root;
  ASSIGN_OR_RETURN(root.layers_, open_layers(layers, users));
  if (root.layers_.size() == 1) {
    if (!users) return root;
    root.mount_ = DetachedMount(std::move(root.layers_[0]));
    root.layers_.clear();
    return root;
  }
  OverlayParts parts;
  for (const auto& fd : root.layers_) parts.lower.push_back(fd);
  ASSIGN_OR_RETURN(root.mount_, mount_overlay(parts));
  return root;
}

Result<DetachedMount> ImageRoot::take() && {
  if (mount_) return std::move(*mount_);
  return DetachedMount::clone(layers_[0], "", false);
}

namespace {

// What one layer has of a directory of the image.
struct LayerPart {
  UniqueFd directory;        // not open: nothing
  bool hides_lower = false;  // and lower layers have no part in it either
};

// `path` is that of the image: from the root, without symlinks.
Result<LayerPart> open_part(BorrowedFd layer, const std::string& path) {
  LayerPart part;
  ASSIGN_OR_RETURN(part.directory, open_file_at(layer, ".", O_RDONLY | O_DIRECTORY));
  for (std::size_t at = 0; at < path.size();) {
    auto end = std::min(path.find('/', at), path.size());
    std::string name = path.substr(at, end - at);
    at = end + 1;
    if (name.empty()) continue;
    auto next = open_file_at(part.directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!next) {
      part.directory.reset();
      // A whiteout, or something else that is no directory.
      part.hides_lower = part.hides_lower || next.error().sys_errno != ENOENT;
      return part;
    }
    part.directory = std::move(*next);
    ASSIGN_OR_RETURN(auto opaque, read_xattr(part.directory, "", "trusted.overlay.opaque"));
    part.hides_lower = part.hides_lower || opaque == "y";
  }
  return part;
}

}  // namespace

// kNotFound where it is not one layer's.
Result<UniqueFd> ImageRoot::open_in_sole_layer(const std::string& path) const {
  UniqueFd found;
  for (const auto& layer : layers_) {
    ASSIGN_OR_RETURN(auto part, open_part(layer, path));
    if (part.directory && found) return fail(Code::kNotFound, "\"{}\" is of several layers", path);
    if (part.directory) found = std::move(part.directory);
    if (part.hides_lower) break;
  }
  if (!found) return fail(Code::kNotFound, "no layer has \"{}\"", path);
  return found;
}

Result<UniqueFd> ImageRoot::open_content(const std::string& path) const {
  ASSIGN_OR_RETURN(auto content,
                   open_confined(fd(), path, Confine::kInRoot, O_RDONLY | O_DIRECTORY));
  if (layers_.size() < 2) return content;
  ASSIGN_OR_RETURN(auto inside, path_of(content));
  auto sole = open_in_sole_layer(inside);
  return sole ? std::move(sole) : std::move(content);
}

}  // namespace holdfast
