#pragma once

#include <vector>

#include "engine/secrets/secret_reference.h"
#include "engine/secrets/secrets.h"
#include "os/mount.h"
#include "runtime/oci_spec.h"

namespace holdfast {

// The secrets of one container made ready: detached mounts of memory alone, filled and read-only,
// and the ContainerMounts that borrow them. Movable; keep it until Runtime::create returned.
struct SecretMounts {
  std::vector<DetachedMount> trees;
  std::vector<ContainerMount> mounts;
};

// Where the content lies while a container runs. kProbe takes tmpfs where it can be told to stay
// out of swap (6.4), else ramfs, which always does.
enum class SecretFileSystem { kProbe, kRamfs };

// Opens the secrets and makes one mount for /run/secrets, and one for each file elsewhere. They go
// behind all other mounts of the container. Needs CAP_SYS_ADMIN; `scratch` is a directory to hang a
// mount on for a moment, in a namespace of its own. Errors are those of Secrets::reveal() and of
// mounting.
Result<SecretMounts> mount_secrets(const std::vector<SecretReference>& references,
                                   const Secrets& secrets, const std::string& scratch,
                                   SecretFileSystem file_system = SecretFileSystem::kProbe);

}  // namespace holdfast
