"""Volumes: made, listed, filled on first use, shared, protected while in use, removed."""

import json
import re
from pathlib import Path

import pytest


def names(cli, *flags):
    return sorted(cli("volume", "ls", "-q", *flags).lines)


def anonymous(name):
    return re.fullmatch("[0-9a-f]{64}", name) is not None


def test_create_and_inspect(cli):
    assert cli("volume", "create", "--label", "a=1", "--label", "b", "data").out == "data\n"
    (volume,) = json.loads(cli("volume", "inspect", "data").out)
    assert volume["Name"] == "data" and volume["Driver"] == "local" and volume["Scope"] == "local"
    assert volume["Labels"] == {"a": "1", "b": ""}
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", volume["CreatedAt"])
    assert Path(volume["Mountpoint"]).is_dir() and volume["Mountpoint"].endswith("/volumes/data/_data")
    assert cli("volume", "inspect", "-f", "{{.Name}}", "data").out == "data\n"


def test_create_again_is_the_same_volume(cli, api):
    cli("volume", "create", "--label", "a=1", "data")
    before = api.volumes()["data"]
    assert cli("volume", "create", "data").out == "data\n"
    assert api.volumes()["data"] == before


@pytest.mark.newer_client("has no --format json")
def test_ls_and_its_filters(cli):
    cli("volume", "create", "--label", "a=1", "one")
    cli("volume", "create", "--label", "a=2", "two")
    cli("create", "-v", "one:/one", "busybox")
    assert names(cli) == ["one", "two"]
    assert names(cli, "--filter", "dangling=true") == ["two"]
    assert names(cli, "--filter", "dangling=false") == ["one"]
    assert names(cli, "--filter", "label=a") == ["one", "two"]
    assert names(cli, "--filter", "label=a=2") == ["two"]
    assert names(cli, "--filter", "name=on") == ["one"]
    assert names(cli, "--filter", "driver=local") == ["one", "two"]
    assert names(cli, "--filter", "driver=none") == []
    assert cli("volume", "ls", "--format", "{{.Driver}}/{{.Name}}").lines == ["local/one", "local/two"]
    assert [json.loads(line)["Name"] for line in cli("volume", "ls", "--format", "json").lines] == [
        *("one", "two")
    ]
    cli.fails("volume", "ls", "--filter", "nonsense=1", says=("invalid filter 'nonsense'", "Invalid filter 'nonsense'"))


@pytest.mark.newer_client("says it in other words")
def test_rm(cli):
    cli("volume", "create", "one")
    cli("volume", "create", "two")
    assert cli("volume", "rm", "one", "two").lines == ["one", "two"]
    cli.fails("volume", "rm", "one", code=1, says="no such volume")
    assert cli("volume", "rm", "-f", "one").code == 0
    assert names(cli) == []


def test_data_survives_its_containers(cli):
    cli("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept >/d/f")
    assert cli("run", "--rm", "-v", "data:/d", "busybox", "cat", "/d/f").out == "kept\n"


def test_read_only(cli):
    cli("run", "--rm", "-v", "data:/d", "busybox", "touch", "/d/f")
    cli.fails("run", "--rm", "-v", "data:/d:ro", "busybox", "touch", "/d/g", code=1,
              says="Read-only file system")
    cli.fails("run", "--rm", "--mount", "src=data,dst=/d,readonly", "busybox", "touch", "/d/g",
              code=1, says="Read-only file system")


def test_anonymous_volumes(cli, api):
    cli("run", "--name", "a", "-v", "/d", "busybox", "true", code=125)  # a name has two letters
    cli("run", "--name", "an", "-v", "/d", "busybox", "touch", "/d/f")
    (name,) = names(cli)
    assert anonymous(name)
    (mount,) = api.container("an")["Mounts"]
    assert mount["Name"] == name and mount["Destination"] == "/d"


def test_rm_takes_volumes_along_only_when_asked_and_only_anonymous_ones(cli):
    cli("create", "--name", "c1", "-v", "/d", "-v", "named:/n", "busybox")
    cli("rm", "c1")
    kept = names(cli)
    assert len(kept) == 2
    cli("create", "--name", "c2", "-v", "/d", "-v", "named:/n", "busybox")
    cli("rm", "-v", "c2")
    assert names(cli) == kept
    cli("run", "--rm", "-v", "/d", "-v", "named:/n", "busybox", "true")
    assert names(cli) == kept


@pytest.mark.images("volumeful")
def test_image_volumes_are_anonymous_and_filled(cli, api):
    assert cli("run", "--name", "filled", "volumeful").lines[-1:] == ["as expected"]
    (name,) = names(cli)
    assert anonymous(name)
    (mount,) = api.container("filled")["Mounts"]
    assert (mount["Type"], mount["Destination"], mount["RW"]) == ("volume", "/data", True)
    cli("rm", "-v", "filled")
    assert names(cli) == []


