"""The local driver's options type, o and device: real file systems of every kind this machine can mount,
checked from inside containers."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from client import Client
from engine import Engine, run
from fuse import needs_fuse
from host_state import loops
from images import Images
from sftp import Sftp
from waiting import until

only_holdfast = pytest.mark.holdfast_only("dockerd checks no options and knows no programs")


def options(type, device, o=None):
    words = ["--opt", f"type={type}", "--opt", f"device={device}"]
    return words + (["--opt", f"o={o}"] if o is not None else [])


def create(cli, name, *arguments):
    cli("volume", "create", *options(*arguments), name)


def inside(cli, name, script, mode="", code=0):
    return cli("run", "--rm", "-v", f"{name}:/d{mode}", "busybox", "sh", "-ec", script, code=code)


def mount_line(cli, name):
    """type, source and options of the mount a container has."""
    line = inside(cli, name, "grep ' /d ' /proc/self/mountinfo").out
    left, right = line.split(" - ")
    return (*right.split(), left.split()[5])


def mountpoint(engine, name):
    return engine.data_root / "volumes" / name / "_data"


def is_mounted(engine, name):
    return str(mountpoint(engine, name)) in engine.mounts()


def loop_is_gone(image):
    until(lambda: str(image) not in loops(), f"no loop device has {image}", 10)


# tmpfs and binds


def test_tmpfs_with_size_mode_and_owner(cli, engine):
    create(cli, "ram", "tmpfs", "tmpfs", "size=5m,mode=1750,uid=7,gid=9")
    out = inside(cli, "ram", "stat -c '%u %g %a' /d; df -k /d | tail -1 | awk '{print $2}'").lines
    assert out == ["7 9 1750", "5120"]
    full = inside(cli, "ram", "dd if=/dev/zero of=/d/file bs=1M count=6", code=1)
    assert "No space left on device" in full.err
    assert not is_mounted(engine, "ram"), "unmounted after the last"
    assert inside(cli, "ram", "ls /d").out == "", "which ends a tmpfs"


@pytest.mark.parametrize("o, writes", [("bind", True), ("bind,ro", False), ("rbind", True), ("ro,rbind", False)])
def test_bind(cli, tmp_path, o, writes):
    (tmp_path / "file").write_text("text")
    create(cli, "bound", "none", tmp_path, o)
    out = inside(cli, "bound", "cat /d/file; touch /d/new 2>/dev/null && echo written || echo refused").out
    assert out == "text" + ("written\n" if writes else "refused\n")
    assert (tmp_path / "new").exists() == writes


def test_a_bind_shows_mounts_below_it_only_when_recursive(cli, tmp_path):
    (tmp_path / "below").mkdir()
    run("mount", "-t", "tmpfs", "below", tmp_path / "below")
    try:
        (tmp_path / "below/there").touch()
        create(cli, "one", "none", tmp_path, "bind")
        create(cli, "all", "none", tmp_path, "rbind")
        assert inside(cli, "one", "ls /d/below").out == ""
        assert inside(cli, "all", "ls /d/below").out == "there\n"
    finally:
        run("umount", tmp_path / "below")


def test_a_missing_device_is_an_error_in_dockers_words(cli, engine, tmp_path):
    create(cli, "bound", "none", tmp_path / "missing", "bind")
    target = mountpoint(engine, "bound")
    # Docker's client makes 127 of these words.
    cli.fails("run", "--rm", "-v", "bound:/d", "busybox", "true", code=127, says=(
        f"failed to mount local volume: mount {tmp_path}/missing:{target}, flags: 0x1000: no such file or directory"))
    (tmp_path / "missing").mkdir()
    inside(cli, "bound", "touch /d/file")
    assert (tmp_path / "missing/file").exists()


# Images of file systems


@pytest.fixture(params=["ext4", "xfs", "btrfs"])
def image(request, tmp_path):
    path = tmp_path / "image"
    size = {"ext4": 16, "xfs": 320, "btrfs": 128}[request.param]
    with open(path, "wb") as file:
        file.truncate(size << 20)
    run(f"mkfs.{request.param}", "-q", path)
    return request.param, path


@only_holdfast
def test_an_image_file_goes_through_a_loop_device(cli, engine, image):
    type, path = image
    create(cli, "disk", type, path)
    kind, source, _, _ = mount_line(cli, "disk")
    assert kind == type and source.startswith("/dev/loop")
    inside(cli, "disk", "mkdir /d/sub; echo kept >/d/sub/file; chown 7:9 /d/sub/file")
    assert not is_mounted(engine, "disk")
    loop_is_gone(path)
    assert inside(cli, "disk", "cat /d/sub/file; stat -c %u:%g /d/sub/file").lines == ["kept", "7:9"]
    cli("volume", "rm", "disk")
    assert path.exists(), "the device is the user's"


@only_holdfast
def test_a_read_only_image(cli, image):
    type, path = image
    inside_before = path.stat().st_mtime_ns
    create(cli, "disk", type, path, "ro,loop" + (",norecovery" if type == "xfs" else ""))
    assert "Read-only file system" in inside(cli, "disk", "touch /d/file", mode=":nocopy", code=1).err
    assert path.stat().st_mtime_ns == inside_before


@only_holdfast
def test_two_volumes_of_one_image_see_each_others_writes(cli, tmp_path):
    image = tmp_path / "image"
    run("mkfs.ext4", "-q", image, "16m")
    create(cli, "one", "ext4", image)
    create(cli, "two", "ext4", image)
    script = "echo hello >/one/file; cat /two/file"
    assert cli("run", "--rm", "-v", "one:/one", "-v", "two:/two", "busybox", "sh", "-ec", script).out == "hello\n"


@only_holdfast
def test_a_file_that_is_no_image_is_an_error_that_names_it(cli, engine, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    create(cli, "disk", "ext4", image)
    cli.fails("run", "--rm", "-v", "disk:/d", "busybox", "true", code=125,
              says=f"failed to mount local volume: mount {image}:{mountpoint(engine, 'disk')}: invalid argument")
    loop_is_gone(image)


# Overlays


@only_holdfast
def test_overlay(cli, tmp_path):
    for name in ("low", "lower", "upper", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "low/a").write_text("low")
    (tmp_path / "low/b").write_text("low")
    (tmp_path / "lower/b").write_text("lower")
    layers = f"lowerdir={tmp_path}/low:{tmp_path}/lower"
    create(cli, "over", "overlay", "overlay", f"{layers},upperdir={tmp_path}/upper,workdir={tmp_path}/work")
    assert inside(cli, "over", "cat /d/a /d/b; rm /d/a; echo new >/d/c").out == "lowlow"
    assert sorted(os.listdir(tmp_path / "upper")) == ["a", "c"] and (tmp_path / "low/a").exists()
    assert inside(cli, "over", "ls /d").lines == ["b", "c"]
    create(cli, "shown", "overlay", "", layers)
    assert "Read-only file system" in inside(cli, "shown", "touch /d/new", mode=":nocopy", code=1).err
    create(cli, "lost", "overlay", "", f"lowerdir={tmp_path}/nowhere")
    cli.fails("run", "-v", "lost:/d", "busybox", code=127, says="no such file or directory")


# Programs: mount.<type>, and what mount.fuse starts

@pytest.fixture(scope="module")
def sftp(tmp_path_factory):
    server = Sftp(tmp_path_factory.mktemp("sshd") / "sftp")
    yield server
    server.close()


def sshfs(server, path, more=""):
    keys = f"IdentityFile={server.directory}/user,UserKnownHostsFile={server.directory}/known"
    return ("fuse.sshfs", f"root@127.0.0.1:{path}",
            f"port={server.port},{keys},StrictHostKeyChecking=accept-new,allow_other,reconnect{more}")


@needs_fuse
@only_holdfast
def test_sshfs(cli, engine, sftp, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/file").write_text("text")
    create(cli, "remote", *sshfs(sftp, tmp_path / "theirs"))
    assert mount_line(cli, "remote")[0] == "fuse.sshfs"
    assert inside(cli, "remote", "cat /d/file; mkdir /d/sub; echo ours >/d/sub/new").out == "text"
    assert (tmp_path / "theirs/sub/new").read_text() == "ours\n"
    assert not is_mounted(engine, "remote")
    until(lambda: not sshfs_processes(tmp_path), "sshfs has ended", 10)
    create(cli, "refused", "fuse.sshfs", f"nobody@127.0.0.1:{tmp_path}",
           sshfs(sftp, "")[2] + ",BatchMode=yes")
    output = cli.fails("run", "--rm", "-v", "refused:/d", "busybox", "true", code=125, says="failed to mount local volume")
    assert "Connection reset by peer" in output.err or "Permission denied" in output.err
    assert not is_mounted(engine, "refused")


def sshfs_processes(path):
    """Pids of the sshfs programs that serve the path."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"sshfs" in words.split(b"\0")[0] and str(path).encode() in words:
                found.append(int(entry.name))
    return found


