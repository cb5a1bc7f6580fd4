"""Size limits of volumes, through --opt size= and --size: exact, shown, changed in use, given back."""

import json
import os
import re
import threading

import pytest
from client import Client
from engine import Engine, run
from host_state import loops
from images import Images
from waiting import until

pytestmark = pytest.mark.holdfast_only("its size option wants XFS with project quotas")

MIB = 1 << 20
# Fills /d/file to the last byte, and says how many there were.
FILL = "dd if=/dev/zero of=/d/file bs=4k 2>&1 | grep -o 'No space left on device' ; sync; stat -c %s /d/file"


def create(cli, size, name="data"):
    flags = ["--size", size] if cli.program == "holdfast" else ["--opt", f"size={size}"]
    assert cli("volume", "create", *flags, name).out == f"{name}\n"


def status(cli, name="data"):
    return json.loads(cli("volume", "inspect", name).out)[0]["Status"]


def inside(cli, script, name="data", mode="", code=0):
    return cli("run", "--rm", "-v", f"{name}:/d{mode}", "busybox", "sh", "-c", script, code=code, timeout=120)


def filled_to(output, limit):
    """The files have all of the limit, but for the few blocks that say where a file's blocks are."""
    words, size = output.lines[0], int(output.lines[-1])
    assert words == "No space left on device"
    assert limit - 128 * 1024 <= size <= limit, f"{size} of {limit}"


def folder(engine, name="data"):
    return engine.data_root / "volumes" / name


def images_of(engine):
    return [path for path in loops() if path.startswith(str(engine.dir))]


def space_taken(engine):
    """Bytes of the disk that the data root's volumes, trash and staging have."""
    run("sync", "-f", engine.data_root)
    places = [engine.data_root / name for name in ("volumes", "trash", "staging")]
    # du also ends with 1 where what it was about to count has just been removed.
    return sum(int(run("du", "-s", "-B1", place, check=False).stdout.split()[0]) for place in places)


def test_the_limit_is_shown_inside_and_exact(cli, engine):
    create(cli, "20m")
    lines = inside(cli, "df -k /d | tail -1 | awk '{print $4}'; ls -A /d | wc -l; stat -c '%u:%g %a' /d").lines
    assert lines == ["20480", "0", "0:0 755"]
    filled_to(inside(cli, FILL), 20 * MIB)
    seen = status(cli)
    assert seen["Limit"] == 20 * MIB and seen["Backing"] == "image file"
    assert 19 * MIB < seen["Used"] <= 20 * MIB
    inside(cli, "rm /d/file")
    filled_to(inside(cli, FILL), 20 * MIB)


@pytest.mark.parametrize("size, limit", [("1", 4096), ("5000", 8192), ("1k", 4096), ("1m", MIB), ("1.5M", 3 * MIB // 2),
                                         ("2mb", 2 * MIB), ("2MiB", 2 * MIB), ("1 g", 1024 * MIB)])
def test_sizes_are_docker_s_and_whole_blocks(cli, size, limit):
    create(cli, size)
    assert status(cli)["Limit"] == limit
    assert inside(cli, "df -B 1 /d | tail -1 | awk '{print $4}'").out == f"{limit}\n"


@pytest.mark.parametrize("size, says", [
    ("abc", "invalid size: 'abc'"), ("-1", "invalid size: '-1'"), ("", "invalid size: ''"), ("1x", "invalid suffix: 'x'"),
    ("1e30", 'parsing "1e30": invalid syntax'), ("9999999999g", "invalid size: '9999999999g'"), ("1mm", "invalid suffix: 'mm'"),
    ("1000000t", "files of the data root's file system can't be as long as a volume of that size needs"),
])
def test_bad_sizes(cli, api, engine, size, says):
    output = cli.fails("volume", "create", "--opt", f"size={size}", "data", code=1, says=says)
    assert "create data: " in output.err and api.volumes() == {}
    until(lambda: os.listdir(engine.data_root / "staging") == [], "staging is empty")


def test_a_size_of_nothing_is_no_limit(cli):
    """As with Docker."""
    cli("volume", "create", "--opt", "size=0", "data")
    assert "Status" not in json.loads(cli("volume", "inspect", "data").out)[0] or "Limit" not in status(cli)


def test_a_tmpfs_has_its_size_among_its_mount_options(cli):
    words = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "size=1m"]
    cli.fails("volume", "create", *words, "data", says="the size of a tmpfs is a mount option: --opt o=size=1m")
    words = ["--opt", "type=none", "--opt", "device=/tmp", "--opt", "o=bind", "--opt", "size=1m"]
    cli.fails("volume", "create", *words, "data", says='option "size" limits a volume in the data root')