@pytest.mark.images("volumeful")
@pytest.mark.parametrize("flags", [["-v", "data:/data"], ["--mount", "src=data,dst=/data"]], ids=str)
def test_first_use_fills_a_named_volume(cli, flags):
    assert "as expected" in cli("run", "--rm", *flags, "volumeful").out
    cli("run", "--rm", *flags, "busybox", "sh", "-c", "rm -rf /data/* && echo mine >/data/own")
    second = cli("run", "--rm", *flags, "volumeful", "ls", "/data")
    assert second.lines == ["own"]


@pytest.mark.images("volumeful")
def test_nocopy(cli):
    assert cli("run", "--rm", "-v", "d1:/data:nocopy", "volumeful", "ls", "-A", "/data").out == ""
    flags = ["--mount", "type=volume,src=d2,dst=/data,volume-nocopy=true"]
    assert cli("run", "--rm", *flags, "volumeful", "ls", "-A", "/data").out == ""


@pytest.mark.images("volumeful")
def test_a_volume_that_has_something_is_not_filled(cli):
    cli("run", "--rm", "-v", "data:/d", "busybox", "touch", "/d/own")
    assert cli("run", "--rm", "-v", "data:/data", "volumeful", "ls", "-A", "/data").lines == ["own"]


@pytest.mark.images("volumeful")
def test_a_tmpfs_on_an_image_volume(cli):
    output = cli("run", "--rm", "--tmpfs", "/data", "volumeful", "sh", "-c", "ls -A /data; stat -f -c %T /data")
    assert output.out == "tmpfs\n" and names(cli) == []


def test_volumes_from(cli, api):
    cli("create", "--name", "source", "-v", "data:/d", "-v", "/anon", "busybox")
    cli("run", "--rm", "--volumes-from", "source", "busybox", "sh", "-c", "echo 1 >/d/f; echo 2 >/anon/f")
    output = cli("run", "--name", "reader", "--volumes-from", "source:ro", "busybox", "sh", "-c",
                 "cat /d/f /anon/f; touch /d/x", code=1)
    assert output.lines == ["1", "2"] and "Read-only file system" in output.err
    mounts = api.container("reader")["Mounts"]
    assert sorted(mount["Destination"] for mount in mounts) == ["/anon", "/d"]
    assert not any(mount["RW"] for mount in mounts)


@pytest.mark.holdfast_only("dockerd 20.10 lets the volume go")
def test_volumes_from_keep_their_holder(cli):
    cli("create", "--name", "source", "-v", "data:/d", "busybox")
    cli("create", "--name", "user", "--volumes-from", "source", "busybox")
    cli("rm", "source")
    cli.fails("volume", "rm", "data", says="volume is in use")


def test_in_use(cli, api):
    cli("create", "--name", "holder", "-v", "data:/d", "busybox")
    holder = api.container("holder")["Id"]
    output = cli.fails("volume", "rm", "data", code=1, says="remove data: volume is in use - [")
    assert holder in output.err
    cli.fails("volume", "rm", "-f", "data", says="volume is in use")
    cli("rm", "holder")
    cli("volume", "rm", "data")


@pytest.mark.holdfast_only("dockerd 20.10 prunes named volumes as well")
@pytest.mark.newer_client("has no volume prune -a")
def test_prune_takes_anonymous_volumes_only(cli):
    cli("volume", "create", "named")
    cli("volume", "create")
    cli("create", "-v", "/used", "busybox")
    assert len(names(cli)) == 3
    output = cli("volume", "prune", "-f")
    assert "Deleted Volumes:" in output.out and "Total reclaimed space: 0B" in output.out
    assert len(names(cli)) == 2 and "named" in names(cli)
    cli("volume", "prune", "-a", "-f")
    (used,) = names(cli)
    assert anonymous(used)


@pytest.mark.holdfast_only("dockerd 20.10 prunes named volumes as well")
@pytest.mark.newer_client("has no volume prune -a")
def test_prune_with_filters(cli):
    for name, label in (("one", "keep=1"), ("two", "keep=2")):
        cli("volume", "create", "--label", label, name)
    cli("volume", "prune", "-af", "--filter", "label!=keep=1")
    assert names(cli) == ["one"]
    cli("volume", "prune", "-af", "--filter", "label=keep")
    assert names(cli) == []


def test_prune_reports_what_it_freed(cli):
    cli("run", "--name", "writer", "-v", "/d", "busybox", "sh", "-c", "head -c 3000000 /dev/zero >/d/f")
    cli("rm", "writer")
    output = cli("volume", "prune", "-f")
    assert re.search(r"Total reclaimed space: 3(\.0\d*)?MB", output.out)


# Bind mounts


def test_bind_source_is_made_by_v(cli, tmp_path):
    cli("run", "--rm", "-v", f"{tmp_path}/new/folder:/d", "busybox", "touch", "/d/f")
    assert (tmp_path / "new/folder/f").exists()


