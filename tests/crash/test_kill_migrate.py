"""kill -9 of the daemon before each system call that changes the disk while it takes a volume over.

A restart shows the volume whole or not at all; what was moved is in one of the two places, never in
both and never in neither; and asking again completes it.
"""

import http.client
import shutil
import subprocess

import pytest
from crash_points import killed_before
from engine import KIND, Engine
from tree import describe
from waiting import until

pytestmark = [
    pytest.mark.skipif(KIND == "dockerd", reason="dockerd takes nothing over"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes the crashes"),
    pytest.mark.skipif(shutil.which("podman") is None, reason="podman makes the volume"),
]

CALLS = "renameat,renameat2,fsync,fdatasync,syncfs,pwrite64,write,unlinkat,utimensat,mkdirat"


@pytest.fixture
def own():
    engine = Engine()
    try:
        yield engine.start()
    finally:
        engine.close()


def make_source(directory):
    options = ("--root", directory / "root", "--runroot", directory / "run", "--tmpdir",
               directory / "tmp", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs")
    subprocess.run(["podman", *options, "volume", "create", "--label", "a=b", "data"], check=True,
                   capture_output=True)
    data = directory / "root/volumes/data/_data"
    (data / "sub").mkdir()
    (data / "sub/file").write_text("content")
    (data / "other").write_text("more")
    return directory / "root"


def ask(engine, root, how):
    """Whether the daemon answered that the volume was taken over; None: it died over it."""
    body = {"Root": str(root), "How": how}
    try:
        answer = engine.api.post("/holdfast/v1/migrate/podman", body)
    except (OSError, http.client.HTTPException):
        return None
    assert answer.status == 200, answer.body
    return True if b'"TakenOver":["data"]' in answer.body else None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ("copy", "move"))
def test_every_crash_point(own, tmp_path, how):
    template = own.dir / "podman"
    template.mkdir()
    whole = contents(make_source(template) / "volumes/data/_data")
    seen = {"before": 0, "after": 0}
    for number in range(1, 200):
        root = own.dir / f"source{number}"
        shutil.copytree(template / "root", root, symlinks=True, ignore=shutil.ignore_patterns("back*"))
        here, there = own.data_root / "volumes/data/_data", root / "volumes/data/_data"
        # A daemon just started: its threads have counted nothing yet.
        own.stop()
        own.start()
        with killed_before(own.pid, number, CALLS):
            answered = ask(own, root, how)
            if answered is None:
                own.process.wait(10)
        if own.process.poll() is None:
            own.kill()
        own.start()
        where = f"{how}, killed before call {number}, {'' if answered else 'not '}answered"
        found = "data" in own.api.volumes()
        assert found or not answered, where
        assert here.exists() == found, where
        assert there.exists() == (how == "copy" or not found), where
        assert contents(here if found else there) == whole, where
        until(lambda: not list((own.data_root / "staging").glob("*-*")), f"staging is swept: {where}")
        seen["after" if found else "before"] += 1
        if not found:
            assert ask(own, root, how), f"{where}: asking again"
        assert own.api.volumes()["data"]["Labels"] == {"a": "b"}
        assert contents(here) == whole, where
        assert own.api.delete("/volumes/data").status == 204
        if answered:
            break
    print(f"{how}: {seen}")
    assert answered and seen["before"] >= 3 and seen["after"] >= 1, seen


def contents(top):
    """Files and what is in them."""
    return {path: entry.digest for path, entry in describe(top).items()}
