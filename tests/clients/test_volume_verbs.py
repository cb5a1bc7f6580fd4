"""The verbs of volumes, beyond what test_volumes.py has: every filter, conflicts, and what the
answers say. With both clients; where only Holdfast has a verb, with its own.
"""

import json
import re

import pytest


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
    assert "it has device=tmpfs, o=size=5m, type=tmpfs" in output.err
    assert "asked for was device=tmpfs, o=size=6m, type=tmpfs" in output.err
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
