"""Mounts of every type with every option, alone and in pairs, as the container finds them.

Each row of a table is tried through -v, --mount and the raw API; what counts is what the probe sees
from inside (tests/lib/probe.py), never what the engine says of itself.
"""

import itertools
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

import fuse
import probe
from probe import through_api

UID, GID = 1234, 2345  # whose the bind's source is on the host
USER = {"User": "33:44"}


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


@pytest.fixture
def source(tmp_path, cache_of_busybox):
    """A directory with something to run, a device, a set-user-id program, and a mount below it."""
    folder = tmp_path / "source"
    folder.mkdir(mode=0o755)
    shutil.copy(cache_of_busybox, folder / "run")
    (folder / "run").write_text("#!/bin/sh\nexit 0\n")
    (folder / "run").chmod(0o755)
    shutil.copy(cache_of_busybox, folder / "suid")
    (folder / "suid").chmod(0o4755)
    os.mknod(folder / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    (folder / "zero").chmod(0o666)
    (folder / "below").mkdir()
    mount("-t", "tmpfs", "below", folder / "below")
    os.chown(folder, UID, GID)
    yield folder
    subprocess.run(["umount", "-l", folder / "below"], check=True)


@pytest.fixture(scope="session")
def cache_of_busybox():
    """A statically linked busybox of the host's, which runs in any container."""
    return Path("/bin/busybox")


# What each option of a bind must be seen to do. The probe runs as root unless the row says so.


def options_of(seen):
    return seen.mount.options


BIND_WORDS = {
    "ro": lambda seen: not seen.can("write") and "ro" in options_of(seen),
    "rw": lambda seen: seen.can("write") and "rw" in options_of(seen),
    "rro": lambda seen: not seen.can("write") and not seen.can("write below"),
    "z": lambda seen: seen.can("write"),
    "Z": lambda seen: seen.can("write"),
    "cached": lambda seen: seen.can("write"),
    "delegated": lambda seen: seen.can("write"),
    "consistent": lambda seen: seen.can("write"),
    "private": lambda seen: not seen.mount.fields,
    "rprivate": lambda seen: not seen.mount.fields,
    "unbindable": lambda seen: seen.mount.fields == ["unbindable"],
    "runbindable": lambda seen: seen.mount.fields == ["unbindable"],
    "rbind": lambda seen: [mount.target for mount in seen.below] == ["/d/below"],
    "bind": lambda seen: not seen.below,
    "exec": lambda seen: seen.can("run"),
    "noexec": lambda seen: not seen.can("run") and "noexec" in options_of(seen),
    "suid": lambda seen: "nosuid" not in options_of(seen),
    "nosuid": lambda seen: "nosuid" in options_of(seen),
    "dev": lambda seen: seen.can("use devices"),
    "nodev": lambda seen: not seen.can("use devices") and "nodev" in options_of(seen),
    "U": lambda seen: seen.owner == "33:44",
    "chown": lambda seen: seen.owner == "33:44",
    "idmap": lambda seen: seen.owner == "33:44" and "idmapped" in options_of(seen),
    "O": lambda seen: seen.mount.type == "overlay" and seen.can("write"),
    "copy": lambda seen: "run" in seen.entries,
    "nocreate": lambda seen: "run" in seen.entries,
}
# What only the user the files are given to can be asked.
FOR_USER = ("U", "chown", "idmap")
# Options without which docker's own --mount is, and those it spells in another way.
DOCKER_MOUNT = {
    "ro": "readonly",
    "rw": "readonly=false",
    "bind": "bind-recursive=disabled",
    "rbind": "bind-recursive=enabled",
    "rro": "readonly,bind-propagation=rprivate,bind-recursive=readonly",
    "private": "bind-propagation=private",
    "rprivate": "bind-propagation=rprivate",
    "cached": "consistency=cached",
    "delegated": "consistency=delegated",
    "consistent": "consistency=consistent",
}
HOLDFAST_MOUNT = {"z": "relabel=shared", "Z": "relabel=private"}
# Not a key of any --mount: exists as an option of -v and in the raw API only.
ONLY_OF_V = ("unbindable", "runbindable")


def as_seen_by(cli, words, *flags):
    output = cli("run", "--rm", "--network", "none", *flags, *words, "busybox", "sh", "-c",
                 probe.script())
    return probe.parse(output.out)


def user_flags(word):
    return ["--user", USER["User"]] if word in FOR_USER else []


@pytest.mark.holdfast_only("dockerd knows fewer options")
@pytest.mark.parametrize("word", BIND_WORDS)
def test_bind_option_by_v(cli, source, word):
    seen = as_seen_by(cli, ["-v", f"{source}:/d:{word}"], *user_flags(word))
    assert BIND_WORDS[word](seen), seen


@pytest.mark.holdfast_only("dockerd knows fewer options")
@pytest.mark.newer_client("knows no bind-recursive")
@pytest.mark.parametrize("word", BIND_WORDS)
def test_bind_option_by_mount(cli, source, word):
    keys = DOCKER_MOUNT.get(word)
    if cli.program == "docker" and keys is None:
        output = cli.fails("run", "--rm", "--mount", f"type=bind,src={source},dst=/d,{word}=1",
                           "busybox", "true", code=125)
        assert "unexpected key" in output.err  # the client's own answer
        return
    if word in ONLY_OF_V:
        keys = f"bind-propagation={word}"
    keys = keys or HOLDFAST_MOUNT.get(word, word)
    seen = as_seen_by(cli, ["--mount", f"type=bind,src={source},dst=/d,{keys}"], *user_flags(word))
    assert BIND_WORDS[word](seen), seen


@pytest.mark.holdfast_only("dockerd knows no Options")
@pytest.mark.parametrize("word", BIND_WORDS)
def test_bind_option_by_raw_api(api, source, word):
    config = USER if word in FOR_USER else {}
    seen = through_api(api, {"Binds": [f"{source}:/d:{word}"]}, **config)
    assert BIND_WORDS[word](seen), seen
    entry = {"Type": "bind", "Source": str(source), "Target": "/d", "Options": [word]}
    if word == "nocreate":  # a bind of Mounts never makes its source
        entry.pop("Options")
    seen = through_api(api, {"Mounts": [entry]}, **config)
    assert BIND_WORDS[word](seen), seen


# Pairs of options that bear on each other: both hold, in either order.
PAIRED = ("ro", "rw", "rro", "noexec", "exec", "nosuid", "nodev", "U", "idmap", "bind", "rbind",
          "rprivate", "unbindable", "O")
EXCLUDING = [{"ro", "rw", "rro"}, {"noexec", "exec"}, {"U", "idmap"}, {"bind", "rbind"},
             {"rprivate", "unbindable"}]
NOT_WITH_O = {"ro", "rro", "U", "idmap", "bind", "rbind", "rprivate", "unbindable"}


def contradict(pair):
    return any(pair <= group for group in EXCLUDING) or ("O" in pair and pair & NOT_WITH_O)


@pytest.mark.holdfast_only("dockerd knows fewer options")
def test_pairs_of_bind_options(api, source):
    for first, second in itertools.permutations(PAIRED, 2):
        binds = {"Binds": [f"{source}:/d:{first},{second}"]}
        if contradict({first, second}):
            answer = through_api(api, binds)
            assert isinstance(answer, str) and answer.startswith(f"invalid mode: {first},{second}: ")
            assert f'"{first}"' in answer and f'"{second}"' in answer, answer
            continue
        user = USER if {first, second} & set(FOR_USER) else {}
        os.chown(source, UID, GID)
        seen = through_api(api, binds, **user)
        if user:  # who is not root, and whose the files are, writes as the owner
            seen.abilities |= {"write"} if "rw" in seen.mount.options else set()
        for word in (first, second):
            assert BIND_WORDS[word](seen), (first, second, word, seen)


@pytest.mark.holdfast_only("20.10 has no recursive read-only")
def test_read_only_reaches_the_mounts_below_unless_asked_otherwise(api, source):
    bind = {"Type": "bind", "Source": str(source), "Target": "/d", "ReadOnly": True}
    assert not through_api(api, {"Mounts": [bind]}).can("write below")
    top = {**bind, "BindOptions": {"ReadOnlyNonRecursive": True}}
    seen = through_api(api, {"Mounts": [top]})
    assert seen.can("write below") and not seen.can("write")
    forced = {**bind, "BindOptions": {"ReadOnlyForceRecursive": True}}
    assert not through_api(api, {"Mounts": [forced]}).can("write below")


@pytest.mark.holdfast_only("20.10 has no recursive read-only")
@pytest.mark.parametrize("version, below", [("1.43", True), ("1.44", False)])
def test_read_only_of_clients_before_144_ends_at_the_top(api, source, version, below):
    for host_config in (
        {"Binds": [f"{source}:/d:ro"]},
        {"Mounts": [{"Type": "bind", "Source": str(source), "Target": "/d", "ReadOnly": True}]},
    ):
        seen = through_api(api, host_config, version=version)
        assert seen.can("write below") == below and not seen.can("write"), host_config


# Propagation, real and both ways.


@pytest.fixture
def shared(tmp_path):
    """A mount of the host's that shares what is mounted below it."""
    folder = tmp_path / "shared"
    folder.mkdir()
    mount("-t", "tmpfs", "shared", folder)
    mount("--make-shared", folder)
    (folder / "host").mkdir()
    (folder / "container").mkdir()
    yield folder
    while subprocess.run(["umount", "-R", folder], capture_output=True).returncode == 0:
        pass


PROPAGATION = {  # option → the container sees the host's new mounts, the host the container's
    "rprivate": (False, False),
    "private": (False, False),
    "rslave": (True, False),
    "slave": (True, False),
    "rshared": (True, True),
    "shared": (True, True),
}


@pytest.mark.parametrize("option", PROPAGATION)
def test_propagation(cli, host_capabilities, shared, option):
    to_container, to_host = PROPAGATION[option]
    cli("run", "-d", "--name", "spread", "--privileged", "-v", f"{shared}:/d:{option}", "busybox",
        "sleep", "1000")
    mount("-t", "tmpfs", "from-host", shared / "host")
    seen = cli("exec", "spread", "cat", "/proc/mounts").out
    assert ("from-host /d/host" in seen) == to_container
    cli("exec", "spread", "mount", "-t", "tmpfs", "from-container", "/d/container")
    host = Path("/proc/mounts").read_text()
    assert (f"from-container {shared}/container" in host) == to_host


def test_a_source_that_shares_nothing_cannot_propagate(cli, tmp_path):
    folder = tmp_path / "private"
    folder.mkdir()
    mount("-t", "tmpfs", "private", folder)
    mount("--make-private", folder)
    try:
        for option, kind in (("rshared", "shared"), ("rslave", "shared or slave")):
            cli.fails("run", "--rm", "-v", f"{folder}:/d:{option}", "busybox", "true", code=125,
                      says=f"path {folder} is mounted on {folder} but it is not a {kind} mount")
    finally:
        subprocess.run(["umount", folder], check=True)


# Volumes.

VOLUME_WORDS = {
    **{word: BIND_WORDS[word] for word in
       ("ro", "rw", "z", "Z", "cached", "delegated", "consistent", "nosuid", "U", "chown", "O")},
    "noexec": lambda seen: "noexec" in options_of(seen) and not seen.can("run"),
    "nodev": lambda seen: "nodev" in options_of(seen) and not seen.can("use devices"),
    "exec": lambda seen: "noexec" not in options_of(seen),
    "suid": lambda seen: "nosuid" not in options_of(seen),
    "dev": lambda seen: "nodev" not in options_of(seen),
    "bind": lambda seen: seen.can("write"),
    "rbind": lambda seen: seen.can("write"),
    "rro": lambda seen: not seen.can("write"),
    "copy": lambda seen: seen.can("write"),
    "nocopy": lambda seen: seen.can("write"),
    "idmap": lambda seen: seen.owner == "33:44" and "idmapped" in options_of(seen),
}


@pytest.mark.holdfast_only("dockerd knows fewer options")
@pytest.mark.parametrize("word", VOLUME_WORDS)
def test_volume_option(cli, api, word):
    cli("volume", "create", "data")
    user = user_flags(word)
    seen = as_seen_by(cli, ["-v", f"data:/d:{word}"], *user)
    assert VOLUME_WORDS[word](seen), seen
    entry = {"Type": "volume", "Source": "data", "Target": "/d", "Options": [word]}
    seen = through_api(api, {"Mounts": [entry]}, **(USER if user else {}))
    assert VOLUME_WORDS[word](seen), seen
    if cli.program == "holdfast" and word not in ("z", "Z", "rw", "nocopy", "bind", "rbind", "cached",
                                                  "delegated", "consistent"):
        seen = as_seen_by(cli, ["--mount", f"src=data,dst=/d,{word}"], *user)
        assert VOLUME_WORDS[word](seen), seen


@pytest.mark.holdfast_only("dockerd has no nocreate")
def test_nocreate(cli, api, tmp_path):
    cli.fails("run", "--rm", "-v", "none:/d:nocreate", "busybox", "true", code=125,
              says="no such volume")
    assert "none" not in api.volumes()
    cli.fails("run", "--rm", "-v", f"{tmp_path}/none:/d:nocreate", "busybox", "true", code=125,
              says=f"bind source path does not exist: {tmp_path}/none")
    assert not (tmp_path / "none").exists()


@pytest.mark.newer_client("knows no volume-subpath")
@pytest.mark.holdfast_only("20.10 has no sub-paths")
def test_subpath_of_a_volume(cli, api):
    cli("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c",
        "mkdir -p /d/deep/er && echo of the volume >/d/deep/er/file && ln -s deep/er /d/link")
    flags = ["--mount", "src=data,dst=/d,volume-subpath=deep/er"]
    assert cli("run", "--rm", *flags, "busybox", "cat", "/d/file").out == "of the volume\n"
    through_link = ["--mount", "src=data,dst=/d,volume-subpath=link"]
    assert cli("run", "--rm", *through_link, "busybox", "cat", "/d/file").out == "of the volume\n"
    file = ["--mount", "src=data,dst=/etc/one,volume-subpath=deep/er/file"]
    assert cli("run", "--rm", *file, "busybox", "cat", "/etc/one").out == "of the volume\n"
    cli.fails("run", "--rm", "--mount", "src=data,dst=/d,volume-subpath=none", "busybox", "true",
              says="no such file or directory")
    cli.fails("run", "--rm", "--mount", "src=data,dst=/d,volume-subpath=../x", "busybox", "true",
              code=125, says="subpath must be a relative path within the volume")
    cli.fails("run", "--rm", "--mount", "dst=/d,volume-subpath=x", "busybox", "true",
              code=125, says="must not set Subpath when using anonymous volumes")


@pytest.mark.holdfast_only("dockerd fills no bind")
@pytest.mark.images("volumeful")
@pytest.mark.parametrize("behind", fuse.BEHIND)
def test_copy_fills_an_empty_bind_once(cli, api, tmp_path, behind, request):
    folder = tmp_path / "empty"
    folder.mkdir()
    if behind == "fuse":
        fuse.put_behind_fuse(folder, request)
    assert "as expected" in cli("run", "--rm", "-v", f"{folder}:/data:copy", "volumeful").out
    assert oct(folder.stat().st_mode & 0o7777) == "0o751" and folder.stat().st_uid == 1234
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    (folder / "mine").touch()
    assert cli("run", "--rm", "-v", f"{folder}:/data:copy", "volumeful", "ls", "-A", "/data").lines == ["mine"]
    (folder / "mine").unlink()
    assert cli("run", "--rm", "-v", f"{folder}:/data", "volumeful", "ls", "-A", "/data").out == ""


# tmpfs, ramfs, devpts: made for the container.


def super_option(name, value):
    return lambda seen: f"{name}={value}" in seen.mount.super_options.split(",")


TMPFS_OPTIONS = {
    "": lambda seen: {"noexec", "nosuid", "nodev"} <= options_of(seen) and seen.mode == "1777",
    "ro": lambda seen: not seen.can("write"),
    "rw": lambda seen: seen.can("write"),
    "exec": lambda seen: "noexec" not in options_of(seen),
    "suid": lambda seen: "nosuid" not in options_of(seen),
    "dev": lambda seen: "nodev" not in options_of(seen),
    "noatime": lambda seen: "noatime" in options_of(seen),
    "nodiratime": lambda seen: "nodiratime" in options_of(seen),
    "relatime": lambda seen: "relatime" in options_of(seen),
    "strictatime": lambda seen: not {"noatime", "relatime"} & options_of(seen),
    "sync": lambda seen: "sync" in seen.mount.super_options.split(","),
    "mode=1750": lambda seen: seen.mode == "1750",
    "uid=5,gid=6": lambda seen: seen.owner == "5:6",
    "size=65536": super_option("size", "64k"),
    "size=64k": super_option("size", "64k"),
    "size=64K": super_option("size", "64k"),
    "size=3m": super_option("size", "3072k"),
    "size=1.5m": super_option("size", "1536k"),
    "size=2MiB": super_option("size", "2048k"),
    "size=2mb": super_option("size", "2048k"),
    "size=1g": super_option("size", "1048576k"),
    "nr_inodes=100": super_option("nr_inodes", "100"),
    "nr_blocks=16": super_option("size", "64k"),
    "size=1k,size=2m": super_option("size", "2048k"),
    "ro,rw": lambda seen: seen.can("write"),
    "defaults": lambda seen: seen.can("write"),
    "noswap": lambda seen: "noswap" in seen.mount.super_options,
    "huge=never": lambda seen: seen.can("write"),
}


# dockerd 20.10 passes sizes on as they are; the kernel knows no fractions and no MiB.
NOT_IN_2010 = ("size=1.5m", "size=2MiB", "size=2mb", "noswap", "huge=never")


@pytest.mark.parametrize("options", TMPFS_OPTIONS)
def test_tmpfs_option(cli, engine, options):
    if engine.kind == "dockerd" and options in NOT_IN_2010:
        pytest.skip("dockerd 20.10 doesn't know it")
    seen = as_seen_by(cli, ["--tmpfs", f"/d:{options}" if options else "/d"])
    assert seen.mount.type == "tmpfs" and TMPFS_OPTIONS[options](seen), seen


def test_tmpfs_size_as_a_share_of_memory(cli):
    seen = as_seen_by(cli, ["--tmpfs", "/d:size=1%"])
    size = next(word for word in seen.mount.super_options.split(",") if word.startswith("size="))
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert abs(int(size[5:-1]) * 1024 / total - 0.01) < 0.002


@pytest.mark.parametrize(
    "spec, says",
    [
        ("/d:foo", 'invalid tmpfs option ["foo"]'),
        ("/d:size=1m,bar=2", 'invalid tmpfs option ["bar" "2"]'),
        ("d", "invalid mount path: 'd' mount path must be absolute"),
        ("/", "invalid specification: destination can't be '/'"),
    ],
)
def test_bad_tmpfs(cli, spec, says):
    cli.fails("run", "--rm", "--tmpfs", spec, "busybox", "true", code=125, says=says)


@pytest.mark.holdfast_only("dockerd leaves values to the kernel")
@pytest.mark.parametrize("option", ["size=", "size=x", "size=101%", "mode=8", "mode=77777", "uid=-1",
                                    "uid=4294967295", "uid=root", "huge=maybe", "remount", "bind",
                                    "size", "noswap=1"])
def test_bad_tmpfs_values_are_refused_when_the_container_is_made(cli, api, option):
    cli.fails("create", "--tmpfs", f"/d:{option}", "busybox", says="invalid tmpfs option [")
    assert api.containers() == []


def test_tmpfs_by_mount(cli):
    seen = as_seen_by(cli, ["--mount", "type=tmpfs,dst=/d,tmpfs-size=2m,tmpfs-mode=0700"])
    assert seen.mode == "700" and "size=2048k" in seen.mount.super_options
    assert {"noexec", "nosuid", "nodev"} <= options_of(seen)
    assert not as_seen_by(cli, ["--mount", "type=tmpfs,dst=/d,ro"]).can("write")


@pytest.mark.holdfast_only("dockerd knows no Options")
def test_tmpfs_of_the_user(api):
    entry = {"Type": "tmpfs", "Target": "/d", "Options": ["U"]}
    assert through_api(api, {"Mounts": [entry]}, **USER).owner == "33:44"


@pytest.mark.holdfast_only("dockerd has no ramfs and devpts")
def test_ramfs_and_devpts(cli, api):
    seen = as_seen_by(cli, ["--mount", "type=ramfs,dst=/d"])
    assert seen.mount.type == "ramfs" and seen.can("write")
    entry = {"Type": "ramfs", "Target": "/d", "Options": ["mode=0750", "ro"]}
    seen = through_api(api, {"Mounts": [entry]})
    assert seen.mode == "750" and not seen.can("write")
    seen = as_seen_by(cli, ["--mount", "type=devpts,dst=/d"])
    assert seen.mount.type == "devpts" and "ptmx" in seen.entries
    entry = {"Type": "devpts", "Target": "/d", "Options": ["mode=0620", "gid=5", "max=7"]}
    options = through_api(api, {"Mounts": [entry]}).mount.super_options
    assert {"mode=620", "gid=5", "max=7"} <= set(options.split(","))
    for type_name, option in (("ramfs", "size=1m"), ("devpts", "size=1m"), ("devpts", "U")):
        entry = {"Type": type_name, "Target": "/d", "Options": [option]}
        assert f"invalid {type_name} option" in through_api(api, {"Mounts": [entry]})


@pytest.mark.holdfast_only("dockerd has no glob")
def test_glob(cli, api, tmp_path):
    for name in ("one.conf", "two.conf", "three.txt"):
        (tmp_path / name).write_text(name)
    flags = ["--mount", f"type=glob,src={tmp_path}/*.conf,dst=/d,readonly"]
    output = cli("run", "--rm", *flags, "busybox", "sh", "-c", "cd /d; ls; cat *; touch one.conf",
                 code=1)
    assert output.lines == ["one.conf", "two.conf", "one.conftwo.conf"]
    assert "Read-only file system" in output.err
    if cli.program == "holdfast":  # docker's own client wants a target
        flags = ["--mount", f"type=glob,src={tmp_path}/t*"]
        output = cli("run", "--rm", *flags, "busybox", "ls", tmp_path)
        assert output.lines == ["three.txt", "two.conf"]
    cli.fails("run", "--rm", "--mount", f"type=glob,src={tmp_path}/none*,dst=/d", "busybox", "true",
              code=125, says=f'no file paths matching glob "{tmp_path}/none*"')


# Images.


@pytest.mark.newer_client("mounts no images")
@pytest.mark.holdfast_only("20.10 mounts no images")
@pytest.mark.images("volumeful")
def test_image_mount(cli, api):
    seen = as_seen_by(cli, ["--mount", "type=image,src=volumeful,dst=/d"])
    assert {"data", "bin"} <= seen.entries and not seen.can("write")
    seen = as_seen_by(cli, ["--mount", "type=image,src=volumeful,dst=/d,image-subpath=data"])
    assert ".hidden" in seen.entries and seen.owner == "1234:5678" and not seen.can("write")
    seen = as_seen_by(cli, ["--mount", "type=image,src=volumeful,dst=/d,image-subpath=data/.hidden"])
    assert seen.kind == "regular file" and not seen.can("write")
    cli.fails("run", "--rm", "--mount", "type=image,src=volumeful,dst=/d,image-subpath=none",
              "busybox", "true", says="no such file or directory")
    cli.fails("run", "--rm", "--mount", "type=image,src=none,dst=/d", "busybox", "true", code=125,
              says='invalid mount config for type "image": ')
    entry = {"Type": "image", "Source": "volumeful", "Target": "/d", "Options": ["noexec"]}
    assert "noexec" in through_api(api, {"Mounts": [entry]}).mount.options


# Files as well as directories, order, targets.


def test_files_and_directories_as_sources_and_targets(cli, tmp_path):
    (tmp_path / "file").write_text("file\n")
    (tmp_path / "folder").mkdir()
    cli("run", "--rm", "-v", f"{tmp_path}/file:/new/deep/file", "-v", f"{tmp_path}/folder:/new/folder",
        "busybox", "sh", "-c", "test -f /new/deep/file && test -d /new/folder")
    seen = as_seen_by(cli, ["-v", f"{tmp_path}/file:/d:ro"])
    assert seen.kind == "regular file" and not seen.can("write")
    words = "Are you trying to mount a directory onto a file (or vice-versa)?"
    cli.fails("run", "--rm", "-v", f"{tmp_path}/folder:/etc/passwd", "busybox", "true", says=words)
    cli.fails("run", "--rm", "-v", f"{tmp_path}/file:/tmp", "busybox", "true", says=words)


def test_mounts_on_top_of_a_read_only_root(cli, tmp_path):
    flags = ["--read-only", "-v", "data:/v", "-v", f"{tmp_path}:/b", "--tmpfs", "/t",
             "--mount", "type=tmpfs,dst=/m"]
    script = "touch /v/x /b/x /t/x /m/x && ! touch /x && ! touch /etc/x"
    cli("run", "--rm", *flags, "busybox", "sh", "-c", script)
    assert (tmp_path / "x").exists()


def test_targets_in_any_order_nest_by_depth(cli, tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
    flags = ["-v", f"{tmp_path}/c:/x/y/z", "-v", f"{tmp_path}/a:/x", "--tmpfs", "/x/y/z/w",
             "-v", f"{tmp_path}/b:/x/y"]
    cli("run", "--rm", *flags, "busybox", "sh", "-c",
        "touch /x/a /x/y/b /x/y/z/c && grep -q ' /x/y/z/w ' /proc/mounts")
    assert (tmp_path / "a/a").exists() and (tmp_path / "b/b").exists() and (tmp_path / "c/c").exists()


def test_unclean_targets_are_cleaned(cli, api):
    cli("create", "--name", "clean", "-v", "data://a/./b/../c/", "busybox")
    assert [m["Destination"] for m in api.container("clean")["Mounts"]] == ["/a/c"]


@pytest.mark.holdfast_only("20.10 compares a --tmpfs as it is written")
def test_duplicates_are_found_however_they_are_written(cli, api):
    cli.fails("create", "-v", "one:/a/b/../c", "--tmpfs", "/a//c", "busybox",
              says="Duplicate mount point: /a/c")
    assert api.volumes() == {}


def test_targets_through_symlinks_stay_in_the_container(cli, tmp_path):
    """A target through a symlink of the image lands where it leads inside the image."""
    cli("run", "--name", "maker", "busybox", "sh", "-c",
        "mkdir -p /real/place && ln -s /real /link && ln -s ../../../../tmp/none /up && ln -s /gone /dangling")
    cli("commit", "maker", "linked")
    cli("rm", "maker")
    (tmp_path / "f").write_text("mounted\n")
    output = cli("run", "--rm", "-v", f"{tmp_path}:/link/place", "linked", "cat", "/real/place/f")
    assert output.out == "mounted\n"
    cli("run", "--rm", "-v", f"{tmp_path}:/dangling/x", "linked", "cat", "/gone/x/f")
    cli("run", "--rm", "-v", f"{tmp_path}:/up", "linked", "cat", "/tmp/none/f")
    assert not Path("/tmp/none").exists() and not Path("/gone").exists()


# Volumes of other containers.


@pytest.mark.holdfast_only("dockerd lets the volume of a removed container go")
def test_volumes_from_chains_exited_and_removed_containers(cli, api, tmp_path):
    cli("run", "--name", "first", "-v", "data:/d", "-v", f"{tmp_path}:/b:ro", "-v", "/anon", "busybox",
        "sh", "-c", "echo 1 >/d/f; echo 2 >/anon/f")
    cli("create", "--name", "second", "--volumes-from", "first", "busybox")
    cli("rm", "first")
    cli("create", "--name", "third", "--volumes-from", "second:ro", "busybox")
    cli("rm", "-v", "second")
    output = cli("run", "--rm", "--volumes-from", "third", "busybox", "sh", "-c",
                 "cat /d/f /anon/f; touch /d/x; touch /b/x", code=1)
    assert output.lines == ["1", "2"] and output.err.count("Read-only file system") == 2
    mounts = {mount["Destination"]: mount for mount in api.container("third")["Mounts"]}
    assert sorted(mounts) == ["/anon", "/b", "/d"] and not any(m["RW"] for m in mounts.values())


def test_what_overrides_volumes_from(cli, tmp_path):
    cli("create", "--name", "source", "-v", "data:/d", "-v", "other:/o", "busybox")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "own").touch()
    output = cli("run", "--rm", "--volumes-from", "source", "-v", f"{folder}:/d", "busybox", "ls", "/d")
    assert output.lines == ["own"]


@pytest.mark.parametrize(
    "value, says",
    [
        ("none", "No such container: none"),
        ("source:nocopy", "invalid mode: nocopy"),
        ("source:rshared", "invalid mode: rshared"),
        ("source:ro,rw", "invalid mode: ro,rw"),
        (":ro", 'invalid name or ID supplied: ""'),
    ],
)
def test_bad_volumes_from(cli, value, says):
    cli("create", "--name", "source", "-v", "data:/d", "busybox")
    cli.fails("create", "--volumes-from", value, "busybox", says=says)


# Shown as they are.


def test_mounts_are_shown_as_they_are(cli, api, tmp_path):
    cli("create", "--name", "shown", "-v", "data:/v", "-v", "data:/ro:ro", "-v", f"{tmp_path}:/b:ro,z",
        "-v", "/anon", "--mount", "src=data,dst=/m", "--mount", "type=tmpfs,dst=/t", "--tmpfs", "/hidden",
        "busybox")
    shown = {mount["Destination"]: mount for mount in api.container("shown")["Mounts"]}
    assert sorted(shown) == ["/anon", "/b", "/m", "/ro", "/t", "/v"]
    fields = ("Type", "Mode", "RW", "Propagation")
    assert {target: tuple(mount[name] for name in fields) for target, mount in shown.items()} == {
        "/anon": ("volume", "", True, ""),
        "/b": ("bind", "ro,z", False, "rprivate"),
        "/m": ("volume", "z", True, ""),
        "/ro": ("volume", "ro", False, ""),
        "/t": ("tmpfs", "", True, ""),
        "/v": ("volume", "z", True, ""),
    }
    assert shown["/v"]["Driver"] == "local" and shown["/v"]["Name"] == "data"
    assert shown["/b"]["Source"] == str(tmp_path) and "Name" not in shown["/b"]
    assert shown["/t"]["Source"] == ""
    host_config = api.container("shown")["HostConfig"]
    assert host_config["Tmpfs"] == {"/hidden": ""}
    assert sorted(host_config["Binds"]) == sorted(["data:/v", "data:/ro:ro", f"{tmp_path}:/b:ro,z"])
    assert api.container("shown")["MountLabel"] == ""


def test_a_source_that_vanishes_between_create_and_start(cli, tmp_path):
    folder = tmp_path / "short-lived"
    folder.mkdir()
    cli("create", "--name", "late", "--mount", f"type=bind,src={folder},dst=/d", "busybox", "true")
    folder.rmdir()
    cli.fails("start", "late", says='invalid mount config for type "bind": bind source path does '
              f"not exist: {folder}")
    folder.mkdir()
    cli("start", "-a", "late")


# Ownership.


@pytest.mark.holdfast_only("dockerd changes no owners")
def test_U_changes_only_what_is_not_the_users_yet(api, tmp_path):
    folder = tmp_path / "tree"
    for number in range(20):
        (folder / f"d{number}").mkdir(parents=True)
        (folder / f"d{number}/f").touch()
    (folder / "link").symlink_to("/etc/passwd")
    before = os.stat("/etc/passwd").st_uid
    assert through_api(api, {"Binds": [f"{folder}:/d:U"]}, **USER).owner == "33:44"
    paths = [folder, *folder.rglob("*")]
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in paths} == {(33, 44)}
    assert os.stat("/etc/passwd").st_uid == before
    paths.remove(folder)  # the probe writes there
    changed = {path: path.lstat().st_ctime_ns for path in paths}
    through_api(api, {"Binds": [f"{folder}:/d:U"]}, **USER)
    assert {path: path.lstat().st_ctime_ns for path in paths} == changed


