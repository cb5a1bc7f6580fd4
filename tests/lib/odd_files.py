"""A directory with one of everything that a file system can hold, and the proof that nobody touched it."""

import os
import stat

from tree import describe, paths_below


def untouched(top):
    """What is the same as before only if nobody has changed anything below `top`, attributes included."""
    changed = {path: os.lstat(os.path.join(os.fsencode(top), path)).st_ctime_ns
               for path in paths_below(os.fsencode(top))}
    return describe(top), changed


def fill(top):
    """One of everything that a file system can hold, sockets aside."""
    write(top, "plain", b"text\n")
    write(top, "empty", b"")
    os.makedirs(f"{top}/dir/sub/empty")
    write(top, "dir/sub/owned", os.urandom(300_000), mode=0o640, owner=(999, 1234))
    write(top, "dir/set-uid", b"#!/bin/sh\n", mode=0o4755, owner=(1000, 1000))
    write(top, "read-only", b"x", mode=0o400)
    write(top, "name with\nnewline and \xff".encode("latin-1"), b"odd")
    os.link(f"{top}/plain", f"{top}/dir/hard-link")
    os.symlink("/etc/passwd", f"{top}/absolute")
    os.symlink("../../..", f"{top}/dir/upwards")
    os.symlink("nowhere", f"{top}/dangling")
    os.lchown(f"{top}/dangling", 77, 78)
    os.mkfifo(f"{top}/fifo", 0o600)
    os.mknod(f"{top}/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with open(f"{top}/sparse", "wb") as file:
        file.truncate(64 << 20)
        file.seek(30 << 20)
        file.write(b"island")
    os.setxattr(f"{top}/plain", "user.note", b"kept\0whole")
    os.setxattr(f"{top}/dir", "trusted.note", b"root's")
    # POSIX ACLs: user::rw-, user:1000:r--, group::r--, mask::r--, other::---
    acl = b"\2\0\0\0" + b"".join(
        tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, rights, who in (
            (1, 6, 0xFFFFFFFF), (2, 4, 1000), (4, 4, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF),
            (32, 0, 0xFFFFFFFF),
        )
    )
    os.setxattr(f"{top}/read-only", "system.posix_acl_access", acl)
    os.setxattr(f"{top}/dir", "system.posix_acl_default", acl)
    # cap_net_bind_service=ep
    os.setxattr(f"{top}/empty", "security.capability",
                bytes.fromhex("0100000200040000000000000000000000000000"))
    os.chown(top, 999, 999)
    os.chmod(top, 0o2750)
    for name, when in (("plain", 1_000_000_000_123_456_789), ("dir", 1_234_567_890_000_000_001)):
        os.utime(f"{top}/{name}", ns=(when, when))


def write(top, name, data, mode=0o644, owner=(0, 0)):
    path = os.path.join(os.fsencode(top), os.fsencode(name))
    with open(path, "wb") as file:
        file.write(data)
    os.chown(path, *owner)
    os.chmod(path, mode)