def test_two_containers_share_it(cli, engine):
    create(cli, "8m")
    for name in ("one", "two"):
        cli("run", "-d", "--name", name, "-v", "data:/d", "busybox", "sleep", "1000")
    cli("exec", "one", "sh", "-c", "head -c 5000000 /dev/zero >/d/file")
    full = cli("exec", "two", "sh", "-c", "dd if=/dev/zero of=/d/other bs=1M count=5", code=1)
    assert "No space left on device" in full.err
    assert len(images_of(engine)) == 1
    cli("rm", "-f", "one", "two")
    until(lambda: not images_of(engine), "the loop device is gone")


# Changes


@pytest.fixture
def holdfast(engine, tmp_path):
    return Client("holdfast", engine, tmp_path / "home")


def test_it_grows_while_a_container_writes(holdfast, engine):
    create(holdfast, "8m")
    script = "until cat /dev/zero >>/d/file 2>/dev/null; do [ $(stat -c %s /d/file) -gt 20000000 ] && break; done; stat -c %s /d/file"
    holdfast("run", "-d", "--name", "writer", "-v", "data:/d", "busybox", "sh", "-c", script)
    until(lambda: 8 * MIB - 128 * 1024 < status(holdfast)["Used"] <= 8 * MIB, "it is full")
    for size in ("12m", "16m", "24m"):
        holdfast("volume", "update", "--size", size, "data")
        assert status(holdfast)["Limit"] == int(size[:-1]) * MIB
    assert holdfast("wait", "writer").out == "0\n"
    written = int(holdfast("logs", "writer").out)
    assert 20_000_000 < written <= 24 * MIB
    assert json.loads(holdfast("volume", "inspect", "data").out)[0]["Options"] == {"size": "24m"}


def test_it_shrinks_to_what_is_used(holdfast):
    create(holdfast, "24m")
    inside(holdfast, "head -c 10000000 /dev/zero >/d/file; sync")
    holdfast.fails("volume", "update", "--size", "8m", "data", code=1,
                   says='update data: option "size": 8MiB is less than the 9.5')
    assert status(holdfast)["Limit"] == 24 * MIB
    holdfast("volume", "update", "--size", "12m", "data")
    filled_to(inside(holdfast, FILL), 12 * MIB)
    holdfast("run", "-d", "--name", "user", "-v", "data:/d", "busybox", "sleep", "1000")
    holdfast.fails("volume", "update", "--size", "8m", "data", code=1, says="is less than the")
    holdfast("exec", "user", "sh", "-c", "rm /d/file; sync")
    holdfast("volume", "update", "--size", "8m", "data")
    out = holdfast("exec", "user", "sh", "-c", FILL)
    filled_to(out, 8 * MIB)
    for size in ("abc", "-1", "none"):
        holdfast.fails("volume", "update", "--size", size, "data", code=1, says="invalid size")