@pytest.mark.holdfast_only("dockerd changes no owners")
@pytest.mark.parametrize("folder", ["/", "/etc", "/usr", "/home"])
def test_U_leaves_system_directories_alone(api, folder):
    before = os.stat(folder)
    answer = through_api(api, {"Binds": [f"{folder}:/d:U"]}, **USER)
    assert f'option "U" would change the owner of all of "{folder}"' in answer
    assert os.stat(folder).st_ctime_ns == before.st_ctime_ns


@pytest.mark.holdfast_only("dockerd maps no ids")
def test_idmap_leaves_the_disk_as_it_is(api, tmp_path):
    folder = tmp_path / "mapped"
    (folder / "others").mkdir(parents=True)
    (folder / "mine").touch()
    for path, uid, gid in ((folder, UID, GID), (folder / "mine", UID, GID), (folder / "others", 5, 6)):
        os.chown(path, uid, gid)
    script = "cd /d; stat -c '%u:%g' . mine others; touch new; mkdir dir"
    body = {"Image": "busybox", "Cmd": ["sh", "-c", script], **USER,
            "HostConfig": {"Binds": [f"{folder}:/d:idmap"], "NetworkMode": "none"}}
    identity = api.post("/containers/create", body).json["Id"]
    assert api.post(f"/containers/{identity}/start").status == 204
    assert api.post(f"/containers/{identity}/wait").json["StatusCode"] == 0
    logs = probe.demultiplex(api.get(f"/containers/{identity}/logs", stdout=1).body)
    assert logs.split() == ["33:44", "33:44", "5:6"]
    owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in folder.iterdir()}
    assert owners == {"mine": (UID, GID), "others": (5, 6), "new": (UID, GID), "dir": (UID, GID)}