@needs_fuse
@only_holdfast
def test_a_server_that_went_away_and_came_back(cli, sftp, tmp_path):
    """sshfs was killed: the mount is dead, and made anew for the next container."""
    (tmp_path / "file").write_text("text")
    create(cli, "remote", *sshfs(sftp, tmp_path))
    cli("run", "-d", "--name", "holder", "-v", "remote:/d", "busybox", "sleep", "1000")
    (pid,) = sshfs_processes(tmp_path)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not sshfs_processes(tmp_path), "sshfs is gone", 10)
    assert inside(cli, "remote", "cat /d/file").out == "text"


@needs_fuse
@only_holdfast
def test_a_program_of_mount_fuse(cli, engine, tmp_path):
    (tmp_path / "file").write_text("text")
    os.chown(tmp_path / "file", 1234, 2345)
    create(cli, "mapped", "fuse.bindfs", tmp_path, "force-user=7,force-group=9,perms=0640")
    assert inside(cli, "mapped", "stat -c '%u:%g' /d/file; cat /d/file").out == "7:9\ntext"
    assert not is_mounted(engine, "mapped")
    create(cli, "bad", "fuse.bindfs", tmp_path / "missing")
    output = cli.fails("run", "--rm", "-v", "bad:/d", "busybox", "true", code=125, says="failed to mount local volume")
    assert "mount.fuse" in output.err and str(tmp_path / "missing") in output.err
    create(cli, "none", "fuse.juicefs", "redis://x")
    cli.fails("run", "--rm", "-v", "none:/d", "busybox", "true", code=125, says="failed to mount local volume")


