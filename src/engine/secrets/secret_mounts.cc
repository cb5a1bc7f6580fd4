#include "engine/secrets/secret_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "os/private_namespace.h"
#include "os/safe_path.h"

namespace holdfast {
namespace {

// One file to be: which secret, and its path in the mount.
struct SecretFile {
  const SecretReference* reference;
  std::string path;
  SecretBytes content;
};

// tmpfs counts whole pages, and every name.
std::vector<MountOption> tmpfs_options(const std::vector<SecretFile>& files) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::size_t bytes = 0;
  std::size_t names = 1;
  for (const auto& file : files) {
    bytes += (file.content.size() + page - 1) / page * page;
    names += 1 + static_cast<std::size_t>(std::count(file.path.begin(), file.path.end(), '/'));
  }
  return {{"noswap", std::nullopt, BorrowedFd(-1)},
          {"size", std::to_string(bytes), BorrowedFd(-1)},
          {"nr_inodes", std::to_string(names), BorrowedFd(-1)},
          {"mode", "0755", BorrowedFd(-1)}};
}

Result<DetachedMount> mount_memory(const std::vector<SecretFile>& files,
                                   SecretFileSystem file_system) {
  MountAttributes attributes;
  attributes.no_suid = attributes.no_dev = attributes.no_exec = true;
  if (file_system == SecretFileSystem::kProbe) {
    auto made = mount_filesystem("tmpfs", "tmpfs", tmpfs_options(files), attributes);
    bool unknown_option = !made && made.error().code == Code::kInvalidArgument;
    if (!unknown_option) return made;
  }
  return mount_filesystem("ramfs", "ramfs", {{"mode", "0755", BorrowedFd(-1)}}, attributes);
}

Status write_file(BorrowedFd root, const SecretFile& file) {
  const auto& reference = *file.reference;
  UniqueFd directory;
  std::string name = file.path;
  if (auto slash = name.rfind('/'); slash != std::string::npos) {
    ASSIGN_OR_RETURN(directory,
                     make_directories_confined(root, name.substr(0, slash), Confine::kBeneath));
    name.erase(0, slash + 1);
  }
  ASSIGN_OR_RETURN(auto target, open_file_at(directory ? directory.borrow() : root, name,
                                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  RETURN_IF_ERROR(write_all(target, file.content.view()));
  if (::fchown(target.get(), reference.uid, reference.gid) != 0)
    return fail_errno("chown to {}:{}", reference.uid, reference.gid);
  if (::fchmod(target.get(), reference.mode) != 0)
    return fail_errno("chmod to {:04o}", reference.mode);
  return {};
}

// A mount that holds these files and will hold no others.
Result<DetachedMount> make_filled(const std::vector<SecretFile>& files,
                                  SecretFileSystem file_system) {
  ASSIGN_OR_RETURN(auto mount, mount_memory(files, file_system));
  for (const auto& file : files) {
    if (auto written = write_file(mount.root(), file); !written) {
      return tl::unexpected(
          std::move(written).error().wrap(fmt::format("secret {}", file.reference->name)));
    }
  }
  MountAttributes read_only;
  read_only.read_only = true;
  RETURN_IF_ERROR(mount.set(read_only));
  return mount;
}

// A file of a mount that hangs nowhere can't be cloned before 6.15: the mount is hung up for that
// where nobody sees it.
Result<DetachedMount> take_file(DetachedMount mount, const std::string& name,
                                const std::string& scratch) {
  UniqueFd taken;
  RETURN_IF_ERROR(run_in_private_mount_namespace([&]() -> Status {
    ASSIGN_OR_RETURN(auto place, open_file(scratch, O_PATH | O_DIRECTORY));
    ASSIGN_OR_RETURN(auto hung, std::move(mount).attach(place, "", scratch));
    ASSIGN_OR_RETURN(auto file, DetachedMount::clone(hung.root(), name, false));
    ASSIGN_OR_RETURN(taken, duplicate(file.root()));
    return {};
  }));
  return DetachedMount(std::move(taken));
}

void add(SecretMounts& made, DetachedMount tree, std::string target) {
  made.trees.push_back(std::move(tree));
  ContainerMount mount;
  mount.target = std::move(target);
  mount.source = "secrets";  // for the words of a failure
  mount.options = {"rprivate"};
  mount.tree = made.trees.back().root();
  made.mounts.push_back(std::move(mount));
}

}  // namespace

Result<SecretMounts> mount_secrets(const std::vector<SecretReference>& references,
                                   const Secrets& secrets, const std::string& scratch,
                                   SecretFileSystem file_system) {
  SecretMounts made;
  made.trees.reserve(references.size());  // the mounts borrow descriptors, which must not move
  std::vector<SecretFile> shared;
  for (const auto& reference : references) {
    ASSIGN_OR_RETURN(auto content, secrets.reveal(reference.id));
    if (reference.in_directory()) {
      std::string path = reference.target.substr(std::string_view(kSecretsDirectory).size() + 1);
      shared.push_back({&reference, std::move(path), std::move(content)});
      continue;
    }
    std::vector<SecretFile> alone;
    alone.push_back({&reference, "secret", std::move(content)});
    ASSIGN_OR_RETURN(auto tree, make_filled(alone, file_system));
    ASSIGN_OR_RETURN(auto file, take_file(std::move(tree), "secret", scratch));
    add(made, std::move(file), reference.target);
  }
  if (!shared.empty()) {
    ASSIGN_OR_RETURN(auto tree, make_filled(shared, file_system));
    add(made, std::move(tree), kSecretsDirectory);
  }
  return made;
}

}  // namespace holdfast