@pytest.mark.holdfast_only("dockerd maps no ids")
def test_idmap_with_ranges_of_its_own(api, tmp_path):
    folder = tmp_path / "mapped"
    folder.mkdir()
    os.chown(folder, 1000, 1001)
    seen = through_api(api, {"Binds": [f"{folder}:/d:idmap=uids=1000-7-1;gids=1001-8-1"]})
    assert seen.owner == "7:8"
    answer = through_api(api, {"Binds": [f"{folder}:/d:idmap=uids=1000-7"]})
    assert 'range "1000-7" is not DISK-SEEN-COUNT' in answer


@pytest.mark.holdfast_only("dockerd maps no ids")
def test_a_file_system_that_cannot_map_ids_names_U(api):
    answer = through_api(api, {"Binds": ["/sys/kernel:/d:idmap"]}, **USER)
    assert "sysfs" in answer and "can't map ids" in answer and '"U"' in answer


@pytest.mark.holdfast_only("dockerd has no overlays of binds")
def test_O_keeps_the_source_and_forgets_at_the_end(cli, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "below").write_text("below\n")
    os.chown(folder, UID, GID)
    script = "echo over >/d/over; rm /d/below; ls /d; stat -c %u:%g /d"
    flags = ["-v", f"{folder}:/d:O"]
    assert cli("run", "--name", "over", *flags, "busybox", "sh", "-c", script).lines == [
        "over", f"{UID}:{GID}"]
    assert (folder / "below").read_text() == "below\n" and not (folder / "over").exists()
    assert "over" in cli("start", "-a", "over").lines  # anew: rm finds the file again


