"""First use of a volume: the image's content at its target, copied exactly and once.

What is expected is what a container of the same image sees there without a volume. It is looked at
through the container's own root, after the container has started.
"""

import concurrent.futures
import contextlib
import ctypes
import os
import random
import struct

import pytest
from engine import run
from probe import demultiplex
from tree import describe, difference
from waiting import until

MEGABYTE = 1 << 20
IMMEMORIAL = 1_000_000_000_123_456_789  # ns, with all its digits


def acl(*entries):
    """posix_acl_xattr: version 2, then tag, permissions and id of each entry, little-endian."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF
USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
WITH_USER_1234 = acl((USER_OBJ, 6, NOBODY), (USER, 6, 1234), (GROUP_OBJ, 4, NOBODY), (MASK, 6, NOBODY),
                     (OTHER, 0, NOBODY))


def write(path, content=b"", mode=0o644, owner=(0, 0)):
    path.write_bytes(content)
    os.chown(path, *owner)
    path.chmod(mode)


def make_files(root):
    write(root / "setuid", b"#!/bin/sh\n", 0o4755)
    write(root / "setgid of another", b"x", 0o2711, (12, 34))
    write(root / "nobody may", b"secret", 0o000, (1000, 2000))
    write(root / "large ids", b"ids", 0o600, (4_000_000, 3_999_999))
    write(root / "empty")
    write(root / "large", random.Random(1).randbytes(3 * MEGABYTE + 1))
    write(root / "with attributes", b"x")
    os.setxattr(root / "with attributes", "user.colour", b"blue\0\xff")
    os.setxattr(root / "with attributes", "user.empty", b"")
    write(root / "with an acl", b"x", 0o660)
    os.setxattr(root / "with an acl", "system.posix_acl_access", WITH_USER_1234)
    with open(root / "sparse", "wb") as file:
        file.write(b"head")
        file.seek(32 * MEGABYTE)
        file.write(b"middle")
        file.truncate(64 * MEGABYTE)
    with open(root / "a hole alone", "wb") as file:
        file.truncate(8 * MEGABYTE)


def make_links(root):
    (root / "there").symlink_to("empty")
    (root / "absolute").symlink_to("/data/empty")
    (root / "dangling").symlink_to("not/there")
    (root / "out of it").symlink_to("../../../etc/passwd")
    (root / "of another").symlink_to("empty")
    os.lchown(root / "of another", 12, 34)
    write(root / "one of three", b"linked", 0o604, (5, 6))
    (root / "folder").mkdir()
    (root / "two of three").hardlink_to(root / "one of three")
    (root / "folder/three of three").hardlink_to(root / "one of three")
    os.link(root / "dangling", root / "folder/dangling too", follow_symlinks=False)


def make_special(root):
    os.mkfifo(root / "fifo")
    os.chown(root / "fifo", 7, 8)
    (root / "fifo").chmod(0o620)
    os.mknod(root / "null", 0o666 | 0o020000, os.makedev(1, 3))
    os.mknod(root / "block", 0o600 | 0o060000, os.makedev(7, 250))


def make_names(root):
    names = [b"with\nnewline", b"\xff\xfe not UTF-8", b"-rf", b".hidden", b"n" * 255, b"a\\b", b" ", b"\xc3\xa9"]
    for name in names:
        write(root / os.fsdecode(name), name)


def make_folders(root):
    (root / "empty folder").mkdir()
    for name, mode, owner in (("sticky", 0o1777, (0, 0)), ("setgid folder", 0o2775, (0, 50)),
                              ("closed", 0o700, (1000, 1000))):
        (root / name).mkdir()
        os.chown(root / name, *owner)
        (root / name).chmod(mode)
        write(root / name / "inside", b"inside", 0o640, owner)
    (root / "heirs").mkdir()
    os.setxattr(root / "heirs", "user.kind", b"directory")
    write(root / "heirs/made before", b"x")
    os.setxattr(root / "heirs", "system.posix_acl_default", WITH_USER_1234)
    os.chown(root, 1234, 5678)
    root.chmod(0o751)


def set_times(root):
    """Each its own, folders last: what is made in one changes it."""
    for number, (folder, folders, files) in enumerate(os.walk(root, topdown=False)):
        for index, name in enumerate(sorted(files)):
            age = IMMEMORIAL + (number * 1000 + index) * 1_000_000_007
            os.utime(os.path.join(folder, name), ns=(age, age), follow_symlinks=False)
        for name in folders:
            if os.path.islink(os.path.join(folder, name)):
                os.utime(os.path.join(folder, name), ns=(IMMEMORIAL, IMMEMORIAL), follow_symlinks=False)
        os.utime(folder, ns=(IMMEMORIAL - number, IMMEMORIAL - number))


@pytest.fixture(scope="module")
def odd_tree(tmp_path_factory):
    """A tree whose data/ has of all that is hard to copy."""
    root = tmp_path_factory.mktemp("odd") / "data"
    root.mkdir()
    for make in (make_files, make_links, make_special, make_names, make_folders, set_times):
        make(root)
    return root


@pytest.fixture
def odd(docker, odd_tree, tmp_path):
    """Images made of it: `odd` with a VOLUME there, and `odd:bare`, the same without."""
    top = tmp_path / "top"
    top.mkdir()
    docker("create", "--name", "base", "busybox")
    docker("export", "-o", tmp_path / "base.tar", "base")
    docker("rm", "base")
    run("tar", "-C", top, "-xf", tmp_path / "base.tar")
    archive = tmp_path / "odd.tar"
    run("tar", "--format=posix", "--xattrs", "--xattrs-include=*", "--sparse", "-cf", archive, "-C", top, ".",
        "-C", odd_tree.parent, "data")
    docker("import", archive, "odd:bare")
    docker("import", "--change", "VOLUME /data", archive, "odd")


def seen_by(api, name):
    """What the container `name`, which runs, has at /data."""
    return describe(f"/proc/{api.container(name)['State']['Pid']}/root/data")


def of_no_device(tree):
    return {path: entry for path, entry in tree.items() if "device" not in entry.kind}


FORMS = {
    "v": ["-v", "data:/data", "odd:bare"],
    "mount": ["--mount", "type=volume,src=data,dst=/data", "odd:bare"],
    "read-only": ["-v", "data:/data:ro", "odd:bare"],
    "anonymous": ["-v", "/data", "odd:bare"],
    "image volume": ["odd"],
}


def test_the_image_itself_has_it_all(docker, api, odd, odd_tree):
    """Otherwise the tests below would compare nothing with nothing."""
    docker("run", "-d", "--name", "bare", "odd:bare", "sleep", "1d")
    assert difference(describe(odd_tree), seen_by(api, "bare")) == []


@pytest.mark.holdfast_only("dockerd makes the devices, too")
@pytest.mark.parametrize("form", FORMS)
def test_content_is_exact(cli, api, odd, form):
    cli("run", "-d", "--name", "bare", "odd:bare", "sleep", "1d")
    cli("run", "-d", "--name", "filled", *FORMS[form], "sleep", "1d")
    expected = seen_by(api, "bare")
    assert sum("device" in entry.kind for entry in expected.values()) == 2
    assert difference(of_no_device(expected), seen_by(api, "filled")) == []


IN_PLACE = {  # volumes that are file systems of their own are filled where they are
    "bind": ["-o", "type=none", "-o", "o=bind", "-o", "device=FOLDER"],
    "sized": ["-o", "size=128m"],
}


@pytest.mark.holdfast_only("dockerd makes the devices, too, and knows no sizes here")
@pytest.mark.parametrize("kind", IN_PLACE)
def test_content_is_exact_where_options_mount_something(docker, api, odd, kind, tmp_path):
    (tmp_path / "folder").mkdir()
    docker("volume", "create", *(word.replace("FOLDER", str(tmp_path / "folder")) for word in IN_PLACE[kind]), "data")
    docker("run", "-d", "--name", "bare", "odd:bare", "sleep", "1d")
    docker("run", "-d", "--name", "filled", "-v", "data:/data", "odd:bare", "sleep", "1d")
    assert difference(of_no_device(seen_by(api, "bare")), seen_by(api, "filled")) == []


# Many at once.


class Appearances:
    """The names that come into a directory, by inotify(7), from now on."""

    CREATED, MOVED_TO = 0x100, 0x80
    HEAD = struct.Struct("iIII")  # watch, mask, cookie, length of the name

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = self.CREATED | self.MOVED_TO
        watch = libc.inotify_add_watch(self.descriptor, os.fsencode(folder), mask)
        assert self.descriptor >= 0 and watch >= 0, os.strerror(ctypes.get_errno())

    def names(self):
        """Those so far; asked once."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.descriptor, 65536):
                data += chunk
        os.close(self.descriptor)
        names = []
        while data:
            length = self.HEAD.unpack_from(data)[3]
            names.append(data[self.HEAD.size :][:length].rstrip(b"\0").decode())
            data = data[self.HEAD.size + length :]
        return names


