#pragma once

#include <string>
#include <vector>

#include "engine/mounts/mount_point.h"

namespace holdfast {

// The options of a mount as words: what follows the second colon of a -v, and our own field
// Mounts[].Options. Docker's, Podman's and nerdctl's:
//
//   ro rw rro                      z Z               copy nocopy        nocreate
//   [r]private [r]shared [r]slave [r]unbindable      bind rbind         [no]exec [no]suid [no]dev
//   cached delegated consistent default              U chown            idmap[=uids=…;gids=…]
//   O upperdir=PATH workdir=PATH

// Sets what `words` say about a mount whose type is set. kInvalidArgument with the reason alone,
// for the caller to put the mount in front: a word that is unknown, empty, repeated, contradicts
// another, lacks its value, or means nothing for this type of mount.
Status apply_mount_words(const std::vector<std::string>& words, MountPoint& mount);

// "uids=0-1000-1#1-100001-65535;gids=0-0-1", what may follow "idmap=": ranges of id on the disk, id
// as the host sees it through the mount, count. With "@" in front of the first number of a kind the
// second is an id of the container's user namespace. Not given: ids stay as they are.
Result<IdMapRequest> parse_id_map(const std::string& text);

}  // namespace holdfast