def test_bind_source_is_not_made_by_mount(cli, tmp_path):
    flags = ["--mount", f"type=bind,src={tmp_path}/none,dst=/d"]
    cli.fails("run", "--rm", *flags, "busybox", "true", code=125,
              says=f'invalid mount config for type "bind": bind source path does not exist: {tmp_path}/none')
    assert not (tmp_path / "none").exists()


def test_bind_of_a_single_file(cli, tmp_path):
    (tmp_path / "f").write_text("of the host\n")
    assert cli("run", "--rm", "-v", f"{tmp_path}/f:/etc/deep/er", "busybox", "cat", "/etc/deep/er").out == (
        "of the host\n"
    )


@pytest.mark.newer_client("takes no relative sources")
def test_relative_bind_source(cli, tmp_path):
    (tmp_path / "here").mkdir()
    cli("run", "--rm", "-v", "./here:/d", "busybox", "touch", "/d/f", cwd=tmp_path)
    assert (tmp_path / "here/f").exists()


def test_bind_propagation(cli, api, tmp_path):
    cli("create", "--name", "prop", "-v", f"{tmp_path}:/d:rslave", "busybox")
    (mount,) = api.container("prop")["Mounts"]
    assert (mount["Type"], mount["Propagation"], mount["Source"]) == ("bind", "rslave", str(tmp_path))


def test_image_files_hidden_by_nested_mounts(cli, tmp_path):
    (tmp_path / "outer").mkdir()
    flags = ["-v", f"{tmp_path}/outer:/a", "-v", "inner:/a/b", "--tmpfs", "/a/b/c"]
    script = "touch /a/1 /a/b/2 /a/b/c/3; mount | grep -c ' /a'"
    assert cli("run", "--rm", *flags, "busybox", "sh", "-c", script).out == "3\n"
    assert (tmp_path / "outer/1").exists() and not (tmp_path / "outer/b/2").exists()


# Local driver options


def test_tmpfs_by_options(cli):
    cli("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=5m,uid=7", "ram")
    output = cli("run", "--rm", "-v", "ram:/d", "busybox", "sh", "-c",
                 "stat -c %u /d; df -k /d | tail -1 | awk '{print $2}'")
    assert output.lines == ["7", "5120"]


def test_bind_by_options(cli, tmp_path):
    cli("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={tmp_path}", "bound")
    cli("run", "--rm", "-v", "bound:/d", "busybox", "touch", "/d/seen")
    assert (tmp_path / "seen").exists()
    cli("volume", "rm", "bound")
    assert (tmp_path / "seen").exists()


def test_volume_made_by_mount_with_label_and_options(cli, api):
    spec = "type=volume,src=made,dst=/d,volume-label=a=1,volume-opt=type=tmpfs,volume-opt=device=tmpfs"
    assert cli("run", "--rm", "--mount", spec, "busybox", "stat", "-f", "-c", "%T", "/d").out == "tmpfs\n"
    volume = api.volumes()["made"]
    assert volume["Labels"] == {"a": "1"} and volume["Options"] == {"type": "tmpfs", "device": "tmpfs"}


# Names and specifications nobody should get away with


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "-x", "x", "a b", "ä"])
def test_bad_names(cli, name):
    says = "only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed"
    if name == "x":
        says = "volume name is too short, names should be at least two alphanumeric characters"
    cli.fails("volume", "create", "--", name, code=1, says=says)


@pytest.mark.parametrize(
    "spec, says",
    [
        ("data:relative", "invalid mount path: 'relative' mount path must be absolute"),
        ("data:/d:rw,ro", "invalid mode: rw,ro"),
        ("data:/d:nonsense", "invalid mode: nonsense"),
        ("data:/d:ro:x", "invalid spec: data:/d:ro:x: too many colons"),
        ("data:/", "destination can't be '/'"),
        ("../up/..:/", "destination can't be '/'"),
    ],
)
def test_bad_specifications(cli, api, spec, says):
    before = api.containers()
    cli.fails("create", "-v", spec, "busybox", says=(says, "must not be '/'", "invalid volume specification"))
    assert api.containers() == before and "data" not in api.volumes()


def test_same_target_twice(cli):
    cli.fails("create", "-v", "a1:/d", "-v", "a2:/d", "busybox", says="Duplicate mount point: /d")


def test_many_at_once(cli, api):
    processes = [cli.start("volume", "create", "same") for _ in range(8)]
    assert [process.communicate(timeout=60)[0] for process in processes] == [b"same\n"] * 8
    assert list(api.volumes()) == ["same"]


@pytest.mark.images("volumeful")
def test_first_use_by_many_at_once(cli):
    processes = [cli.start("run", "--rm", "-v", "data:/data", "volumeful") for _ in range(4)]
    outputs = [process.communicate(timeout=100) for process in processes]
    assert all(out.endswith(b"as expected\n") for out, _ in outputs), outputs