@needs_fuse
@only_holdfast
def test_first_use_behind_fuse_renames_nothing(cli, engine, tmp_path):
    """rclone, which writes behind, loses files that are renamed before it is done with them."""
    files, trace = tmp_path / "files", tmp_path / "trace"
    files.mkdir()
    create(cli, "behind", "fuse.bindfs", files)
    strace = subprocess.Popen(["strace", "-f", "-e", "trace=/rename", "-o", trace, "-p", str(engine.pid)],
                              stderr=subprocess.PIPE, text=True)
    assert "attached" in strace.stderr.readline()
    cli("create", "--name", "first", "-v", "behind:/bin", "busybox", "true")
    strace.terminate()
    strace.communicate(timeout=30)
    assert (files / "sh").exists() and "fill-" in trace.read_text()
    assert str(files) not in trace.read_text() and ".holdfast" not in trace.read_text(), trace.read_text()
    cli("rm", "first")
    cli("volume", "rm", "behind")


# What a file system doesn't know


@pytest.fixture
def exfat(cli, tmp_path):
    """A volume of a file system without owners, modes, symlinks or hard links, mounted by its own program."""
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    run("mkfs.exfat", image)
    create(cli, "fat", "exfat-fuse", image, "loop")
    return "fat"


@needs_fuse
@only_holdfast
def test_filling_a_file_system_that_knows_neither_owners_nor_symlinks(cli, exfat):
    content = ("mkdir -p /data/sub && cd /data && echo one >one && ln one sub/linked && chown 7:9 one && ln -s one link"
               " && mkfifo sub/fifo && chmod 4711 one && head -c 100000 /dev/zero >sub/zeros")
    cli("run", "--name", "maker", "busybox", "sh", "-ec", content)
    cli("commit", "maker", "filled")
    cli("rm", "maker")
    list_all = ["filled", "sh", "-c", "cd /data; find . -type f | sort | xargs md5sum; ls -A . sub"]
    output = cli("run", "--rm", "-v", "fat:/data", *list_all)
    assert 'volume "fat" (driver "local") was filled from the image\'s /data, but its file system refused to set the owner of' in output.err
    assert 'it has no place for 2 symlinks or FIFOs, which are missing now: "' in output.err
    plain = cli("run", "--rm", *list_all)
    assert sorted(set(plain.lines) - set(output.lines)) == ["fifo", "link"] and set(output.lines) < set(plain.lines)
    again = cli("run", "--rm", "-v", "fat:/data", *list_all)
    assert again.lines == output.lines and again.err == "", "filled once"
    cli("rmi", "filled")