@pytest.mark.holdfast_only("dockerd has no overlays of binds")
def test_O_with_directories_of_its_own(cli, tmp_path):
    for name in ("low", "up", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "low/f").write_text("low\n")
    option = f"{tmp_path}/low:/d:O,upperdir={tmp_path}/up,workdir={tmp_path}/work"
    cli("run", "--rm", "-v", option, "busybox", "sh", "-c", "echo up >/d/f")
    assert (tmp_path / "low/f").read_text() == "low\n" and (tmp_path / "up/f").read_text() == "up\n"
    assert cli("run", "--rm", "-v", option, "busybox", "cat", "/d/f").out == "up\n"


# What nobody should get away with.


@pytest.mark.parametrize(
    "entry, says",
    [
        ({"Type": "bind", "Target": "/d"}, "field Source must not be empty"),
        ({"Type": "bind", "Source": "rel", "Target": "/d"}, "mount path must be absolute"),
        ({"Type": "volume", "Source": "v", "Target": ""}, "field Target must not be empty"),
        ({"Type": "volume", "Source": "v", "Target": "/"}, "destination can't be '/'"),
        ({"Type": "volume", "Source": "v", "Target": "/.."}, "destination can't be '/'"),
        ({"Type": "volume", "Source": "v", "Target": "rel"}, "mount path must be absolute"),
        ({"Type": "tmpfs", "Source": "x", "Target": "/d"}, "field Source must not be specified"),
        ({"Type": "floppy", "Target": "/d"}, "mount type unknown"),
        ({"Type": "volume", "Source": "v", "Target": "/d", "BindOptions": {"Propagation": "rslave"}},
         "field BindOptions must not be specified"),
        ({"Type": "bind", "Source": "/tmp", "Target": "/d", "BindOptions": {"Propagation": "wide"}},
         "invalid propagation mode: wide"),
        ({"Type": "volume", "Target": "/d", "ReadOnly": True},
         "must not set ReadOnly mode when using anonymous volumes"),
    ],
)
def test_bad_mounts(api, entry, says):
    answer = api.post("/containers/create", {"Image": "busybox", "HostConfig": {"Mounts": [entry]}})
    assert answer.status == 400 and says in answer.message, answer.body
    assert f'invalid mount config for type "{entry["Type"]}": ' in answer.message
    assert api.containers() == [] and api.volumes() == {}


