"""Taking volumes over from a real dockerd and a real podman."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from client import Client
from engine import KIND, Engine, run
from images import Images
from odd_files import fill, untouched
from tree import describe
from waiting import until

pytestmark = pytest.mark.skipif(KIND == "dockerd", reason="dockerd takes nothing over")

NAMED = "com.example.team"


class Dockerd(Engine):
    """Docker's daemon beside the engine under test, whose packet filter it leaves alone."""

    def __init__(self):
        super().__init__(kind="dockerd")

    def command(self):
        return [*super().command(), "--iptables=false"]


@pytest.fixture(scope="module")
def dockerd(registry):
    """Docker's daemon with volumes of every kind, stopped, a container of its still running."""
    if shutil.which("dockerd") is None:
        pytest.skip("dockerd is not installed")
    engine = Dockerd()
    try:
        engine.start()
        Images(engine, registry).have("busybox")
        create(engine, "data", Labels={NAMED: "shop", "empty": ""})
        create(engine, "second")
        create(engine, "busy")
        create(engine, "memory", DriverOpts={"type": "tmpfs", "device": "tmpfs", "o": "size=5m,mode=750"})
        create(engine, "bound", DriverOpts={"type": "none", "o": "bind", "device": "/srv"})
        (anonymous,) = [create(engine, "")]
        host = {"Binds": ["busy:/d"], "NetworkMode": "none"}
        body = {"Image": "busybox", "Cmd": ["sleep", "3600"], "HostConfig": host}
        identity = engine.api.post("/containers/create", body).json["Id"]
        assert engine.api.post(f"/containers/{identity}/start").status == 204
        fill(engine.data_root / "volumes/data/_data")
        (engine.data_root / "volumes/second/_data/file").write_text("second")
        engine.anonymous = anonymous
        engine.stop()
        run("ip", "link", "delete", engine.bridge)
        yield engine
    finally:
        engine.close()


def create(engine, name, **more):
    answer = engine.api.post("/volumes/create", {"Name": name, **more})
    assert answer.status == 201, answer.body
    return answer.json["Name"]


@pytest.fixture
def docker_root(dockerd, tmp_path):
    """A copy of what dockerd has, for tests to spoil."""
    root = tmp_path / "docker"
    root.mkdir()
    run("cp", "-a", "--sparse=always", dockerd.data_root / "volumes", root)
    return root


@pytest.fixture
def holdfast(engine, tmp_path):
    return Client("holdfast", engine, tmp_path / "home")


class Podman:
    """podman with a root of its own; it needs no containers for volumes."""

    def __init__(self, directory):
        self.root = directory / "root"
        self.options = [
            *("--root", self.root, "--runroot", directory / "run", "--tmpdir", directory / "tmp"),
            *("--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"),
        ]

    def __call__(self, *words):
        return run("podman", *self.options, *words).stdout.strip()


@pytest.fixture
def podman():
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    # Podman wants the path of its run root to be short.
    with tempfile.TemporaryDirectory(prefix="hf-podman-") as directory:
        yield Podman(Path(directory))


def volume_of(engine, name):
    answer = engine.api.get(f"/volumes/{name}")
    return answer.json if answer.status == 200 else None


def files_of(engine, name):
    return engine.data_root / "volumes" / name / "_data"


def staging(engine):
    return sorted(entry.name for entry in (engine.data_root / "staging").iterdir())


def migrated(holdfast, *words, code=0, **options):
    return holdfast("migrate", *words, "--yes", code=code, timeout=180, **options)


# Docker.


def test_list_shows_all_and_changes_nothing(engine, holdfast, dockerd):
    before = untouched(dockerd.data_root / "volumes")
    output = holdfast("migrate", "docker", "--root", dockerd.data_root, "--list")
    lines = {line.split()[0]: line for line in output.lines[1:]}
    assert set(lines) == {"data", "second", "busy", "memory", "bound", dockerd.anonymous}
    assert "67.41MB" in lines["data"]
    assert "in use by process" in lines["busy"] and "(sleep)" in lines["busy"]
    assert "WARNING" not in output.err
    rows = holdfast("migrate", "docker", "--root", dockerd.data_root, "-l", "--format",
                    "{{.Name}} {{.Options}}").lines
    assert "memory device=tmpfs,o=size=5m,mode=750,type=tmpfs" in rows
    assert not engine.api.volumes()
    assert untouched(dockerd.data_root / "volumes") == before