@needs_fuse
@only_holdfast
@pytest.mark.images("volumeful")
def test_a_fill_that_fails_leaves_nothing_and_says_how_to_do_without(cli, engine, exfat):
    """The image has names that exFAT can't have."""
    output = cli.fails("run", "--rm", "-v", "fat:/data", "volumeful", "true",
                       says="failed to copy the image's content at /data to volume fat (with nocopy it is left empty): populate")
    assert "Unable to find image" not in output.err and engine.api.containers() == []
    assert inside(cli, "fat", "ls -A /d").out == ""
    assert cli("run", "--rm", "-v", "fat:/data:nocopy", "volumeful", "ls", "-A", "/data").out == ""


# The life of a mount


def test_mounted_once_for_two_and_unmounted_after_the_last(cli, engine):
    create(cli, "ram", "tmpfs", "tmpfs")
    for name in ("one", "two"):
        cli("run", "-d", "--name", name, "-v", "ram:/d", "busybox", "sleep", "1000")
    cli("exec", "one", "sh", "-c", "echo hello >/d/file")
    assert cli("exec", "two", "cat", "/d/file").out == "hello\n"
    assert engine.mounts().count(str(mountpoint(engine, "ram"))) == 1
    cli("rm", "-f", "one")
    assert is_mounted(engine, "ram") and cli("exec", "two", "cat", "/d/file").out == "hello\n"
    cli("rm", "-f", "two")
    assert not is_mounted(engine, "ram")


@only_holdfast
def test_nobody_writes_beneath_an_unmounted_volume(cli, engine, tmp_path):
    create(cli, "bound", "none", tmp_path, "bind")
    for moment in ("before its first use", "after it"):
        with pytest.raises(PermissionError):
            (mountpoint(engine, "bound") / "file").touch()
        inside(cli, "bound", "touch /d/file")
    assert list(mountpoint(engine, "bound").iterdir()) == []
    cli("volume", "rm", "bound")
    assert not mountpoint(engine, "bound").exists()


@only_holdfast
def test_the_daemon_is_killed_while_containers_have_volumes_mounted(cli, engine, tmp_path):
    image = tmp_path / "image"
    run("mkfs.ext4", "-q", image, "16m")
    create(cli, "disk", "ext4", image)
    create(cli, "ram", "tmpfs", "tmpfs")
    cli("run", "-d", "--name", "one", "-v", "disk:/disk", "-v", "ram:/ram", "busybox", "sleep", "1000")
    cli("exec", "one", "sh", "-c", "echo hello | tee /disk/file >/ram/file")
    engine.kill()
    assert is_mounted(engine, "disk")
    engine.start()
    script = "cat /disk/file /ram/file"
    assert cli("exec", "one", "sh", "-c", script).lines == ["hello", "hello"]
    mounts = ["-v", "disk:/disk", "-v", "ram:/ram"]
    assert cli("run", "--rm", *mounts, "busybox", "sh", "-c", script).lines == ["hello", "hello"]
    cli.fails("volume", "rm", "disk", says="volume is in use")
    cli("rm", "-f", "one")
    assert not is_mounted(engine, "disk") and not is_mounted(engine, "ram")
    loop_is_gone(image)
    assert inside(cli, "disk", "cat /d/file").out == "hello\n"


@only_holdfast
def test_a_container_ends_while_the_daemon_is_away(cli, engine):
    """Nobody has its volume any more: the next daemon unmounts it."""
    create(cli, "ram", "tmpfs", "tmpfs")
    cli("run", "-d", "--name", "one", "-v", "ram:/d", "busybox", "sh", "-c", "while ! [ -e /d/end ]; do :; done")
    engine.kill()
    (mountpoint(engine, "ram") / "end").touch()
    until(lambda: not any("conmon" in words for words in engine.processes().values()), "the container has ended")
    engine.start()
    until(lambda: not is_mounted(engine, "ram"), "the volume is unmounted")


