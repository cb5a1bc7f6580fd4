"""dockerode, the client that Node.js programs use; from the npm registry."""

import shutil
import subprocess
from pathlib import Path

import namespace
import pytest

SOURCE = Path(__file__).parent / "dockerode"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dockerode")
    for name in ("package.json", "smoke.js"):
        shutil.copy(SOURCE / name, folder)
    words = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    done = subprocess.run(
        namespace.from_outside(words), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=120,
    )
    if done.returncode:
        pytest.skip(f"npm cannot install dockerode here: {done.stdout[-300:]}")
    return folder


def test_smoke(installed, engine):
    done = subprocess.run(["node", "smoke.js", engine.socket], cwd=installed, capture_output=True,
                          text=True, timeout=60)
    assert done.stdout == "as expected\n", done.stdout + done.stderr
