"""The verbs of volumes, beyond what test_volumes.py has: every filter, conflicts, and what the
answers say. With both clients; where only Holdfast has a verb, with its own.
"""

import json
import re
import time
from urllib.parse import quote

import pytest
from client import Client
from engine import SOURCE

only_holdfast = pytest.mark.holdfast_only("a verb of Holdfast's own")


def names(cli, *filters):
    flags = [word for each in filters for word in ("--filter", each)]
    return sorted(cli("volume", "ls", "-q", *flags).lines)


# create


@pytest.mark.holdfast_only("dockerd ignores the options of a volume that exists")
def test_create_again_with_other_options_is_refused(cli, api):
    options = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=5m"]
    cli("volume", "create", *options, "ram")
    assert cli("volume", "create", *options, "ram").out == "ram\n"
    assert cli("volume", "create", "ram").out == "ram\n"
    other = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=6m"]
    output = cli.fails("volume", "create", *other, "ram", code=1)
    assert "create ram: a volume of that name exists with other options" in output.err
    assert "it has o=size=5m, asked for was o=size=6m; leave the options out" in output.err
    answer = api.post("/volumes/create", {"Name": "ram", "DriverOpts": {"size": "1g"}})
    assert answer.status == 409
    # The same through a container.
    spec = "type=volume,src=ram,dst=/d,volume-opt=type=tmpfs,volume-opt=device=other"
    cli.fails("create", "--mount", spec, "busybox", says="exists with other options")
    assert api.containers() == []


def test_create_again_with_other_labels_changes_nothing(cli, api):
    cli("volume", "create", "--label", "a=1", "data")
    assert cli("volume", "create", "--label", "a=2", "data").out == "data\n"
    assert api.volumes()["data"]["Labels"] == {"a": "1"}


@pytest.mark.holdfast_only("the words are another's")
def test_another_driver_is_a_conflict(cli):
    cli("volume", "create", "data")
    cli.fails("volume", "create", "-d", "nosuch", "data", says='plugin "nosuch" not found')


# ls