# Options


BAD = [
    (["--opt", "nonsense=1"], 'invalid option: "nonsense"'),
    (["--opt", "type=tmpfs"], 'missing required option: "device"'),
    (["--opt", "o=ro"], 'missing required option: "'),
    (options("../../evil", "/x"), 'option "type": "../../evil" is no file system type'),
    (options("tmpfs", "tmpfs", "nonsense"), 'invalid mount option "nonsense" for file system type "tmpfs": allowed are gid='),
    (options("tmpfs", "tmpfs", "uid=root"), 'invalid mount option "uid=root": it takes a number from 0 to 4294967294'),
    (options("tmpfs", "tmpfs", "uid=4294967296"), "it takes a number from 0 to 4294967294"),
    (options("tmpfs", "tmpfs", "mode=999"), 'invalid mount option "mode=999": it takes an octal mode'),
    (options("tmpfs", "tmpfs", "size=1m,size=2m"), 'mount option "size" is given twice'),
    (options("tmpfs", "tmpfs", "ro,rw"), 'mount options "ro" and "rw" contradict each other'),
    (options("tmpfs", "tmpfs", "size=1m,,ro"), "has an empty mount option in it"),
    (options("tmpfs", "tmpfs", "mpol=" + "x" * 300), 'mount option "mpol" is longer than 255 bytes'),
    (options("tmpfs", "tmpfs", "x" * 5000), 'option "o" is longer than 4095 bytes'),
    (options("tmpfs", "tmpfs", "remount"), 'invalid mount option "remount": a volume\'s mount cannot change others'),
    (options("none", "relative", "bind"), '"relative" is no absolute path, which a bind needs'),
    (options("none", "/tmp", "bind,uid=7"), "a bind has no file system options"),
    (options("none", "/tmp"), 'type "none" needs the mount option bind or rbind'),
    (options("ext4", "-oexec"), 'must not begin with "-"'),
    (options("overlay", "x", "lowerdir=/tmp,upperdir=/tmp"), "upperdir and workdir need each other"),
    # What would run programs or load code of the client's choice.
    (options("fuse.sshfs", "h:/", "ssh_command=/tmp/evil"), 'invalid mount option "ssh_command" for file system type "fuse.sshfs"'),
    (options("fuse.sshfs", "h:/", "ProxyCommand=/tmp/evil"), 'invalid mount option "ProxyCommand"'),
    (options("fuse.bindfs", "/tmp", "resolve-symlink-program=x"), 'invalid mount option "resolve-symlink-program": not allowed'),
    (options("fuse", "/tmp"), 'type "fuse" needs the name of a program: fuse.sshfs, for example'),
]


@only_holdfast
@pytest.mark.parametrize("words, says", BAD, ids=[says[:40] for _, says in BAD])
def test_bad_options_are_refused_when_the_volume_is_made(cli, api, words, says):
    output = cli.fails("volume", "create", *words, "bad", code=1, says=says)
    assert "create bad: " in output.err
    assert api.volumes() == {}


@only_holdfast
@pytest.mark.parametrize("arguments, says", [
    (("nosuchfs", "/x"), "no such device"),
    (("fuse.sh", "x"), 'no program mounts file system type "fuse.sh" here'),
    (("nfs", "127.0.0.1:/x", "addr=127.0.0.1,vers=4"), "no such device"),
    (("nfs", "127.0.0.1:/x"), 'file system type "nfs" needs the mount option addr=<server> where no mount.nfs is installed'),
    (("cifs", "//127.0.0.1/x", "addr=127.0.0.1,username=u,password=geheim"), "data: addr=127.0.0.1,username=u,password=********: no such device"),
    (("cifs", "//127.0.0.1/x", "credentials=/etc/nas"), 'mount option "credentials" needs the program mount.cifs, which is not'),
    (("nfs", ":/x", "addr=name.invalid"), "error resolving passed in network volume address: lookup name.invalid"),
])
def test_what_this_machine_cannot_mount_is_a_clear_error(cli, arguments, says):
    create(cli, "vol", *arguments)
    output = cli.fails("run", "--rm", "-v", "vol:/d", "busybox", "true", code=125, says=says)
    assert "failed to mount local volume: mount " in output.err and "geheim" not in output.err