def test_a_volume_that_had_no_limit_gets_one(holdfast, engine):
    holdfast("volume", "create", "data")
    inside(holdfast, "mkdir /d/sub; head -c 3000000 /dev/zero >/d/sub/file; chown 7:9 /d/sub/file; ln -s sub /d/link")
    holdfast("run", "-d", "--name", "user", "-v", "data:/d", "busybox", "sleep", "1000")
    holdfast.fails("volume", "update", "--size", "8m", "data", code=1,
                   says='option "size" can be given to a volume that has none when nobody uses it')
    holdfast("rm", "-f", "user")
    holdfast.fails("volume", "update", "--size", "2m", "data", code=1, says="a size of 2MiB is too small for what volume")
    holdfast("volume", "update", "--size", "8m", "data")
    assert inside(holdfast, "stat -c '%u:%g %s' /d/sub/file; readlink /d/link").lines == ["7:9 3000000", "sub"]
    assert sorted(os.listdir(folder(engine))) == ["_data", "_data.ext4", "volume.json"]
    full = inside(holdfast, "dd if=/dev/zero of=/d/file bs=1M count=6", code=1)
    assert "No space left on device" in full.err
    holdfast.fails("volume", "update", "--size", "0", "data", code=1,
                   says='option "size" cannot be taken away from a volume: give a larger one')


def in_force(cli):
    """Whether what inspect says is what a container gets."""
    free = int(inside(cli, "df -B 1 /d | tail -1 | awk '{print $4}'").out)
    seen = status(cli)
    return free + seen["Used"] == seen["Limit"]


@pytest.mark.parametrize("used", [False, True])
def test_the_daemon_is_killed_while_a_size_changes(holdfast, engine, used):
    """Whatever size the record has afterwards is in force, and nothing of the volume is lost."""
    create(holdfast, "8m")
    inside(holdfast, "echo kept >/d/kept; sync")
    if used:
        holdfast("run", "-d", "--name", "user", "-v", "data:/d", "busybox", "sleep", "1000")
    # Beyond its headroom an image grows as a copy, which is for when nobody has it.
    sizes = [12, 40, 12, 48, 40, 16] if used else [12, 40, 12, 5000, 40, 6000]
    for round, size in enumerate(sizes):
        update = holdfast.start("volume", "update", "--size", f"{size}m", "data")
        if round % 2:
            # Once it has begun: the intent is on the disk, or the image is being made.
            timer = threading.Timer(0.02 * round, engine.process.kill)
            timer.start()
            update.communicate(timeout=60)
            timer.join()
        else:
            engine.process.kill()
            update.communicate(timeout=60)
        engine.process.wait(10)
        engine.start()
        # What had begun may still be carried through.
        until(lambda: in_force(holdfast), lambda: f"the limit of {status(holdfast)} is in force", 60)
        assert status(holdfast)["Limit"] in [8 * MIB, *(n * MIB for n in sizes)]
        assert inside(holdfast, "cat /d/kept").out == "kept\n"
        if used:
            assert holdfast("exec", "user", "cat", "/d/kept").out == "kept\n"
    if used:
        holdfast("rm", "-f", "user")
    holdfast("volume", "update", "--size", "64m", "data")
    assert sorted(os.listdir(folder(engine))) == ["_data", "_data.ext4", "volume.json"]
    assert inside(holdfast, "cat /d/kept").out == "kept\n"


# First use, end


@pytest.mark.images("volumeful")
def test_it_is_filled_from_the_image(cli):
    create(cli, "20m")
    # The image has a program that compares all there is to compare.
    assert "as expected" in cli("run", "--rm", "-v", "data:/data", "volumeful").out


@pytest.mark.images("volumeful")
def test_one_too_small_for_the_image_is_left_empty(cli, engine):
    create(cli, "4k")
    output = cli.fails("run", "--rm", "-v", "data:/data", "volumeful", "true", code=125,
                       says="failed to copy the image's content at /data to volume data")
    assert 'volume "data" is limited to 4KiB' in output.err and "No space left on device" in output.err
    assert inside(cli, "ls -A /d").out == ""
    assert engine.api.containers() == [] and os.listdir(engine.data_root / "staging") == []
    until(lambda: not images_of(engine), "the loop device is gone")