def test_copies_what_is_not_in_use(engine, holdfast, dockerd):
    source = dockerd.data_root / "volumes"
    before = untouched(source)
    output = migrated(holdfast, "docker", "--root", dockerd.data_root, code=1)
    assert "busy: Failed: in use by process" in output.out and "--live" in output.out
    assert output.lines[-1] == "5 taken over, 0 skipped, 1 failed"
    assert set(engine.api.volumes()) == {"data", "second", "memory", "bound", dockerd.anonymous}
    assert untouched(source) == before
    assert describe(files_of(engine, "data")) == describe(source / "data/_data")
    sparse = os.stat(files_of(engine, "data") / "sparse")
    assert sparse.st_blocks * 512 < 1 << 20
    data = volume_of(engine, "data")
    assert data["Labels"] == {NAMED: "shop", "empty": ""} and not data["Options"]
    assert volume_of(engine, "memory")["Options"] == {
        "type": "tmpfs", "device": "tmpfs", "o": "size=5m,mode=750",
    }
    assert volume_of(engine, "bound")["Options"] == {"type": "none", "o": "bind", "device": "/srv"}
    mounted = holdfast("run", "--rm", "-v", "memory:/m", "busybox", "stat", "-c", "%a", "/m").out
    assert mounted == "750\n"

    again = migrated(holdfast, "docker", "--root", dockerd.data_root, "data", "second")
    assert "data: Skipped: a volume of that name is here already" in again.out
    assert again.lines[-1] == "0 taken over, 2 skipped, 0 failed"


def test_survives_a_restart(engine, holdfast, dockerd):
    migrated(holdfast, "docker", "--root", dockerd.data_root, "data")
    before = describe(files_of(engine, "data"))
    engine.kill()
    engine.start()
    assert volume_of(engine, "data")["Labels"] == {NAMED: "shop", "empty": ""}
    assert describe(files_of(engine, "data")) == before


def test_live_copies_what_is_in_use(engine, holdfast, dockerd):
    migrated(holdfast, "docker", "--root", dockerd.data_root, "--live", "busy")
    assert volume_of(engine, "busy")
    holdfast.fails("migrate", "docker", "--root", dockerd.data_root, "--live", "--how", "move",
                   "--yes", says="--live doesn't go with move")


def test_asks_on_a_terminal_and_takes_no_for_an_answer(engine, holdfast, dockerd):
    words = ("migrate", "docker", "--root", dockerd.data_root, "second")
    output = holdfast(*words, input="n\n")
    assert "nothing is changed there" in output.out and "[y/N]" in output.out
    assert "second" in output.out and "memory" not in output.out
    holdfast(*words)  # no input is no
    assert not engine.api.volumes()
    holdfast(*words, input="y\n")
    assert set(engine.api.volumes()) == {"second"}
    assert (files_of(engine, "second") / "file").read_text() == "second"


def test_refuses_while_dockerd_runs(engine, holdfast, registry):
    running = Dockerd()
    try:
        running.start()
        create(running, "data")
        (running.data_root / "volumes/data/_data/file").write_text("x")
        words = ("migrate", "docker", "--root", running.data_root)
        output = holdfast(*words, "--list")
        assert "dockerd runs on" in output.err and "data" in output.out
        holdfast.fails(*words, "--yes", says="stop it first (systemctl stop docker.socket docker.service)")
        assert not engine.api.volumes()
        holdfast(*words, "--yes", "--live")
        assert (files_of(engine, "data") / "file").read_text() == "x"
        running.stop()
        # While volumes are taken over, dockerd can't start; afterwards it can.
        migrated(holdfast, "docker", "--root", running.data_root)
        running.start()
    finally:
        running.close()


