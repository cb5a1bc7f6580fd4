"""User namespaces: per container by --userns, or for all by userns-remap."""

import os
import re

import pytest

import postgres
from client import Client
from engine import KIND, Engine
from images import Images

pytestmark = pytest.mark.skipif(KIND != "holdfastd", reason="dockerd has them for all or none")

BASE = 0x40000000  # where the ids given to containers begin


@pytest.fixture
def holdfast(engine, tmp_path):
    return Client("holdfast", engine, tmp_path / "home")


def inside(holdfast, script, *flags):
    return holdfast("run", "--rm", "--network", "none", "--userns", "auto", *flags, "busybox", "sh",
                    "-c", script)


def test_root_inside_is_nobody_of_note_outside(holdfast, api, tmp_path):
    holdfast("run", "-d", "--name", "apart", "--userns", "auto", "busybox", "sleep", "1000")
    pid = api.container("apart")["State"]["Pid"]
    with open(f"/proc/{pid}/status") as status:
        uids = next(line.split()[1:] for line in status if line.startswith("Uid:"))
    assert set(map(int, uids)) == {BASE}
    assert holdfast("exec", "apart", "id", "-u").out == "0\n"
    assert holdfast("exec", "-u", "33:44", "apart", "id").out.startswith("uid=33(www-data) gid=44")
    assert api.container("apart")["HostConfig"]["UsernsMode"] == "auto"


def test_ranges_are_each_containers_own_and_come_back(holdfast, api):
    script = "awk '{print $2, $3}' /proc/self/uid_map"
    for name in ("one", "two"):
        holdfast("create", "--name", name, "--userns", "auto:size=1000", "busybox", "sh", "-c", script)
    assert holdfast("start", "-a", "one").out == f"{BASE} 1000\n"
    assert holdfast("start", "-a", "two").out == f"{BASE + 1000} 1000\n"
    holdfast("rm", "one")
    holdfast("create", "--name", "three", "--userns", "auto:size=500", "busybox", "sh", "-c", script)
    assert holdfast("start", "-a", "three").out == f"{BASE} 500\n"


def test_ranges_outlive_the_daemon(holdfast, api, engine):
    holdfast("run", "-d", "--name", "keeper", "--userns", "auto", "busybox", "sleep", "1000")
    engine.kill()
    engine.start()
    output = inside(holdfast, "awk '{print $2}' /proc/self/uid_map")
    assert output.out == f"{BASE + 65536}\n"
    assert holdfast("exec", "keeper", "id", "-u").out == "0\n"


def test_a_volume_has_the_same_owners_whoever_uses_it(holdfast, api):
    inside(holdfast, "touch /d/f && chown 5:6 /d/f && mkdir /d/dir", "-v", "data:/d")
    plain = holdfast("run", "--rm", "-v", "data:/d", "busybox", "stat", "-c", "%u:%g", "/d/f", "/d/dir", "/d")
    assert plain.lines == ["5:6", "0:0", "0:0"]
    other = inside(holdfast, "stat -c %u:%g /d/f /d/dir; touch /d/from-other", "-v", "data:/d")
    assert other.lines == ["5:6", "0:0"]


@pytest.mark.images("volumeful")
def test_first_use_fills_as_ever(holdfast):
    # The image has owners beyond 65536, who need ids too.
    flags = ("--rm", "--network", "none", "--userns", "auto:size=5000000", "-v", "data:/data")
    assert "as expected" in holdfast("run", *flags, "volumeful").out


def test_binds_belong_to_nobody_unless_mapped_or_changed(holdfast, tmp_path):
    folder = tmp_path / "bound"
    folder.mkdir()
    os.chown(folder, 1000, 1001)
    assert inside(holdfast, "stat -c %u:%g /d", "-v", f"{folder}:/d").out == "65534:65534\n"
    assert inside(holdfast, "stat -c %u:%g /d; touch /d/new", "-v", f"{folder}:/d:idmap").out == "0:0\n"
    assert ((folder / "new").stat().st_uid, (folder / "new").stat().st_gid) == (1000, 1001)
    mapped = f"{folder}:/d:idmap=uids=@1000-3-1;gids=@1001-4-1"
    assert inside(holdfast, "stat -c %u:%g /d", "-v", mapped).out == "3:4\n"
    assert inside(holdfast, "stat -c %u:%g /d", "-v", f"{folder}:/d:U", "--user", "7:8").out == "7:8\n"
    assert (folder.stat().st_uid, folder.stat().st_gid) == (BASE + 7, BASE + 8)


def test_files_of_the_container_are_its_own(holdfast, api):
    script = ("for f in / /etc /etc/hosts /etc/resolv.conf /tmp /dev; do stat -c '%u %n' $f; done; "
              "touch /new && stat -c %u /new && mkdir /t/x && ping -c 1 127.0.0.1 >/dev/null && echo pinged")
    lines = inside(holdfast, script, "--tmpfs", "/t").lines
    assert {line.split()[0] for line in lines[:-1]} == {"0"} and lines[-1] == "pinged"


