"""allowed-bind-roots: which paths of the host containers may have, the same through every field."""

import json
import os
import subprocess
import sys

import pytest

from client import Client
from engine import KIND, Engine
from images import Images

pytestmark = pytest.mark.skipif(KIND != "holdfastd", reason="dockerd allows all")

NOBODY = 65534


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """allowed/ and what lies beside it, with ways from one to the other."""
    top = tmp_path_factory.mktemp("binds")
    top.chmod(0o755)
    for name in ("allowed/in", "outside", "allowed-not"):
        (top / name).mkdir(parents=True)
        (top / name / "canary").write_text(name)
    (top / "allowed/way-out").symlink_to(top / "outside")
    (top / "way-in").symlink_to(top / "allowed")
    return top


@pytest.fixture(scope="module")
def limited(places, registry):
    """An engine whose configuration allows allowed/ and the home of whoever asks."""
    engine = Engine()
    config = engine.dir / "daemon.json"
    config.write_text(json.dumps({"allowed-bind-roots": [str(places / "allowed"), "/home/$USER", "$HOME"]}))
    engine.flags["config-file"] = config
    engine.start()
    try:
        Images(engine, registry).have("busybox")
        engine.use_the_bridge()
        yield engine
        engine.remove_everything()
    finally:
        engine.close()


@pytest.fixture(params=["docker", "holdfast"])
def client(request, limited, tmp_path):
    return Client(request.param, limited, tmp_path / "home")


def refusal(places, path, leads_to=None):
    leads = f', which is "{leads_to}",' if leads_to else ""
    return (f'invalid mount config for type "bind": "{path}"{leads} is outside of the directories that '
            f"may be mounted ({places}/allowed, /home/$USER, $HOME): add it to")


def test_below_a_root_all_is_as_ever(client, places):
    for path in ("allowed", "allowed/in", "way-in/in", "allowed/in/../in"):
        client("run", "--rm", "-v", f"{places}/{path}:/d:ro", "busybox", "true")
    client("run", "--rm", "-v", f"{places}/allowed/new/folder:/d", "busybox", "touch", "/d/f")
    assert (places / "allowed/new/folder/f").exists()


@pytest.mark.parametrize("path, leads_to", [("outside", None), ("allowed-not", None), ("", None),
                                            ("allowed/way-out", "outside")])
def test_outside_is_refused_by_every_field(client, limited, places, path, leads_to):
    path = f"{places}/{path}".rstrip("/")
    says = refusal(places, path, f"{places}/{leads_to}" if leads_to else None)
    output = client.fails("run", "--rm", "-v", f"{path}:/d", "busybox", "true", code=125, says=says)
    assert f"{limited.dir}/daemon.json and restart holdfastd" in output.err
    client.fails("run", "--rm", "--mount", f"type=bind,src={path},dst=/d", "busybox", "true", code=125,
                 says=says)
    client.fails("run", "--rm", "--mount", f"type=glob,src={path}/*,dst=/d", "busybox", "true", code=125,
                 says="is outside of the directories that may be mounted")
    option = f"{places}/allowed/in:/d:O,upperdir={path},workdir={path}"
    client.fails("run", "--rm", "-v", option, "busybox", "true", code=125,
                 says="is outside of the directories that may be mounted")
    assert limited.api.containers() == []


def test_nothing_is_made_outside(client, places):
    for path in ("outside/new", "allowed/way-out/new", "new"):
        client.fails("run", "--rm", "-v", f"{places}/{path}:/d", "busybox", "true", code=125,
                     says="is outside of the directories that may be mounted")
    assert os.listdir(places / "outside") == ["canary"] and not (places / "new").exists()


def test_a_symlink_swapped_in_after_the_create_is_judged_at_the_start(client, places):
    folder = places / "allowed/swapped"
    folder.mkdir()
    try:
        client("create", "--name", "late", "-v", f"{folder}:/d", "busybox", "cat", "/d/canary")
        folder.rmdir()
        folder.symlink_to(places / "outside")
        output = client.fails("start", "-a", "late", says="is outside of the directories")
        assert "outside\n" not in output.out
        client("rm", "late")
    finally:
        folder.unlink()


def test_volumes_from_is_judged_as_the_one_who_asks(limited, places, client, tmp_path):
    """A container of root's with root's home is no way for others into it."""
    client("create", "--name", "roots", "-v", "/root:/d:ro", "busybox")
    answer = as_user(limited, NOBODY, "POST", "/containers/create",
                     {"Image": "busybox", "HostConfig": {"VolumesFrom": ["roots"]}})
    assert answer["status"] == 403 and '"/root" is outside of' in answer["message"]
    client("rm", "roots")


def test_home_and_user_are_those_of_the_client(limited, places):
    body = {"Image": "busybox", "HostConfig": {"Binds": ["/root:/d:ro"]}}
    answer = as_user(limited, 0, "POST", "/containers/create", body)
    assert answer["status"] == 201, answer
    limited.remove_everything()
    answer = as_user(limited, NOBODY, "POST", "/containers/create", body)
    assert answer["status"] == 403 and "may be mounted" in answer["message"], answer


AS_USER = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from api import Api
socket, uid, method, url, body = sys.argv[2:]
os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
answer = Api(socket).call(method, url, json.loads(body))
print(json.dumps({"status": answer.status, "message": answer.message}))
"""


def as_user(engine, uid, method, url, body):
    """One request by a client of another user, to whom the socket is opened for it."""
    os.chmod(engine.dir, 0o755)
    os.chmod(engine.socket, 0o666)
    library = os.path.join(os.path.dirname(__file__), "../lib")
    done = subprocess.run(
        [sys.executable, "-B", "-c", AS_USER, library, engine.socket, str(uid), method, url,
         json.dumps(body)],
        capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("roots, says", [
    (["relative"], '"relative" is no absolute path'),
    (["/home/$SUDO_USER"], '"/home/$SUDO_USER" is no absolute path'),
    ("text", "allowed-bind-roots"),
])
def test_bad_roots_are_refused_at_the_start(tmp_path, roots, says):
    config = tmp_path / "daemon.json"
    config.write_text(json.dumps({"allowed-bind-roots": roots}))
    engine = Engine(**{"config-file": config})
    try:
        with pytest.raises(AssertionError, match="ended by itself"):
            engine.start()
        assert says in engine.log_tail()
    finally:
        engine.close()