def test_move_takes_the_files_away(engine, holdfast, docker_root):
    before = describe(docker_root / "volumes/data/_data")
    inode = os.stat(docker_root / "volumes/data/_data/plain").st_ino
    output = migrated(holdfast, "docker", "--root", docker_root, "--how", "move")
    assert output.lines[-1] == "6 taken over, 0 skipped, 0 failed"
    assert describe(files_of(engine, "data")) == before
    assert os.stat(files_of(engine, "data") / "plain").st_ino == inode
    assert not (docker_root / "volumes/data").exists()
    assert (docker_root / "volumes/memory/opts.json").exists()
    assert "its files are missing" in holdfast("migrate", "docker", "--root", docker_root, "-l").out


@contextlib.contextmanager
def loop_file_system(directory, kind, size="512M"):
    image = directory / f"{kind}.img"
    run("truncate", "-s", size, image)
    run(f"mkfs.{kind}", "-q", image)
    root = directory / kind
    root.mkdir()
    run("mount", "-o", "loop", image, root)
    try:
        yield root
    finally:
        run("umount", "-l", root)


def test_limits_of_size_hold_here_too(engine, holdfast, docker_root):
    """dockerd can limit volumes on an XFS with quotas only; its record of it is this file."""
    (docker_root / "volumes/second/opts.json").write_text(json.dumps({"Quota": {"Size": 20 << 20}}))
    output = migrated(holdfast, "docker", "--root", docker_root, "second")
    assert "second: Taken over\n" in output.out
    assert volume_of(engine, "second")["Options"] == {"size": str(20 << 20)}
    words = ("cat /d/file; dd if=/dev/zero of=/d/large bs=1M count=30",)
    output = holdfast("run", "--rm", "-v", "second:/d", "busybox", "sh", "-c", *words, code=1)
    assert output.out == "second" and "No space left" in output.err + output.out


def test_move_and_reflink_say_what_the_file_system_can_not(engine, holdfast, docker_root, tmp_path):
    output = migrated(holdfast, "docker", "--root", docker_root, "--how", "reflink", "data", code=1)
    assert "can't share blocks" in output.out and "copy" in output.out
    with loop_file_system(tmp_path, "ext4") as disk:
        run("cp", "-a", docker_root / "volumes", disk)
        before = untouched(disk / "volumes")
        output = migrated(holdfast, "docker", "--root", disk, "--how", "move", "second", code=1)
        assert "are on another file system" in output.out and "copy them" in output.out
        assert untouched(disk / "volumes") == before
    assert not engine.api.volumes()
    until(lambda: not staging(engine), "staging is swept")


@pytest.mark.parametrize("kind", ("xfs", "btrfs"))
def test_reflink_shares_blocks(kind, docker_root, tmp_path):
    with loop_file_system(tmp_path, kind) as disk:
        run("cp", "-a", "--sparse=always", docker_root, disk / "docker")
        (disk / "engine").mkdir()
        engine = Engine(directory=disk / "engine")
        try:
            engine.start()
            holdfast = Client("holdfast", engine, tmp_path / "home")
            migrated(holdfast, "docker", "--root", disk / "docker", "--how", "reflink", "data")
            source = disk / "docker/volumes/data/_data"
            assert describe(files_of(engine, "data")) == describe(source)
            extents = run("filefrag", "-v", files_of(engine, "data") / "dir/sub/owned").stdout
            assert "shared" in extents, extents
        finally:
            engine.close()


def test_cancelling_leaves_nothing(engine, holdfast, docker_root):
    large = docker_root / "volumes/second/_data"
    many_files(large, 3000)
    process = holdfast.start("migrate", "docker", "--root", docker_root, "--yes", "second")
    until(lambda: staged_files(engine) > 10, "the copy has begun", interval=0.001)
    process.kill()
    process.wait(10)
    until(lambda: not staging(engine), "what was copied is taken back")
    assert not engine.api.volumes()
    migrated(holdfast, "docker", "--root", docker_root, "second")
    assert describe(files_of(engine, "second")) == describe(large)


