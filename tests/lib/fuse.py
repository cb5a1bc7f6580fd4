"""Directories behind FUSE."""

import subprocess
from pathlib import Path

import pytest

needs_fuse = pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="no FUSE here")

# For a test's parameter `behind`.
BEHIND = ["directory", pytest.param("fuse", marks=needs_fuse)]


def put_behind_fuse(directory, request):
    """Mounts bindfs over an empty directory until the test ends; what is written there goes to one beside it."""
    below = directory.with_name(f"{directory.name}-below")
    below.mkdir()
    subprocess.run(["bindfs", below, directory], check=True)
    request.addfinalizer(lambda: subprocess.run(["umount", "-l", directory], check=True))