@pytest.mark.holdfast_only("dockerd leaves these to later")
@pytest.mark.parametrize(
    "host_config",
    [
        {"Binds": ["v:/" + "x" * 256]},
        {"Binds": ["v:" + "/abc" * 1100]},
        {"Binds": ["/" + "y" * 300 + ":/d"]},
        {"Binds": ["v\0w:/d"]},
        {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/d\0e"}]},
        {"Mounts": [{"Type": "bind", "Source": "/a\0b", "Target": "/d"}]},
        {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/d", "VolumeOptions": {"Subpath": "a\0b"}}]},
        {"Mounts": [{"Type": "tmpfs", "Target": "/d", "TmpfsOptions": {"SizeBytes": -1}}]},
        {"Mounts": [{"Type": "tmpfs", "Target": "/d", "TmpfsOptions": {"Mode": 0o70000}}]},
        {"Mounts": [{"Type": "tmpfs", "Target": "/d", "TmpfsOptions": {"Options": [["uid", "0,suid"]]}}]},
        {"Mounts": [{"Type": "tmpfs", "Target": "/d", "TmpfsOptions": {"Options": [[]]}}]},
        {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/d", "Options": [""]}]},
        {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/d", "Options": {"ro": 1}}]},
        {"Mounts": ["tmpfs"]},
        {"Tmpfs": {"": ""}},
    ],
    ids=str,
)
def test_oversized_and_odd_values(api, host_config):
    answer = api.post("/containers/create", {"Image": "busybox", "HostConfig": host_config})
    assert answer.status == 400 and answer.message, answer.body
    assert api.containers() == [] and api.volumes() == {}