def test_cp_speaks_of_the_containers_ids(holdfast, api, tmp_path):
    holdfast("run", "-d", "--name", "box", "--userns", "auto", "busybox", "sh", "-c",
             "echo inside >/f; chown 9:10 /f; sleep 1000")
    (tmp_path / "up").write_text("up\n")
    os.chown(tmp_path / "up", 44, 45)
    for running in (True, False):
        holdfast("cp", "-a", tmp_path / "up", f"box:/up-{running}")
        listing = api.get("/containers/box/archive", path="/f").body
        assert tar_owners(listing) == {"f": (9, 10)}
        listing = api.get("/containers/box/archive", path=f"/up-{running}").body
        assert tar_owners(listing) == {f"up-{running}": (44, 45)}
        if running:
            holdfast("stop", "-t", "0", "box")
    holdfast("start", "box")
    listed = holdfast("exec", "box", "stat", "-c", "%u:%g", "/f", "/up-True", "/up-False")
    assert listed.lines == ["9:10", "44:45", "44:45"]
    holdfast("cp", "box:/f", tmp_path / "down")
    assert (tmp_path / "down").read_text() == "inside\n"


def tar_owners(body):
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        return {member.name: (member.uid, member.gid) for member in archive}


def test_commit_and_export_have_the_containers_ids(holdfast, api):
    holdfast("run", "--name", "maker", "--userns", "auto", "busybox", "sh", "-c", "touch /f; chown 9:10 /f")
    holdfast("commit", "maker", "made")
    assert holdfast("run", "--rm", "made", "stat", "-c", "%u:%g", "/f").out == "9:10\n"
    owners = tar_owners(api.get("/containers/maker/export").body)
    assert owners["f"] == (9, 10) and owners["bin/sh"] == (0, 0)


@pytest.mark.images("postgres")
def test_a_database_in_a_namespace_of_its_own(holdfast):
    flags = ("-v", "pgdata:/var/lib/postgresql/data", "-e", "POSTGRES_PASSWORD=secret", "--userns", "auto")
    holdfast("run", "-d", "--name", "db", *flags, "postgres")
    postgres.wait_ready(holdfast, "db")
    assert postgres.query(holdfast, "db", "create table t as select 42") == ["SELECT 1"]
    holdfast("stop", "db")
    holdfast("rm", "db")
    # The same files serve a container without one.
    holdfast("run", "-d", "--name", "db", *flags[:4], "postgres")
    postgres.wait_ready(holdfast, "db")
    assert postgres.query(holdfast, "db", "table t") == ["42"]


@pytest.mark.parametrize(
    "flags, says",
    [
        (["--privileged"], "privileged mode is incompatible with user namespaces"),
        (["--network", "host"], "cannot share the host's network namespace when user namespaces"),
        (["--pid", "host"], "cannot share the host's PID namespace when user namespaces are enabled"),
        (["--ipc", "host"], "cannot share the host's IPC namespace when user namespaces are enabled"),
        (["-v", "/sys/kernel:/d:idmap"], "can't map ids"),
    ],
)
def test_what_does_not_go_together(holdfast, flags, says):
    holdfast.fails("run", "--rm", "--userns", "auto", *flags, "busybox", "true", code=125, says=says)


@pytest.mark.parametrize("mode", ["nonsense", "auto:size=0", "auto:size=x", "auto:", "auto:size=99999999999"])
def test_bad_modes(api, mode):
    answer = api.post("/containers/create", {"Image": "busybox", "HostConfig": {"UsernsMode": mode}})
    assert answer.status == 400 and f"invalid USER mode: {mode}" in answer.message


def test_a_volume_that_cannot_map_ids_is_refused(holdfast, api, tmp_path):
    """Its files would be nobody's inside, and whoever wrote would leave foreign owners on the disk."""
    holdfast("volume", "create", "-o", "type=overlay", "-o", "device=overlay", "-o",
             f"o=lowerdir={tmp_path},upperdir={made(tmp_path / 'u')},workdir={made(tmp_path / 'w')}", "laid")
    holdfast.fails("run", "--rm", "--userns", "auto", "-v", "laid:/d", "busybox", "true", code=125,
                   says="(overlay) that can't map ids (idmap): only a container without a user namespace")


def made(folder):
    folder.mkdir()
    return folder


# For all containers, as dockerd's userns-remap has it.


@pytest.fixture(scope="module")
def remapping(registry):
    engine = Engine(**{"userns-remap": "default"})
    engine.start()
    try:
        Images(engine, registry).have("busybox")
        yield engine
        engine.remove_everything()
    finally:
        engine.close()


@pytest.mark.parametrize("program", ["docker", "holdfast"])
def test_remapping_by_default_and_the_way_out(remapping, program, tmp_path):
    client = Client(program, remapping, tmp_path / "home")
    words = ("run", "--rm", "--network", "none")
    mapped = client(*words, "busybox", "cat", "/proc/self/uid_map").out.split()
    assert mapped[0] == "0" and int(mapped[1]) >= BASE and mapped[2] == "65536"
    plain = client(*words, "--userns", "host", "busybox", "cat", "/proc/self/uid_map").out.split()
    assert plain[:2] == ["0", "0"]
    client.fails(*words, "--privileged", "busybox", "true", says="incompatible with user namespaces")
    assert client(*words, "--privileged", "--userns", "host", "busybox", "true").code == 0


def test_remapping_to_a_user_without_ids_is_refused():
    engine = Engine(**{"userns-remap": "nobody-of-this-name"})
    try:
        with pytest.raises(AssertionError, match="ended by itself"):
            engine.start()
        assert re.search("no subordinate ids for .*nobody-of-this-name", engine.log_tail())
    finally:
        engine.close()