@pytest.fixture
def four(cli):
    """data and log are held or not, one is anonymous, one has options."""
    cli("volume", "create", "--label", "a=1", "--label", "b", "data")
    cli("volume", "create", "--label", "a=2", "log")
    cli("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "ram")
    cli("create", "--name", "holder", "-v", "log:/log", "busybox")
    return cli("volume", "create").out.strip()


def test_docker_filters(cli, four):
    assert names(cli, "dangling=true") == sorted(["data", "ram", four])
    assert names(cli, "dangling=0") == ["log"]
    assert names(cli, "name=^da.a$") == ["data"]
    assert names(cli, "name=lo", "name=dat") == ["data", "log"]
    assert names(cli, "name=a[") == []
    assert names(cli, "label=a", "label=b") == ["data"]
    assert names(cli, "label=a=2", "driver=local") == ["log"]
    assert names(cli, "driver=loc") == []


@pytest.mark.holdfast_only("Podman's filters")
def test_podman_filters(cli, four):
    assert names(cli, "anonymous=true") == [four]
    assert names(cli, "anonymous=false", "label!=a=2") == ["data", "ram"]
    assert names(cli, "opt=type=tmpfs") == ["ram"]
    assert names(cli, "opt=device") == ["ram"]
    assert names(cli, "scope=local", "name=^data$") == ["data"]
    assert names(cli, "scope=global") == []
    assert names(cli, "since=log") == sorted(["ram", four])
    assert names(cli, "after=ram") == [four]
    assert names(cli, "until=1h") == []
    assert len(names(cli, "until=2200-01-01T00:00:00Z")) == 4


@pytest.mark.parametrize(
    "given, says",
    [
        ("nonsense=1", "nvalid filter 'nonsense'"),
        ("dangling=potato", "nvalid filter 'dangling=[potato]'"),
    ],
)
@pytest.mark.newer_client("checks filters itself")
def test_bad_filters(cli, given, says):
    cli.fails("volume", "ls", "--filter", given, code=1, says=says)


@pytest.mark.holdfast_only("Podman's filters")
@pytest.mark.parametrize(
    "given, says",
    [
        ("anonymous=maybe", "invalid filter 'anonymous=[maybe]'"),
        ("scope=swarm", "invalid filter 'scope=[swarm]'"),
        ("until=soon", "invalid filter 'until=[soon]'"),
        ("since=none", "get none: no such volume"),
    ],
)
def test_bad_values_of_podman_filters(cli, given, says):
    cli.fails("volume", "ls", "--filter", given, code=1, says=says)


# rm


@pytest.mark.holdfast_only("dockerd names ids only")
def test_rm_of_a_volume_in_use_names_its_users(cli, api):
    cli("create", "--name", "stopped", "-v", "data:/d", "busybox")
    cli("run", "-d", "--name", "runs", "-v", "data:/d", "busybox", "sleep", "1000")
    ids = sorted(api.container(name)["Id"] for name in ("stopped", "runs"))
    for flags in ([], ["-f"]):
        output = cli.fails("volume", "rm", *flags, "data", code=1)
        assert f"remove data: volume is in use - [{', '.join(ids)}]: " in output.err
        assert 'container "stopped" (created)' in output.err
        assert 'container "runs" (running)' in output.err
    cli("rm", "-f", "stopped", "runs")
    cli("volume", "rm", "data")


# inspect


@pytest.mark.holdfast_only("dockerd tells neither sizes nor users")
def test_inspect_tells_size_users_and_last_use(cli, api):
    cli("run", "--name", "writer", "-v", "data:/d", "busybox", "sh", "-c", "head -c 5000 /dev/zero >/d/f")
    cli("run", "-d", "--name", "reader", "-v", "data:/in:ro", "-v", "data:/again", "busybox", "sleep", "1000")
    (volume,) = json.loads(cli("volume", "inspect", "data").out)
    assert volume["UsageData"] == {"Size": 5000, "RefCount": 2}
    status = volume["Status"]
    holders = {holder["Name"]: holder for holder in status["Holders"]}
    assert holders["writer"] == {
        "ID": api.container("writer")["Id"], "Name": "writer", "State": "exited",
        "Mounts": [{"Target": "/d", "ReadOnly": False}],
    }
    assert holders["reader"]["State"] == "running"
    assert sorted(holders["reader"]["Mounts"], key=lambda mount: mount["Target"]) == [
        {"Target": "/again", "ReadOnly": False}, {"Target": "/in", "ReadOnly": True},
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", status["LastUsed"])
    template = "{{range .Status.Holders}}{{.Name}} {{end}}"
    assert sorted(cli("volume", "inspect", "-f", template, "data").out.split()) == ["reader", "writer"]


@pytest.mark.holdfast_only("dockerd tells neither sizes nor users")
def test_inspect_of_an_unused_volume(cli):
    cli("volume", "create", "data")
    (volume,) = json.loads(cli("volume", "inspect", "data").out)
    assert volume["UsageData"] == {"Size": 0, "RefCount": 0}
    assert volume["Status"] == {"Holders": [], "LastUsed": None}


# Verbs that only Holdfast has


@pytest.fixture
def holdfast(engine, tmp_path):
    return Client("holdfast", engine, tmp_path / "home")


@pytest.fixture
def events(api):
    """Collects the volume events of a test: call it for those since the test began."""
    since = time.time()

    def collect():
        answer = api.get("/events", since=since, until=time.time(), filters={"type": ["volume"]})
        lines = [json.loads(line) for line in answer.body.splitlines()]
        return [(line["Action"], line["Actor"]["ID"], line["Actor"]["Attributes"]) for line in lines]

    return collect


@only_holdfast
def test_ls_with_sizes(holdfast):
    holdfast("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "head -c 2500 /dev/zero >/d/f")
    holdfast("volume", "create", "empty")
    lines = holdfast("volume", "ls", "--size").lines
    assert lines[0].split() == ["DRIVER", "VOLUME", "NAME", "SIZE", "LINKS", "LAST", "USED"]
    assert re.fullmatch(r"local +data +2\.5kB +0 +.* ago", lines[1])
    assert re.fullmatch(r"local +empty +0B +0 +never", lines[2])
    form = "{{.Name}} {{.Size}} {{.Links}}"
    assert holdfast("volume", "ls", "-s", "--format", form).lines == ["data 2.5kB 0", "empty 0B 0"]
    assert holdfast("volume", "ls", "-s", "-f", "name=em", "-q").lines == ["empty"]
    holdfast.fails("volume", "ls", "--size", "--wait", "soon", says='"soon" is no duration up to 60 s')


@only_holdfast
def test_update_labels(holdfast, api, events):
    holdfast("volume", "create", "--label", "a=1", "--label", "b=2", "data")
    holdfast("run", "-d", "--name", "user", "-v", "data:/d", "busybox", "sleep", "1000")
    flags = ["--label-add", "a=3", "--label-add", "c", "--label-rm", "b"]
    assert holdfast("volume", "update", *flags, "data").out == "data\n"
    assert api.volumes()["data"]["Labels"] == {"a": "3", "c": ""}
    assert ("update", "data", {"driver": "local"}) in events()
    holdfast.fails("volume", "update", "data", says="you must provide one or more flags")
    holdfast.fails("volume", "update", "--label-add", "a", "none", says="get none: no such volume")
    holdfast.fails("volume", "update", "--opt", "nonsense=1", "data",
                   says='update data: invalid option: "nonsense"')
    output = holdfast("volume", "update", "--label-add", "d=1", "none", "data", code=1)
    assert output.out == "data\n" and "none: no such volume" in output.err


@only_holdfast
def test_update_of_mount_options(holdfast, api):
    holdfast("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=5m", "ram")
    holdfast("volume", "update", "--opt", "o=size=7m", "ram")
    assert api.volumes()["ram"]["Options"]["o"] == "size=7m"
    script = "df -k /d | tail -1 | awk '{print $2}'"
    assert holdfast("run", "--rm", "-v", "ram:/d", "busybox", "sh", "-c", script).out == "7168\n"
    holdfast("run", "-d", "--name", "user", "-v", "ram:/d", "busybox", "sleep", "1000")
    holdfast.fails("volume", "update", "--opt", "o=size=9m", "ram", code=1)
    assert api.volumes()["ram"]["Options"]["o"] == "size=7m"


@only_holdfast
def test_rename(holdfast, api, events):
    holdfast("volume", "create", "--label", "a=1", "old")
    holdfast("run", "--name", "bound", "-v", "old:/d:ro", "busybox", "true")
    holdfast("run", "--name", "mounted", "--mount", "src=old,dst=/m", "busybox", "sh", "-c", "echo kept >/m/f")
    holdfast("volume", "rename", "old", "new")
    assert list(api.volumes()) == ["new"] and api.volumes()["new"]["Labels"] == {"a": "1"}
    bound, mounted = api.container("bound"), api.container("mounted")
    assert bound["HostConfig"]["Binds"] == ["new:/d:ro"]
    assert mounted["HostConfig"]["Mounts"][0]["Source"] == "new"
    for container in (bound, mounted):
        assert container["Mounts"][0]["Name"] == "new"
        assert container["Mounts"][0]["Source"].endswith("/volumes/new/_data")
    holdfast("start", "-a", "mounted")
    assert holdfast("run", "--rm", "--volumes-from", "bound", "busybox", "cat", "/d/f").out == "kept\n"
    assert ("rename", "new", {"driver": "local", "oldName": "old"}) in events()
    holdfast.fails("volume", "rm", "new", says="volume is in use")
    holdfast("rm", "bound", "mounted")
    holdfast("volume", "rm", "new")


@only_holdfast
def test_rename_is_refused_where_it_would_hurt(holdfast, api):
    holdfast("volume", "create", "taken")
    holdfast("run", "-d", "--name", "runs", "-v", "data:/d", "busybox", "sleep", "1000")
    holdfast.fails("volume", "rename", "data", "taken", says='volume is in use - [')
    output = holdfast.fails("volume", "rename", "data", "new", code=1)
    assert 'container "runs" (running)' in output.err
    holdfast("pause", "runs")
    holdfast.fails("volume", "rename", "data", "new", says='container "runs" (paused)')
    holdfast("unpause", "runs")
    holdfast("stop", "-t", "0", "runs")
    holdfast.fails("volume", "rename", "data", "taken", says='rename data: volume "taken" exists already')
    holdfast.fails("volume", "rename", "data", "../x", says="includes invalid characters")
    holdfast.fails("volume", "rename", "data", "x", says="volume name is too short")
    holdfast.fails("volume", "rename", "none", "new", says="get none: no such volume")
    assert sorted(api.volumes()) == ["data", "taken"]
    assert api.post("/holdfast/v1/volumes/data/rename", {}).status == 400


@only_holdfast
def test_an_anonymous_volume_with_a_name_is_kept(holdfast, api):
    holdfast("run", "--name", "maker", "-v", "/d", "busybox", "sh", "-c", "echo kept >/d/f")
    (anonymous_name,) = api.volumes()
    holdfast("volume", "rename", anonymous_name, "keep")
    assert api.volumes()["keep"]["Labels"] is None
    holdfast("rm", "-v", "maker")
    holdfast("volume", "prune", "-f")
    assert list(api.volumes()) == ["keep"]
    assert holdfast("run", "--rm", "-v", "keep:/d", "busybox", "cat", "/d/f").out == "kept\n"


@only_holdfast
def test_a_renamed_volume_is_there_after_a_restart(holdfast, api, engine):
    holdfast("create", "--name", "user", "-v", "old:/d", "busybox", "sh", "-c", "echo again >>/d/f; cat /d/f")
    assert holdfast("start", "-a", "user").out == "again\n"
    holdfast("volume", "update", "--label-add", "a=1", "old")
    holdfast("volume", "rename", "old", "new")
    before = api.volumes(), api.container("user")["Mounts"]
    engine.kill()
    engine.start()
    assert (api.volumes(), api.container("user")["Mounts"]) == before
    assert holdfast("start", "-a", "user").out == "again\nagain\n"


@only_holdfast
def test_prune_dry_run(holdfast, api):
    holdfast("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "head -c 2500 /dev/zero >/d/f")
    holdfast("volume", "create", "--label", "keep", "kept")
    holdfast("create", "-v", "used:/d", "busybox")
    unnamed = holdfast("volume", "create").out.strip()
    before = api.volumes()
    output = holdfast("volume", "prune", "--dry-run")
    assert unnamed in output.out and "data" not in output.out
    assert "Would remove 1 volume. Total reclaimable space: 0B" in output.out
    output = holdfast("volume", "prune", "--all", "--dry-run", "--filter", "label!=keep")
    assert output.lines[0].split() == ["VOLUME", "NAME", "DRIVER", "SIZE", "CREATED", "LAST", "USED"]
    (line,) = [line for line in output.lines if line.startswith("data ")]
    assert re.fullmatch(r"data +local +2\.5kB +.* ago +.* ago", line)
    assert "Would remove 2 volumes. Total reclaimable space: 2.5kB" in output.out
    form = holdfast("volume", "prune", "-a", "--dry-run", "--format", "{{.Name}} {{.LastUsed}}").lines
    assert "kept never" in form and len(form) == 3
    assert api.volumes() == before
    # What it said is what goes.
    holdfast("volume", "prune", "--all", "-f", "--filter", "label!=keep")
    assert sorted(api.volumes()) == ["kept", "used"]


@only_holdfast
def test_prune_until(holdfast, api):
    holdfast("volume", "create", "old")
    holdfast("volume", "prune", "-af", "--filter", "until=1h")
    assert list(api.volumes()) == ["old"]
    holdfast("volume", "prune", "-af", "--filter", f"until={time.time() + 1:.0f}")
    assert list(api.volumes()) == []


def test_events(cli, events):
    cli("volume", "create", "data")
    cli("run", "--rm", "--name", "user", "-v", "data:/d:ro", "busybox", "true")
    cli("volume", "rm", "data")
    cli("volume", "create")
    cli("volume", "prune", "-f")
    found = events()
    actions = [action for action, _, _ in found]
    assert actions == ["create", "mount", "unmount", "destroy", "create", "destroy", "prune"]
    assert found[0][1:] == ("data", {"driver": "local"})
    mount = found[1][2]
    assert (mount["destination"], mount["driver"], mount["read/write"]) == ("/d", "local", "false")
    assert found[2][2] == {"container": mount["container"], "driver": "local"}
    assert found[6][1:] == ("", {"reclaimed": "0"})


# The API itself


def described_routes():
    """(method, path) of api/storage.yaml: by its indentation, as it is written by hand."""
    routes, path = set(), None
    for line in (SOURCE / "api/storage.yaml").read_text().splitlines():
        if found := re.fullmatch(r"  (/[^:]*):", line):
            path = found[1]
        elif found := re.fullmatch(r"    (get|post|put|patch|delete):", line):
            routes.add((found[1].upper(), "/holdfast/v1" + path))
        elif line.startswith("components:"):
            break
    return routes


def test_every_route_is_described_and_every_description_has_a_route():
    files = sorted((SOURCE / "src/http/routes").glob("*.cc"))
    code = "\n".join(file.read_text() for file in files)
    routes = set(re.findall(r'"([A-Z]+)",\s*"(/holdfast/v1[^"]*)"', code))
    assert routes and routes == described_routes()


@only_holdfast
def test_our_own_api(api):
    own = "/holdfast/v1/volumes"
    answer = api.post(own, {"Name": "data", "Labels": {"a": "1"}, "Unknown": {"field": 1}})
    assert answer.status == 201 and answer.json["Name"] == "data"
    assert api.post(own, {"Name": "data", "DriverOpts": {"size": "1m"}}).status == 409
    (volume,) = api.get(own).json["Volumes"]
    assert volume["Anonymous"] is False and volume["LastUsed"] is None
    assert volume["UsageData"] == {"Size": -1, "RefCount": 0}
    (volume,) = api.get(own, size=1, unknown=2).json["Volumes"]
    assert volume["UsageData"]["Size"] == 0
    assert api.get(f"{own}/data").json["Status"]["Holders"] == []
    assert api.get(f"{own}/data").json == api.get("/volumes/data").json
    answer = api.call("PATCH", f"{own}/data", {"Labels": {"a": None, "b": "2"}, "More": 1})
    assert answer.status == 200 and answer.json["Labels"] == {"b": "2"}
    assert api.call("PATCH", f"{own}/data", {"Labels": {"a": 1}}).status == 400
    assert api.call("PATCH", f"{own}/data", {}).status == 400
    assert api.call("PATCH", f"{own}/none", {"Labels": {"a": "1"}}).status == 404
    assert api.post(f"{own}/data/rename", {"Name": "new"}).json["Name"] == "new"
    preview = api.post(f"{own}/prune", filters={"all": ["1"]}, **{"dry-run": "1"}).json
    assert [v["Name"] for v in preview["Volumes"]] == ["new"] and preview["SpaceReclaimable"] == 0
    assert list(api.volumes()) == ["new"]
    assert api.post(f"{own}/prune", filters={"all": ["1"]}).json["VolumesDeleted"] == ["new"]
    api.post(own, {"Name": "data"})
    assert api.delete(f"{own}/data").status == 204
    answer = api.delete(f"{own}/data")
    assert answer.status == 404 and answer.message == "get data: no such volume"
    # It has no version of Docker's, and no other of its own.
    for path in ("/v1.50/holdfast/v1/volumes", "/holdfast/v2/volumes", "/holdfast/volumes"):
        assert api.get(path).status == 404, path
    assert api.call("PUT", f"{own}/data").status == 405


@only_holdfast
@pytest.mark.parametrize("name", ["..", "a/b", "%2e%2e", "a\0b", "x" * 4096])
def test_names_that_are_none_reach_nothing(api, name):
    path = "/holdfast/v1/volumes/" + quote(name, safe="")
    assert api.get(path).status in (400, 404)
    assert api.call("PATCH", path, {"Labels": {"a": "1"}}).status in (400, 404)
    assert api.delete(path).status in (400, 404)
    api.post("/holdfast/v1/volumes", {"Name": "data"})
    assert api.post("/holdfast/v1/volumes/data/rename", {"Name": name}).status == 400
    assert list(api.volumes()) == ["data"]


def test_holdfast_needs_holdfastd_for_verbs_of_its_own(engine, tmp_path):
    """Against another daemon it says so, and above all: a dry run prunes nothing."""
    if engine.kind == "holdfastd":
        pytest.skip("this is holdfastd")
    client = Client("holdfast", engine, tmp_path / "home")
    client("volume", "create", "data")
    client.fails("volume", "prune", "--dry-run", says="this needs holdfastd")
    client.fails("volume", "rename", "data", "new", says="this needs holdfastd")
    assert list(engine.api.volumes()) == ["data"]
