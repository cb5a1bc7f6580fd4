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
    for name in ("allowed/in", "allowed/lower", "outside", "allowed-not"):
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


# Volumes whose options name paths of the host.


def volume_options(device, o="bind", type="none"):
    return ["--opt", f"type={type}", "--opt", f"o={o}", "--opt", f"device={device}"]


@pytest.fixture(scope="module")
def image_files(places):
    """A file system in a file, beside allowed/ and in it."""
    for place in ("allowed", "outside"):
        subprocess.run(["mkfs.ext4", "-q", "-F", places / place / "image", "8m"], check=True)
    yield
    for place in ("allowed", "outside"):
        (places / place / "image").unlink()


def outside_options(places):
    """Options that would show what lies outside, by every way that leads there."""
    out, link, inside = places / "outside", places / "allowed/way-out", places / "allowed/in"
    yield volume_options(out)
    yield volume_options(link, "rbind,ro")
    yield volume_options(f"{places}/allowed/../outside", "", "bind")
    yield volume_options(out / "image", "", "ext4")
    yield volume_options(link / "image", "loop,ro", "ext4")
    yield volume_options("overlay", f"lowerdir={inside}:{link}", "overlay")
    yield volume_options("overlay", f"lowerdir={inside},upperdir={link},workdir={inside}", "overlay")
    yield volume_options("overlay", f"lowerdir={inside},upperdir={inside},workdir={out}", "overlay")
    yield volume_options("somebody@127.0.0.1:/", f"IdentityFile={link}/canary", "sshfs")


def test_a_volumes_paths_outside_are_refused_when_it_is_made(client, limited, places, image_files):
    for options in outside_options(places):
        output = client.fails("volume", "create", *options, "vol", code=1,
                              says="is outside of the directories that may be mounted")
        assert "create vol: " in output.err and f"{limited.dir}/daemon.json and restart holdfastd" in output.err
        entries = ",".join(f'"volume-opt={option}"' for option in options[1::2])
        mount = f'type=volume,src=vol,dst=/d,{entries}'
        client.fails("create", "--mount", mount, "busybox", says="is outside of the directories that may be")
    assert limited.api.volumes() == {} and limited.api.containers() == []


@pytest.mark.parametrize("options, says", [
    (volume_options("/", "", "proc"), 'type "proc" is not possible where the directories that may be mounted are limited'),
    (volume_options("/dev", "", "devtmpfs"), 'type "devtmpfs" is not possible'),
    (volume_options("/etc", "", "fuse.bindfs"), 'type "fuse.bindfs" is not possible'),
    (volume_options(":local:/etc", "", "fuse.rclone"), 'type "fuse.rclone" is not possible'),
    (volume_options("dev/loop0", "", "ext4"), '"dev/loop0" is no absolute path'),
])
def test_what_cannot_be_judged_is_refused(client, limited, options, says):
    client.fails("volume", "create", *options, "vol", code=1, says=says)
    assert limited.api.volumes() == {}


def test_a_volumes_paths_below_a_root_work(client, limited, places, image_files):
    inside = places / "allowed/in"
    for number, options in enumerate([volume_options(inside), volume_options(places / "way-in/in", "bind,ro"),
                                      volume_options("overlay", f"lowerdir={inside}:{places}/allowed/lower", "overlay")]):
        client("volume", "create", *options, f"vol{number}")
        assert client("run", "--rm", "-v", f"vol{number}:/d", "busybox", "cat", "/d/canary").out == "allowed/in"
    client("volume", "create", *volume_options(places / "allowed/image", "", "ext4"), "image")
    client("run", "--rm", "-v", "image:/d", "busybox", "touch", "/d/file")
    client("volume", "create", *volume_options("tmpfs", "size=1m", "tmpfs"), "ram")
    client("run", "--rm", "-v", "ram:/d", "busybox", "touch", "/d/file")
    limited.remove_everything()


def test_a_volumes_path_swapped_later_is_judged_at_every_start(client, limited, places):
    """Nor does it come by the first use's filling, by a restart, or by whoever has it mounted already."""
    folder = places / "allowed/volume"
    folder.mkdir()
    before = sorted(os.listdir(places / "outside"))
    try:
        client("volume", "create", *volume_options(folder), "vol")
        client("create", "--name", "late", "-v", "vol:/d:nocopy", "busybox", "cat", "/d/canary")
        folder.rmdir()
        folder.symlink_to(places / "outside")
        output = client.fails("start", "-a", "late", says="is outside of the directories")
        assert "outside\n" not in output.out
        client.fails("run", "--rm", "-v", "vol:/etc", "busybox", "cat", "/etc/canary", code=125,
                     says="is outside of the directories")
        limited.kill()
        limited.start()
        client.fails("start", "-a", "late", says="is outside of the directories")
        client.fails("cp", "late:/d/canary", "-", says="is outside of the directories")
        assert sorted(os.listdir(places / "outside")) == before
    finally:
        limited.remove_everything()
        folder.unlink()


def test_a_volumes_options_are_judged_when_they_change(limited, places, tmp_path):
    client = Client("holdfast", limited, tmp_path / "home")
    inside, out = places / "allowed/in", places / "outside"
    layers = f"lowerdir={inside}:{places}/allowed/lower"
    client("volume", "create", *volume_options("overlay", layers, "overlay"), "vol")
    client.fails("volume", "update", "--opt", f"o=lowerdir={inside}:{out}", "vol", code=1,
                 says="is outside of the directories that may be mounted")
    assert client("run", "--rm", "-v", "vol:/d", "busybox", "cat", "/d/canary").out == "allowed/in"
    limited.remove_everything()


def test_each_user_is_judged_alone(limited, places):
    """A volume of root's with root's home, mounted for a container of root's, is not for others."""
    root_home = {"Name": "vol", "DriverOpts": {"type": "none", "o": "bind,ro", "device": "/root"}}
    assert as_user(limited, NOBODY, "POST", "/volumes/create", root_home)["status"] == 403
    assert as_user(limited, 0, "POST", "/volumes/create", root_home)["status"] == 201
    host = {"HostConfig": {"Mounts": [{"Type": "volume", "Source": "vol", "Target": "/d",
                                       "VolumeOptions": {"NoCopy": True}}]}}
    body = {"Image": "busybox", "Cmd": ["sleep", "60"], **host}
    for uid, status in ((0, 204), (NOBODY, 403)):
        assert as_user(limited, uid, "POST", f"/containers/create?name=u{uid}", body)["status"] == 201
        answer = as_user(limited, uid, "POST", f"/containers/u{uid}/start", None)
        assert answer["status"] == status, answer
    assert '"/root" is outside of the directories' in answer["message"]
    limited.remove_everything()


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