@only_holdfast
def test_an_address_is_resolved_before_the_kernel_gets_it(cli):
    """Which on this machine knows no NFS: a name that leads somewhere gets as far as that."""
    create(cli, "vol", "nfs", ":/x", "addr=localhost,vers=4,soft,timeo=7")
    cli.fails("run", "--rm", "-v", "vol:/d", "busybox", "true", code=125, says="no such device")


@only_holdfast
def test_a_password_gets_into_no_log(cli, engine):
    create(cli, "vol", "cifs", "//server/x", "addr=10.0.0.9,username=u,password=geheim")
    cli.fails("run", "--rm", "-v", "vol:/d", "busybox", "true", code=125, says="password=********")
    assert "geheim" not in engine.log.read_text()
    audit = engine.data_root / "audit.log"
    assert "geheim" not in audit.read_text()


# Servers that hang. Last, since whatever an engine of the module has is gone only when it ends.


@pytest.fixture(scope="module")
def impatient(registry):
    """An engine that waits three seconds for a mount."""
    engine = Engine(**{"mount-timeout": 3})
    engine.start()
    try:
        Images(engine, registry).have("busybox")
        engine.use_the_bridge()
        yield engine
        engine.remove_everything()
    finally:
        engine.close()


@pytest.fixture
def silent_server():
    """Takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        yield server.getsockname()[1]


@needs_fuse
@only_holdfast
@pytest.mark.parametrize("program", ["docker", "holdfast"])
def test_a_mount_that_hangs_has_a_deadline_and_blocks_nothing_else(impatient, silent_server, tmp_path, program):
    cli = Client(program, impatient, tmp_path / "home")
    create(cli, "hung", "fuse.sshfs", "root@127.0.0.1:/", f"port={silent_server},BatchMode=yes")
    cli("volume", "create", "fine")
    begin = time.monotonic()
    waiting = cli.start("run", "--rm", "-v", "hung:/d", "busybox", "true")
    until(lambda: any("sshfs" in words for words in impatient.processes().values()), "the mount is under way")
    assert sorted(cli("volume", "ls", "-q").lines) == ["fine", "hung"]
    assert json.loads(cli("volume", "inspect", "hung").out)[0]["Name"] == "hung"
    inside(cli, "fine", "touch /d/file")
    assert waiting.poll() is None and time.monotonic() < begin + 3, "all of this while it hung"
    _, error = waiting.communicate(timeout=30)
    assert waiting.returncode == 125
    assert 'volume "hung": "root@127.0.0.1:/" was not mounted within 3 seconds' in error.decode(), error
    until(lambda: not any("sshfs" in words for words in impatient.processes().values()), "sshfs was ended")
    cli("volume", "rm", "hung", "fine")


@needs_fuse
@only_holdfast
@pytest.mark.parametrize("program", ["docker", "holdfast"])
def test_a_mounted_server_that_hangs_blocks_its_own_volume_only(impatient, sftp, tmp_path, program):
    cli = Client(program, impatient, tmp_path / "home")
    (tmp_path / "theirs").mkdir()
    create(cli, "hung", *sshfs(sftp, tmp_path / "theirs"))
    cli("run", "-d", "--name", "holder", "-v", "hung:/d", "busybox", "sleep", "1000")
    (pid,) = sshfs_processes(tmp_path / "theirs")
    os.kill(pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        cli("volume", "create", "fine")
        inside(cli, "fine", "touch /d/file")
        assert sorted(cli("volume", "ls", "-q").lines) == ["fine", "hung"]
        assert json.loads(cli("volume", "inspect", "hung").out)[0]["Status"]["Mounted"] is True
        assert time.monotonic() < begin + 3, "all of it without waiting"
        cli.fails("run", "--rm", "-v", "hung:/d", "busybox", "true", code=125,
                  says='mounted for volume "hung" did not answer within 3 seconds')
        cli("rm", "-f", "holder")
        until(lambda: not is_mounted(impatient, "hung"), "it is out of the tree")
        cli("volume", "rm", "hung", "fine")
    finally:
        os.kill(pid, signal.SIGKILL)