def many_files(folder, count):
    for number in range(count):
        (folder / f"{number}").write_bytes(os.urandom(20_000))


def staged_files(engine):
    try:
        return sum(len(list(data.iterdir())) for data in (engine.data_root / "staging").glob("*/_data"))
    except FileNotFoundError:
        return 0


def test_kill_in_the_middle_of_a_copy(engine, holdfast, docker_root):
    large = docker_root / "volumes/second/_data"
    many_files(large, 3000)
    before = untouched(docker_root / "volumes")
    for files in (1, 500, 2000):
        process = holdfast.start("migrate", "docker", "--root", docker_root, "--yes", "second")
        until(lambda: staged_files(engine) >= files, "the copy has begun", interval=0.001)
        engine.kill()
        out, err = process.communicate(timeout=10)
        assert process.returncode == 1, out + err
        engine.start()
        assert not engine.api.volumes()
        until(lambda: not staging(engine), "staging is swept")
    assert untouched(docker_root / "volumes") == before
    migrated(holdfast, "docker", "--root", docker_root, "second")
    assert describe(files_of(engine, "second")) == describe(large)


def test_progress_is_drawn_on_a_terminal(engine, holdfast, docker_root):
    many_files(docker_root / "volumes/second/_data", 3000)
    words = ("migrate", "docker", "--root", docker_root, "second")
    with holdfast.terminal(*words) as terminal:
        terminal.expect(r"Are you sure you want to continue\? \[y/N\]")
        terminal.line("y")
        terminal.expect(r"second: Copying .*MB/")
        terminal.expect("second: Taken over")
        terminal.expect("1 taken over, 0 skipped, 0 failed")


def test_a_file_system_mounted_within_is_refused(engine, holdfast, docker_root):
    inner = docker_root / "volumes/data/_data/dir/sub/empty"
    run("mount", "-t", "tmpfs", "tmpfs", inner)
    try:
        output = migrated(holdfast, "docker", "--root", docker_root, "data", code=1)
        assert f'a file system is mounted on "{inner}"' in output.out
    finally:
        run("umount", inner)
    assert not engine.api.volumes()


def test_bad_input_is_named(engine, holdfast, docker_root, tmp_path):
    holdfast.fails("migrate", "lxc", says='unknown engine "lxc"')
    holdfast.fails("migrate", "docker", "--root", "/etc", "-l", says='"/etc" is no data root of Docker')
    holdfast.fails("migrate", "podman", "--root", "/etc", "-l", says='"/etc" is no data root of Podman')
    holdfast.fails("migrate", "docker", "--root", tmp_path / "none", "-l", says="No such file")
    holdfast.fails("migrate", "docker", "--root", docker_root, "--how", "magic", "-y", says='"magic"')
    holdfast.fails("migrate", "docker", "--root", docker_root, "-y", "nope",
                   says="get nope: docker has no such volume")
    answer = engine.api.get("/holdfast/v1/migrate/docker", root="relative")
    assert answer.status == 400 and "absolute" in answer.message
    for damage in (b"", os.urandom(5000), b"\0" * 32768):
        (docker_root / "volumes/metadata.db").write_bytes(damage)
        holdfast.fails("migrate", "docker", "--root", docker_root, "-y", says='metadata.db" is damaged')
    assert not engine.api.volumes()


