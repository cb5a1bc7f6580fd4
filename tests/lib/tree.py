"""A directory tree in a form that can be compared: all that a copy of it has to keep."""

import errno
import hashlib
import os
import stat
from dataclasses import asdict, dataclass, field

KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket", stat.S_IFCHR: "character device", stat.S_IFBLK: "block device",
}


@dataclass
class Entry:
    kind: str
    mode: str
    owner: tuple
    modified: int  # ns
    size: int = None  # of files
    digest: str = None
    holes: tuple = None  # (where data begins, where it ends)…
    target: bytes = None
    names: tuple = ()  # all names of a file that has several
    attributes: dict = field(default_factory=dict)


def data_of(descriptor, size):
    """Where the file has data, as the file system tells."""
    found, at = [], 0
    while at < size:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
        at = os.lseek(descriptor, begin, os.SEEK_HOLE)
        found.append((begin, at))
    return tuple(found)


def entry_of(path, status, same):
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    entry = Entry(kind, f"{stat.S_IMODE(status.st_mode):04o}", (status.st_uid, status.st_gid), status.st_mtime_ns)
    if kind == "file":
        with open(path, "rb") as file:
            entry.holes = data_of(file.fileno(), status.st_size)
            entry.size = status.st_size
            entry.digest = hashlib.file_digest(file, "sha256").hexdigest()
    if kind == "symlink":
        entry.target = os.readlink(path)
    if kind != "directory":
        entry.names = same if len(same) > 1 else ()
    for name in os.listxattr(path, follow_symlinks=False):
        if name != "security.selinux":
            entry.attributes[name] = os.getxattr(path, name, follow_symlinks=False)
    return entry


def paths_below(root):
    yield b"."
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            yield os.path.relpath(os.path.join(folder, name), root)


def describe(root):
    """{path, as bytes: Entry} of the root and all below it."""
    root = os.fsencode(root)
    found, same = {}, {}
    for path in paths_below(root):
        found[path] = status = os.lstat(os.path.join(root, path))
        same.setdefault((status.st_dev, status.st_ino), []).append(path)
    return {
        path: entry_of(os.path.join(root, path), status, tuple(sorted(same[status.st_dev, status.st_ino])))
        for path, status in found.items()
    }


def difference(expected, found):
    """What is not the same, a line each."""
    lines = [f"{path!r} is missing" for path in expected.keys() - found.keys()]
    lines += [f"{path!r} is new" for path in found.keys() - expected.keys()]
    for path in expected.keys() & found.keys():
        wanted, seen = asdict(expected[path]), asdict(found[path])
        lines += [
            f"{path!r}: {name} {seen[name]!r} instead of {wanted[name]!r}"
            for name in wanted if wanted[name] != seen[name]
        ]
    return sorted(lines)