# Names, inodes, times of change, and content: of a second copy the first three would differ.
LOOK = """
cd /data
find . -type f | sort | xargs stat -c '%n %i %Z' | md5sum
find . -type f | sort | xargs cat | md5sum
find . -type f | wc -l
"""


@pytest.mark.holdfast_only("dockerd 20.10 fails with 'file exists', or starts some before all is there")
@pytest.mark.images("manyfiles:20000")
def test_twenty_containers_at_once_make_one_copy(docker, api, engine):
    staging = engine.data_root / "staging"
    appearances = Appearances(staging)
    names = [f"user{number}" for number in range(20)]
    flags = ["-v", "data:/data", "--network", "none"]
    starts = [docker.start("run", "--name", name, *flags, "manyfiles:20000", "sh", "-c", LOOK) for name in names]
    outputs = [process.communicate(timeout=150) for process in starts]
    assert [process.returncode for process in starts] == [0] * 20, outputs
    assert [err for _, err in outputs] == [b""] * 20
    (seen,) = {out for out, _ in outputs}
    assert seen.split()[-1] == b"20000"

    fills = [name for name in appearances.names() if name.startswith("fill-")]
    assert len(fills) == 1, fills
    assert list(staging.iterdir()) == []
    content = docker("run", "--rm", "-v", "/other", "--network", "none", "manyfiles:20000", "sh", "-c", LOOK)
    assert content.lines[1].encode() == seen.splitlines()[1]
    host = docker("run", "--rm", "-v", "data:/data:nocopy", "--network", "none", "busybox", "sh", "-c", LOOK)
    assert host.out.encode() == seen