def test_symlinks_of_the_source_are_not_followed(engine, holdfast, docker_root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    data = docker_root / "volumes/second/_data"
    for how in ("copy", "move"):
        shutil.rmtree(data, ignore_errors=True)
        data.unlink(missing_ok=True)
        data.symlink_to(outside)
        output = migrated(holdfast, "docker", "--root", docker_root, "--how", how, "second", code=1)
        assert "is no directory, or a symlink" in output.out
    assert not engine.api.volumes()
    assert (outside / "secret").read_text() == "secret"
    shutil.rmtree(docker_root / "volumes")
    (docker_root / "volumes").symlink_to(outside)
    holdfast.fails("migrate", "docker", "--root", docker_root, "-l", says="is no data root of Docker")


# Podman.


def test_takes_over_from_podman(engine, holdfast, podman):
    podman("volume", "create", "--label", f"{NAMED}=shop", "data")
    podman("volume", "create", "--opt", "o=uid=1000,gid=1001", "owned")
    podman("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs",
           "--opt", "o=nosuid,mode=700", "memory")
    podman("volume", "create", "x")
    anonymous = podman("volume", "create")
    source = podman.root / "volumes"
    fill(source / "data/_data")
    told = json.loads(podman("volume", "inspect", "data"))[0]
    before = untouched(source)
    database = (podman.root / "libpod/bolt_state.db").read_bytes()

    output = migrated(holdfast, "podman", "--root", podman.root)
    assert "x: Skipped: volume name is too short" in output.out
    assert output.lines[-1] == "4 taken over, 1 skipped, 0 failed"
    assert set(engine.api.volumes()) == {"data", "owned", "memory", anonymous}
    assert describe(files_of(engine, "data")) == describe(source / "data/_data")
    status = os.stat(files_of(engine, "owned"))
    assert (status.st_uid, status.st_gid) == (1000, 1001)
    data = volume_of(engine, "data")
    assert data["Labels"] == {NAMED: "shop"}
    assert data["CreatedAt"][:19] == told["CreatedAt"][:19]
    assert volume_of(engine, "memory")["Options"] == {
        "type": "tmpfs", "device": "tmpfs", "o": "nosuid,mode=700",
    }
    assert untouched(source) == before
    assert (podman.root / "libpod/bolt_state.db").read_bytes() == database


def test_where_binds_are_limited_other_files_are_not_taken_over(registry, podman, tmp_path):
    podman("volume", "create", "data")
    (podman.root / "volumes/data/_data/file").write_text("mine")
    (tmp_path / "daemon.json").write_text(json.dumps({"allowed-bind-roots": [str(tmp_path)]}))
    (tmp_path / "link").symlink_to(podman.root)
    engine = Engine(**{"config-file": tmp_path / "daemon.json"})
    try:
        engine.start()
        holdfast = Client("holdfast", engine, tmp_path / "home")
        for root in (podman.root, tmp_path / "link"):
            for words in (["--list"], ["--yes"]):
                holdfast.fails("migrate", "podman", "--root", root, *words,
                               says="is outside of the directories that may be mounted")
        assert volume_of(engine, "data") is None
        engine.stop()
        (tmp_path / "daemon.json").write_text(json.dumps({"allowed-bind-roots": [str(podman.root.parent)]}))
        engine.start()
        holdfast("migrate", "podman", "--root", tmp_path / "link", "--yes")
        assert (files_of(engine, "data") / "file").read_text() == "mine"
    finally:
        engine.close()


def test_volumes_that_others_have_mounted_are_in_use(engine, holdfast, podman, tmp_path):
    podman("volume", "create", "data")
    target = tmp_path / "target"
    target.mkdir()
    script = f"mount --bind {podman.root}/volumes/data/_data {target} && echo ready && exec sleep 600"
    user = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE)
    try:
        assert user.stdout.readline() == b"ready\n"
        output = migrated(holdfast, "podman", "--root", podman.root, "data", code=1)
        assert f"in use by process {user.pid} (sleep)" in output.out
    finally:
        user.kill()
        user.wait()
    assert not engine.api.volumes()
    migrated(holdfast, "podman", "--root", podman.root, "data")
    assert set(engine.api.volumes()) == {"data"}


def test_moves_from_podman_and_it_forgets(engine, holdfast, podman):
    podman("volume", "create", "data")
    Path(podman.root, "volumes/data/_data/file").write_text("x")
    migrated(holdfast, "podman", "--root", podman.root, "--how", "move")
    assert (files_of(engine, "data") / "file").read_text() == "x"
    podman("volume", "rm", "data")
    assert podman("volume", "ls", "-q") == ""
