"""kill -9 of the daemon before each system call that changes the disk while a volume is renamed or
its record changes.

The oracle knows the state before and the one after: each restart must show one of them whole, in
the API, in the directories, in the sidecar and in the containers that hold the volume; the one
after, if the request was answered; and a second restart changes nothing.
"""

import contextlib
import http.client
import json
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from crash_points import killed_before
from engine import KIND, Engine
from images import Images
from waiting import until

pytestmark = [
    pytest.mark.skipif(KIND == "dockerd", reason="dockerd renames no volumes"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes the crashes"),
]

CALLS = "renameat,renameat2,fsync,fdatasync,pwrite64,write,unlinkat,utimensat"


def asked(api, method, url, body):
    """The answer; None where the daemon died over it."""
    try:
        answer = api.call(method, url, body)
    except (OSError, http.client.HTTPException):
        return None
    assert answer.status == 200, (answer.status, answer.body)
    return answer


def state(engine):
    """What the API, the disk and the container say, in one value."""
    api = engine.api
    volumes = {
        name: (volume["Labels"], volume["Options"], volume["Mountpoint"], volume["CreatedAt"])
        for name, volume in api.volumes().items()
    }
    container = api.container("holder")
    disk = {
        folder.name: (json.loads((folder / "volume.json").read_text()),
                      {file.name: file.read_text() for file in (folder / "_data").iterdir()})
        for folder in (engine.data_root / "volumes").iterdir()
    }
    mounts = [(mount["Name"], mount["Source"]) for mount in container["Mounts"]]
    return json.loads(json.dumps([volumes, disk, mounts, container["HostConfig"]["Binds"]]))


def leftovers(engine):
    """Intents in the database, and files of things half done; of a daemon that has stopped."""
    with tempfile.TemporaryDirectory() as folder:
        for file in engine.data_root.glob("state.db*"):
            shutil.copy(file, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / "state.db")) as database:
            intents = [row[0] for row in database.execute("SELECT key FROM intents")]
            rows = sorted(row[0] for row in database.execute("SELECT key FROM volumes"))
    staged = [path.name for path in (engine.data_root / "staging").iterdir()]
    names = sorted(path.name for path in (engine.data_root / "volumes").iterdir())
    return {"intents": intents, "staged": staged, "rows without a directory, or the other way": [
        name for name in rows + names if rows.count(name) + names.count(name) != 2
    ]}


class Operation:
    """One change of the volume `data`, and how to take it back."""

    def __init__(self, method, path, body, back):
        self.call = (method, f"/holdfast/v1/volumes/{path}", body)
        self.back = [(method, f"/holdfast/v1/volumes/{path}", body) for method, path, body in back]


OPERATIONS = {
    "rename": Operation(
        "POST", "data/rename", {"Name": "renamed"}, [("POST", "renamed/rename", {"Name": "data"})]
    ),
    "update-labels": Operation(
        "PATCH", "data", {"Labels": {"a": "2", "b": None}}, [("PATCH", "data", {"Labels": {"a": "1", "b": "1"}})]
    ),
    "update-options": Operation(
        "PATCH", "ram", {"Options": {"o": "size=7m"}}, [("PATCH", "ram", {"Options": {"o": "size=5m"}})]
    ),
}


@pytest.fixture
def own(registry):
    engine = Engine()
    try:
        engine.start()
        Images(engine, registry).have("busybox")
        yield engine
    finally:
        if not engine.alive():
            engine.start()
        engine.close()


def set_up(engine):
    api = engine.api
    assert api.post("/volumes/create", {"Name": "data", "Labels": {"a": "1", "b": "1"}}).status == 201
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=5m"}
    assert api.post("/volumes/create", {"Name": "ram", "DriverOpts": options}).status == 201
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Binds": ["data:/d"], "NetworkMode": "none"}}
    assert api.post("/containers/create", body, name="holder").status == 201
    (Path(api.volumes()["data"]["Mountpoint"]) / "file").write_text("kept")
    sidecars = [engine.data_root / "volumes" / name / "volume.json" for name in ("data", "ram")]
    until(lambda: all(path.exists() for path in sidecars), "the volumes have their sidecars")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_crash_point(own, name):
    operation = OPERATIONS[name]
    set_up(own)
    before = state(own)
    assert asked(own.api, *operation.call)
    after = state(own)
    assert after != before
    for call in operation.back:
        assert asked(own.api, *call)
    assert state(own) == before

    seen = {"before": 0, "after": 0}
    points = [(1, "sendto"), *((number, CALLS) for number in range(1, 200))]
    for number, calls in points:
        # A daemon just started: its threads have counted nothing yet.
        own.stop()
        own.start()
        with killed_before(own.pid, number, calls):
            answer = asked(own.api, *operation.call)
            if answer is None:
                own.process.wait(10)
        if own.process.poll() is None:
            own.kill()
        own.start()
        found = state(own)
        where = f"{name}, killed before call {number} of {calls}, {'' if answer else 'not '}answered"
        assert found in (before, after), where
        assert found == after or not answer, where
        own.stop()
        left = {what: names for what, names in leftovers(own).items() if names}
        assert not left, (where, left)
        own.start()
        assert state(own) == found, f"{where}: a second restart changed something"
        seen["after" if found == after else "before"] += 1
        if found == after:
            for call in operation.back:
                assert asked(own.api, *call)
        if answer:
            break
    # Otherwise nothing was tried.
    print(f"{name}: {seen}")
    assert answer and seen["before"] >= 3 and seen["after"] >= 2, seen