@pytest.mark.images("manyfiles:20000")
@pytest.mark.holdfast_only("dockerd 20.10 fails with 'file exists', or starts some before all is there")
def test_twenty_containers_made_at_once_on_a_volume_that_options_mount(docker, api, engine, tmp_path):
    """It is filled in place, while others have it mounted, too."""
    folder = tmp_path / "folder"
    folder.mkdir()
    options = {"type": "none", "o": "bind", "device": str(folder)}
    assert api.post("/volumes/create", {"Name": "data", "DriverOpts": options}).status == 201
    body = {"Image": "manyfiles:20000", "Cmd": ["sh", "-c", LOOK + "exec sleep 1d"],
            "HostConfig": {"Binds": ["data:/data"], "NetworkMode": "none"}}
    docker("run", "-d", "-v", "data:/d", "busybox", "sleep", "1d")
    appearances = Appearances(engine.data_root / "staging")

    def make_and_start(_):
        made = api.post("/containers/create", body)
        assert made.status == 201, made.body
        started = api.post(f"/containers/{made.json['Id']}/start")
        assert started.status == 204, started.body
        return made.json["Id"]

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        made = list(pool.map(make_and_start, range(20)))

    def said(identity):
        text = demultiplex(api.get(f"/containers/{identity}/logs", stdout=1, stderr=1).body)
        return len(text.splitlines()) >= 3 and text

    texts = {until(lambda: said(identity), f"{identity} has looked", 100) for identity in made}
    assert len(texts) == 1, texts
    seen = texts.pop()
    assert seen.splitlines()[-1] == "20000"
    markers = {name for name in appearances.names() if name.startswith("fill-") and name.endswith(".json")}
    assert len(markers) == 1, markers
    assert list((engine.data_root / "staging").iterdir()) == []
    assert sorted(os.listdir(folder)) == [f"{number:03}" for number in range(200)]