@pytest.mark.parametrize("verb", [("rm", "data"), ("prune", "-a", "-f")])
def test_what_is_removed_gives_its_space_back(cli, engine, verb):
    before = space_taken(engine)
    create(cli, "64m")
    inside(cli, "head -c 40000000 /dev/urandom >/d/file; sync")
    assert space_taken(engine) > before + 39_000_000
    cli("volume", *verb)
    until(lambda: not images_of(engine), "the loop device is gone")
    until(lambda: space_taken(engine) < before + MIB, "its space is back")
    assert not folder(engine).exists()


def test_what_is_deleted_inside_gives_its_space_back(cli, engine):
    before = space_taken(engine)
    create(cli, "64m")
    cli("run", "-d", "--name", "user", "-v", "data:/d", "busybox", "sleep", "1000")
    cli("exec", "user", "sh", "-c", "head -c 40000000 /dev/urandom >/d/file; sync")
    assert space_taken(engine) > before + 39_000_000
    cli("exec", "user", "sh", "-c", "rm /d/file; sync")

    def given_back():
        cli("exec", "user", "sync")
        return space_taken(engine) < before + 8 * MIB

    until(given_back, "holes again", 60)
    cli("rm", "-f", "user")


def test_it_survives_the_daemon(cli, engine):
    create(cli, "8m")
    inside(cli, "echo kept >/d/kept")
    engine.stop()
    assert images_of(engine) == []
    engine.start()
    assert inside(cli, "cat /d/kept").out == "kept\n"
    cli("run", "-d", "--name", "user", "-v", "data:/d", "busybox", "sleep", "1000")
    for end in (engine.kill, engine.stop):
        end()
        engine.start()
        assert cli("exec", "user", "cat", "/d/kept").out == "kept\n"
        assert inside(cli, "cat /d/kept").out == "kept\n" and status(cli)["Limit"] == 8 * MIB
    assert len(images_of(engine)) == 1
    cli("rm", "-f", "user")
    until(lambda: not images_of(engine), "the loop device is gone")
    filled_to(inside(cli, FILL), 8 * MIB)


# A data root that can do better


@pytest.fixture(scope="module")
def on_btrfs(registry, tmp_path_factory):
    place = tmp_path_factory.mktemp("btrfs")
    run("truncate", "-s", "1G", place / "disk")
    run("mkfs.btrfs", "-q", place / "disk")
    root = place / "root"
    root.mkdir()
    run("mount", "-o", "loop", place / "disk", root)
    engine = Engine()
    engine.data_root = root / "data"
    try:
        engine.start()
        Images(engine, registry).have("busybox")
        engine.use_the_bridge()
        yield engine
        engine.remove_everything()
    finally:
        engine.close()
        run("umount", "-l", root, check=False)


@pytest.mark.parametrize("program", ["docker", "holdfast"])
def test_a_data_root_on_btrfs(on_btrfs, tmp_path, program):
    cli = Client(program, on_btrfs, tmp_path / "home")
    create(cli, "16m")
    script = FILL.replace("No space left on device", "No space left on device\\|quota exceeded\\|Quota exceeded")
    output = inside(cli, script)
    size = int(output.lines[-1])
    assert re.search("no space left|quota exceeded", output.out, re.I) and 15.8 * MIB <= size <= 16 * MIB, output
    seen = status(cli)
    assert seen["Backing"] == "btrfs quota group" and seen["Limit"] == 16 * MIB and seen["Used"] > 15 * MIB
    Client("holdfast", on_btrfs, tmp_path / "home")("volume", "update", "--size", "24m", "data")
    assert int(inside(cli, script).lines[-1]) > 23.8 * MIB
    on_btrfs.kill()
    on_btrfs.start()
    assert status(cli)["Limit"] == 24 * MIB and int(inside(cli, "stat -c %s /d/file").out) > 23.8 * MIB
    cli("volume", "rm", "data")
    until(lambda: run("btrfs", "subvolume", "list", on_btrfs.data_root).stdout == "", "its subvolume is gone")
    assert cli("volume", "ls", "-q").out == ""
