"""A full disk: an engine of its own on a small file system."""

import pytest
from client import Client
from engine import KIND, Engine, run
from images import Images


@pytest.fixture(scope="module")
def small(registry, tmp_path_factory):
    if KIND == "dockerd":
        pytest.skip("dockerd's own files do not fit a file system this small")
    folder = tmp_path_factory.mktemp("full")
    run("truncate", "-s", "64M", folder / "disk")
    run("mkfs.ext4", "-q", "-m", "0", folder / "disk")
    root = folder / "root"
    root.mkdir()
    run("mount", "-o", "loop", folder / "disk", root)
    engine = Engine(directory=folder)
    engine.data_root = root
    try:
        engine.start()
        Images(engine, registry).have("busybox")
        yield engine
    finally:
        engine.close()


@pytest.fixture
def small_cli(small, tmp_path):
    return Client("docker", small, tmp_path)


def test_pull_onto_a_full_disk(small, small_cli, registry):
    reference = registry.push("node")
    small_cli.fails("pull", reference, says=("no space left on device", "No space left on device"),
                    timeout=120)
    assert not any("node" in tag for tag in small.api.tags())
    assert list((small.data_root / "staging").glob("*")) == []
    assert small_cli("run", "--rm", "busybox", "echo", "still works").out == "still works\n"


def test_full_volume_can_still_be_removed(small, small_cli):
    words = ("dd", "if=/dev/zero", "of=/d/f", "bs=1M")
    small_cli.fails("run", "--name", "filler", "-v", "big:/d", "busybox", *words, code=1,
                    says="No space left on device")
    small_cli("rm", "filler")
    small_cli("volume", "rm", "big")
    assert small_cli("run", "--rm", "busybox", "echo", "room").out == "room\n"
