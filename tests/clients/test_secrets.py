"""Secrets: made, listed and removed by either client; given to containers as files in memory."""

import base64
import json
import os
import re
import secrets as random
import tarfile
import threading
import time
from pathlib import Path

import pytest
import traces
from client import Client
from engine import Engine, run
from images import Images
from waiting import until

pytestmark = pytest.mark.holdfast_only("its secrets need a swarm, and go to services only")


@pytest.fixture
def holdfast(engine, tmp_path):
    return Client("holdfast", engine, tmp_path / "home")


@pytest.fixture
def token():
    """A content that is nowhere else."""
    return random.token_hex(40).encode()


def make(api, name, content=b"x", **more):
    data = base64.b64encode(content).decode()
    answer = api.post("/secrets/create", {"Name": name, "Data": data, **more})
    assert answer.status == 201, answer.body
    return answer.json["ID"]


# The verbs.


def test_create_ls_inspect_rm(cli, api, tmp_path):
    identity = cli("secret", "create", "--label", "app=web", "-l", "tier", "db", "-", input="pw").out.strip()
    assert re.fullmatch("[0-9a-z]{25}", identity)
    (tmp_path / "file").write_bytes(b"\0\xff")
    other = cli("secret", "create", "other", tmp_path / "file").out.strip()
    (secret,) = json.loads(cli("secret", "inspect", "db").out)
    assert secret["ID"] == identity and secret["Version"]["Index"] > 0
    assert secret["Spec"] == {"Name": "db", "Labels": {"app": "web", "tier": ""}}
    assert re.match(r"\d{4}-\d\d-\d\dT", secret["CreatedAt"]) and secret["UpdatedAt"] == secret["CreatedAt"]
    assert "Data" not in api.get(f"/secrets/{identity}").body.decode()
    rows = [line.split() for line in cli("secret", "ls").lines]
    assert rows[0] == ["ID", "NAME", "DRIVER", "CREATED", "UPDATED"]
    assert [row[:2] for row in rows[1:]] == [[identity, "db"], [other, "other"]]
    assert cli("secret", "inspect", "-f", "{{.Spec.Name}}", identity, other[:12]).lines == ["db", "other"]
    assert cli("secret", "rm", "db", other[:12]).lines == ["db", other[:12]]
    assert cli("secret", "ls", "-q").out == ""


@pytest.mark.newer_client("has no --format json")
def test_ls_filters_and_formats(cli, api):
    ids = {name: make(api, name, Labels=labels) for name, labels in
           (("web.key", {"app": "web"}), ("web.cert", {"app": "web", "old": ""}), ("db", {"app": "db"}))}

    def names(*filters):
        words = [word for each in filters for word in ("--filter", each)]
        return sorted(cli("secret", "ls", "--format", "{{.Name}}", *words).lines)

    assert names() == ["db", "web.cert", "web.key"]
    assert names("name=web") == ["web.cert", "web.key"]
    assert names("name=web.key", "name=db") == ["db", "web.key"]
    assert names(f"id={ids['db'][:10]}") == ["db"]
    assert names("label=app=web") == ["web.cert", "web.key"]
    assert names("label=app=web", "label=old") == ["web.cert"]
    answer = api.get("/secrets", filters={"names": ["web.key", "nobody"]})
    assert [secret["Spec"]["Name"] for secret in answer.json] == ["web.key"]
    cli.fails("secret", "ls", "--filter", "nonsense=1", code=1, says="invalid filter 'nonsense'")
    (row,) = [json.loads(line) for line in cli("secret", "ls", "--format", "json", "-f", "name=db").lines]
    assert (row["ID"], row["Name"], row["Labels"]) == (ids["db"], "db", "app=db")
    assert cli("secret", "ls", "--format", '{{.Label "app"}}', "-f", "name=db").out == "db\n"


def test_both_clients_show_the_same(docker, holdfast, api):
    make(api, "b", Labels={"x": "1"})
    make(api, "a")
    for words in (["ls"], ["ls", "-q"], ["inspect", "a", "b"], ["inspect", "--pretty", "b"],
                  ["ls", "--format", "{{.ID}} {{.Name}} {{.Labels}}"]):
        assert holdfast("secret", *words).out == docker("secret", *words).out, words


def test_errors_of_the_verbs(cli, api, tmp_path):
    make(api, "taken")
    says = lambda *words, text, **options: cli.fails("secret", *words, code=1, says=text, **options)  # noqa: E731
    says("create", "taken", "-", input="x", text="secret taken already exists")
    says("create", "a b", "-", input="x", text="invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and "
         "the start and end character must be [a-zA-Z0-9]")
    says("create", "none", text="secret file is required")
    says("create", "none", tmp_path / "none", text="error reading from ")
    says("create", "--template-driver", "golang", "t", "-", input="x", text="template driver are not supported")
    says("create", "--driver", "vault", "t", text="secret drivers are not supported")
    says("inspect", "nobody", text="secret nobody not found")
    says("rm", "nobody", text="secret nobody not found")
    assert list(api.secrets()) == ["taken"]


def test_rm_goes_on_after_an_error(cli, api):
    make(api, "a")
    make(api, "b")
    output = cli("secret", "rm", "a", "nobody", "b", code=1)
    assert output.lines == ["a", "b"] and "secret nobody not found" in output.err


def test_requests_that_are_wrong(api):
    make(api, "taken")
    size = "secret data must be larger than 0 and less than 512000 bytes"
    name = "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed"
    table = [
        ({"Name": "taken", "Data": "eA=="}, 409, "secret taken already exists"),
        ({"Name": "", "Data": "eA=="}, 400, "name must be provided"),
        ({"Data": "eA=="}, 400, "name must be provided"),
        ({"Name": "../x", "Data": "eA=="}, 400, name),
        ({"Name": "a\0b", "Data": "eA=="}, 400, name),
        ({"Name": "ä", "Data": "eA=="}, 400, name),
        ({"Name": "-a", "Data": "eA=="}, 400, name),
        ({"Name": "x" * 65, "Data": "eA=="}, 400, name),
        ({"Name": 1, "Data": "eA=="}, 400, "Name"),
        ({"Name": "n"}, 400, size),
        ({"Name": "n", "Data": ""}, 400, size),
        ({"Name": "n", "Data": base64.b64encode(b"x" * 512000).decode()}, 400, size),
        ({"Name": "n", "Data": "!!"}, 400, "illegal base64 data at input byte 0"),
        ({"Name": "n", "Data": "eA==\n"}, 400, "illegal base64 data at input byte 2"),
        ({"Name": "n", "Data": 7}, 400, "Data"),
        ({"Name": "n", "Data": "eA==", "Labels": ["a"]}, 400, "Labels"),
        ({"Name": "n", "Data": "eA==", "Driver": {"Name": "vault"}}, 501, "secret drivers are not supported"),
        ({"Name": "n", "Data": "eA==", "Templating": {"Name": "golang"}}, 501, "template driver"),
        ([], 400, "not an object"),
        (b"nonsense", 400, "invalid JSON"),
        (b"", 400, "EOF"),
    ]
    for body, status, message in table:
        answer = api.post("/secrets/create", body)
        assert answer.status == status and message in answer.message, (body, answer)
    assert list(api.secrets()) == ["taken"]
    make(api, "largest", b"x" * 511999)
    assert api.get("/secrets", filters={"bad": ["1"]}).status == 400
    assert api.delete("/secrets/nobody").status == 404
    assert api.get("/secrets/..%2f..%2fetc").status == 404


def test_update_changes_labels_alone(api):
    identity = make(api, "a", Labels={"k": "1"})
    before = api.get("/secrets/a").json
    version = before["Version"]["Index"]

    def update(body, version=version, secret="a"):
        answer = api.post(f"/secrets/{secret}/update", body, **({} if version is None else {"version": version}))
        return answer.status, answer.message if answer.body else ""

    labels_only = (400, "only updates to Labels are allowed")
    assert update({"Name": "a"}, None) == (400, "invalid secret version")
    assert update({"Name": "a"}, "x") == (400, "invalid secret version")
    assert update({"Name": "b"}) == labels_only
    assert update({"Name": "a", "Data": "eQ=="}) == labels_only
    assert update({"Name": "a"}, version + 5) == (409, "update out of sequence")
    assert update({"Name": "a"}, secret="nobody") == (404, "secret nobody not found")
    assert update({"Name": "a", "Labels": {"k": "2"}}) == (200, "")
    assert update({"Name": "a", "Labels": {"k": "3"}}) == (409, "update out of sequence")
    after = api.get("/secrets/a").json
    assert after["Spec"]["Labels"] == {"k": "2"} and after["ID"] == identity
    assert after["Version"]["Index"] > version and after["CreatedAt"] == before["CreatedAt"]
    assert after["UpdatedAt"] > before["UpdatedAt"]


def test_events(docker, api):
    identity = make(api, "watched")
    version = api.get("/secrets/watched").json["Version"]["Index"]
    api.post("/secrets/watched/update", {"Name": "watched"}, version=version)
    api.delete("/secrets/watched")
    # The client cuts moments to whole seconds.
    words = ("events", "--since", "1h", "--until", int(time.time()) + 1, "--format", "{{json .}}")
    events = [json.loads(line) for line in docker(*words, "--filter", "type=secret").lines]
    events = [event for event in events if event["Actor"]["ID"] == identity]
    assert [event["Action"] for event in events] == ["create", "update", "remove"]
    assert all(event["Actor"]["Attributes"] == {"name": "watched"} for event in events)
    assert len(docker(*words, "--filter", f"secret={identity}").lines) == 3
    assert len(docker(*words, "--filter", "secret=watched").lines) == 3
    assert docker(*words, "--filter", "secret=nobody").lines == []


def test_one_of_many_makers_of_a_name_wins(api):
    statuses = []
    body = {"Name": "raced", "Data": "eA=="}
    threads = [threading.Thread(target=lambda: statuses.append(api.post("/secrets/create", body).status))
               for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 19


def test_docker_help_and_the_rest_of_swarm(docker, api):
    assert docker("secret", "ls").lines[0].split()[0] == "ID"
    for path in ("/configs", "/services", "/nodes", "/swarm"):
        assert api.get(path).status == 503


# In containers.


def test_default_place_owner_and_mode(holdfast, api):
    make(api, "db", b"pw")
    make(api, "two", b"2")
    lines = holdfast("run", "--rm", "--secret", "db", "--secret", "source=two", "busybox", "sh", "-c",
                     "stat -c '%n %u:%g %a %F' /run/secrets /run/secrets/*; cat /run/secrets/db").lines
    assert lines == ["/run/secrets 0:0 755 directory", "/run/secrets/db 0:0 444 regular file",
                     "/run/secrets/two 0:0 444 regular file", "pw"]


def test_every_option(holdfast, api):
    make(api, "db", b"pw")
    lines = holdfast(
        "run", "--rm",
        "--secret", "db,target=deep/er/pw,uid=1000,gid=2000,mode=0400",
        "--secret", "source=db,target=/etc/app/pw,mode=440",
        "--secret", "db,type=mount,target=/pw,uid=4294967294",
        "busybox", "sh", "-c",
        "cd /; stat -c '%n %u:%g %a' run/secrets/deep/er/pw etc/app/pw pw; "
        "cat run/secrets/deep/er/pw etc/app/pw pw; ls -A run/secrets",
    ).lines
    assert lines == ["run/secrets/deep/er/pw 1000:2000 400", "etc/app/pw 0:0 440", "pw 4294967294:0 444",
                     "pwpwpwdeep"]


def test_who_may_read_it(holdfast, api):
    make(api, "db", b"pw")
    secret = ("--secret", "db,uid=1000,gid=7,mode=0400")
    assert holdfast("run", "--rm", "-u", "1000", *secret, "busybox", "cat", "/run/secrets/db").out == "pw"
    holdfast.fails("run", "--rm", "-u", "1001", *secret, "busybox", "cat", "/run/secrets/db", code=1,
                   says="Permission denied")
    group = ("--secret", "db,gid=7,mode=0040")
    assert holdfast("run", "--rm", "-u", "5:7", *group, "busybox", "cat", "/run/secrets/db").out == "pw"
    holdfast.fails("run", "--rm", "-u", "5:8", *group, "busybox", "cat", "/run/secrets/db", code=1)


MOUNT = re.compile(r"\d+ \d+ \S+ (\S+) (\S+) (\S+) .*- (\S+) \S+ (\S+)")


def test_is_memory_that_is_not_swapped_and_not_written(holdfast, api):
    make(api, "db", b"pw")
    words = ("run", "--rm", "--secret", "db", "--secret", "db,target=/etc/pw", "busybox", "sh", "-c")
    lines = holdfast(*words, "grep -e /run/secrets -e /etc/pw /proc/self/mountinfo").lines
    mounts = [MOUNT.match(line).groups() for line in lines]
    assert [mount[1] for mount in mounts] in (["/etc/pw", "/run/secrets"], ["/run/secrets", "/etc/pw"])
    for root, target, flags, kind, options in mounts:
        assert root == ("/secret" if target == "/etc/pw" else "/")
        assert {"ro", "nosuid", "nodev", "noexec"} <= set(flags.split(","))
        assert kind == "ramfs" or (kind == "tmpfs" and "noswap" in options.split(","))
    for command in ("echo a > /run/secrets/db", "touch /run/secrets/new", "rm /run/secrets/db",
                    "echo a > /etc/pw", "chmod 777 /run/secrets/db"):
        holdfast.fails(*words, command, code=1, says=("Read-only file system", "Resource busy"))
    holdfast.fails(*words[:-2], "rm", "/etc/pw", code=1)


@pytest.mark.parametrize("flags", [
    ("--read-only",),
    ("--tmpfs", "/run"),
    ("-v", "runs:/run"),
    ("-v", "anon:/etc", "--read-only"),
    ("--mount", "type=tmpfs,dst=/run/other"),
    ("-u", "1000:1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    ("--network", "none", "--ipc", "none"),
    ("--privileged",),
    ("--init",),
])
def test_beside_other_options(holdfast, api, flags):
    make(api, "db", b"pw")
    words = ("run", "--rm", *flags, "--secret", "db", "--secret", "db,target=/etc/app/pw", "busybox")
    if "--privileged" in flags and not privileged_works(holdfast):
        pytest.skip("privileged containers do not start here")
    assert holdfast(*words, "cat", "/run/secrets/db", "/etc/app/pw").out == "pwpw"


def privileged_works(client):
    return client("run", "--rm", "--privileged", "busybox", "true", code=None).code == 0


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_with_each_runtime(registry, tmp_path, runtime):
    engine = Engine(**{"default-runtime": runtime})
    try:
        engine.start()
        Images(engine, registry).have("busybox")
        make(engine.api, "db", b"pw")
        own = Client("holdfast", engine, tmp_path)
        output = own("run", "--rm", "--read-only", "-u", "1000", "--secret", "db", "--secret",
                     "db,target=/etc/app/pw,uid=1000,mode=0400", "busybox", "cat", "/run/secrets/db",
                     "/etc/app/pw", code=None)
        if "no OCI runtime works" in output.err:
            pytest.skip(f"{runtime} does not work here")
        assert output.out == "pwpw", output
    finally:
        engine.close()


def test_wrong_options_name_what_is_wrong(holdfast, api):
    make(api, "db")
    table = [
        ("db,type=env", 'secret type "env" is not supported'),
        ("db,mode=9", "invalid mode specified"),
        ("db,mode=1777", "invalid mode specified"),
        ("db,uid=root", 'invalid uid "root"'),
        ("db,gid=4294967295", 'invalid gid "4294967295"'),
        ("db,uid=1,uid=2", "more than once"),
        ("db,foo=1", "invalid field in secret request: foo"),
        ("db,foo", "invalid field 'foo' must be a key=value pair"),
        ("target=x", "source is required"),
        ("", "source is required"),
        ("nobody", "secret nobody not found"),
        ("db,target=../x", 'invalid target "../x" of secret db: it does not lie below /run/secrets'),
        ("db,target=/", "it is a directory, not a file"),
        ("db,target=/run/secrets", "it is a directory, not a file"),
        ("db,target=/proc/self/x", "/proc belongs to the kernel"),
        (f"db,target={'x' * 256}", "it is too long"),
    ]
    for text, message in table:
        for verb in ("run", "create"):
            holdfast.fails(verb, "--secret", text, "busybox", "true", says=message)
    twice = ("--secret", "db")
    holdfast.fails("run", *twice, *twice, "busybox", "true", code=125, says="Duplicate mount point: /run/secrets/db")
    holdfast.fails("run", *twice, "-v", "v:/run/secrets", "busybox", "true", code=125,
                   says="Duplicate mount point: /run/secrets")
    holdfast.fails("run", *twice, "--tmpfs", "/run/secrets/sub", "busybox", "true", code=125,
                   says='invalid mount target "/run/secrets/sub"')
    assert api.containers() == []
    assert api.delete("/secrets/db").status == 204  # nothing that failed holds it


def test_raw_requests(api):
    identity = make(api, "db", b"pw")

    def create(entry):
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Secrets": entry}}
        return api.post("/containers/create", body)

    for entry, message in (
        ("db", "Secrets"), (["db"], "an entry is no object"), ([{}], "source is required"),
        ([{"Source": "db", "UID": "x"}], "invalid UID"), ([{"Source": "db", "Mode": 512}], "invalid Mode"),
        ([{"Source": "db", "Mode": "rw"}], "invalid Mode"), ([{"Source": "db", "Target": 5}], "Target"),
        ([{"Source": "db", "Target": "a\0b"}], "it holds a NUL"),
        ([{"Source": "db", "Target": "a"}, {"Source": "db", "Target": "a/b"}], "another secret's file"),
    ):
        answer = create(entry)
        assert answer.status == 400 and message in answer.message, (entry, answer)
    assert create([{"Source": "nobody"}]).status == 404
    container = api.container(create([{"Source": identity[:15]}]).json["Id"])
    assert container["HostConfig"]["Secrets"] == [
        {"Source": identity, "Name": "db", "Target": "/run/secrets/db", "UID": "0", "GID": "0", "Mode": 0o444}
    ]
    assert container["Mounts"] == []
    plain = api.container(create([]).json["Id"])
    assert "Secrets" not in plain["HostConfig"] or plain["HostConfig"]["Secrets"] == []


def test_is_not_removed_while_a_container_has_it(holdfast, cli, api):
    make(api, "db")
    holdfast("create", "--name", "first", "--secret", "db", "busybox", "true")
    cli.fails("secret", "rm", "db", code=1, says="secret 'db' is in use by the following container: first")
    holdfast("create", "--name", "second", "--secret", "db", "busybox", "true")
    cli.fails("secret", "rm", "db", code=1, says="in use by the following containers: ")
    holdfast("rename", "first", "renamed")
    holdfast("rm", "second")
    cli.fails("secret", "rm", "db", code=1, says="in use by the following container: renamed")
    holdfast("rm", "renamed")
    cli("secret", "rm", "db")


def test_removal_races_with_create(holdfast, api):
    """Whatever comes first: a container that was made can be started."""
    for _ in range(20):
        make(api, "db")
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Secrets": [{"Source": "db"}],
                                                                    "NetworkMode": "none"}}
        made = []
        thread = threading.Thread(target=lambda: made.append(api.post("/containers/create", body)))
        thread.start()
        removed = api.delete("/secrets/db").status
        thread.join()
        assert (made[0].status, removed) in ((201, 409), (404, 204)), (made[0], removed)
        if made[0].status == 201:
            assert api.post(f"/containers/{made[0].json['Id']}/start").status == 204
            api.delete(f"/containers/{made[0].json['Id']}", force=1)
            assert api.delete("/secrets/db").status == 204


def test_rotation(holdfast, api):
    """A running container keeps what it has; one made anew has the new one."""
    make(api, "pw.1", b"old")
    holdfast("run", "-d", "--name", "web", "--secret", "pw.1,target=pw", "busybox", "sleep", "1000")
    make(api, "pw.2", b"new")
    assert holdfast("exec", "web", "cat", "/run/secrets/pw").out == "old"
    holdfast("restart", "-t", "0", "web")
    assert holdfast("exec", "web", "cat", "/run/secrets/pw").out == "old"
    holdfast("rm", "-f", "web")
    holdfast("run", "-d", "--name", "web", "--secret", "pw.2,target=pw", "busybox", "sleep", "1000")
    assert holdfast("exec", "web", "cat", "/run/secrets/pw").out == "new"
    holdfast("secret", "rm", "pw.1")


# Where it must not be.


def test_stays_out_of_what_is_taken_from_a_container(holdfast, docker, api, token, tmp_path):
    make(api, "db", token)
    holdfast("run", "--name", "box", "--secret", "db", "--secret", "db,target=/etc/pw", "busybox", "cat",
             "/run/secrets/db", "/etc/pw")
    changes = docker("diff", "box").lines
    assert "A /run/secrets" in changes and "A /run/secrets/db" not in changes
    docker("cp", "box:/etc", tmp_path / "etc")
    assert (tmp_path / "etc/pw").read_bytes() == b""
    docker.fails("cp", "box:/run/secrets/db", tmp_path / "db", says="Could not find the file")
    docker("commit", "box", "committed")
    docker("save", "-o", tmp_path / "image.tar", "committed")
    docker("export", "-o", tmp_path / "container.tar", "box")
    (tmp_path / "inspected").write_text(docker("inspect", "box").out)
    for archive in ("image.tar", "container.tar"):
        with tarfile.open(tmp_path / archive) as tar:
            tar.extractall(tmp_path / f"{archive}.d")
    # Its output was the secret: that is the log's, and nobody else's.
    assert traces.files_with(token, tmp_path) == []
    docker("rmi", "committed")


def test_export_of_a_running_container(holdfast, docker, api, token, tmp_path):
    make(api, "db", token)
    holdfast("run", "-d", "--name", "box", "--secret", "db", "--secret", "db,target=/etc/pw", "busybox",
             "sleep", "1000")
    docker("export", "-o", tmp_path / "container.tar", "box")
    docker("commit", "box", "committed")
    docker("save", "-o", tmp_path / "image.tar", "committed")
    assert traces.files_with(token, tmp_path) == []
    docker("rmi", "committed")


@pytest.fixture
def on_a_disk(registry, tmp_path):
    """An engine that has all of its folders on a file system of their own, and debugs."""
    run("truncate", "-s", "192M", tmp_path / "disk")
    run("mkfs.ext4", "-q", tmp_path / "disk")
    (tmp_path / "mounted").mkdir()
    run("mount", "-o", "loop", tmp_path / "disk", tmp_path / "mounted")
    (tmp_path / "daemon.json").write_text('{"debug": true}')
    engine = Engine(directory=tmp_path / "mounted", **{"config-file": tmp_path / "daemon.json"})
    try:
        engine.start()
        Images(engine, registry).have("busybox")
        yield engine
    finally:
        engine.close()
        run("umount", "-l", tmp_path / "mounted", check=False)


def test_is_never_on_the_disk_in_clear(on_a_disk, token, tmp_path):
    engine, api = on_a_disk, on_a_disk.api
    holdfast = Client("holdfast", engine, tmp_path / "home")
    holdfast("secret", "create", "db", "-", input=token)
    holdfast("run", "-d", "--name", "box", "--restart", "always", "--secret", "db", "--secret",
             "db,target=/etc/pw,mode=0400", "--health-cmd", "cat /etc/pw", "--health-interval", "100ms",
             "busybox", "sh", "-c", "cat /run/secrets/db | md5sum; sleep 1000")
    holdfast("restart", "-t", "0", "box")
    # Errors that have to do with its content.
    for wrong in (token.decode() + "!", token.decode() + "=" * 3):
        assert api.post("/secrets/create", {"Name": "wrong", "Data": wrong}).status == 400
    assert api.post("/secrets/create", {"Name": "db", "Data": base64.b64encode(token).decode()}).status == 409
    assert api.post("/secrets/create", b'{"Name":"w","Data":"' + base64.b64encode(token)).status == 400
    engine.kill()
    engine.start()
    assert holdfast("exec", "box", "cat", "/run/secrets/db").raw_out == token
    # The answer went through no file, but the health check's output is in memory for inspect.
    holdfast("rm", "-f", "box")
    assert traces.files_with(token, engine.dir) == []
    run("sync")
    with open(tmp_path / "disk", "rb") as disk:
        assert not traces.find_in_stream(disk, token)
    # That this would have been found:
    make(api, "open", Labels={"content": token.decode()})
    assert traces.files_with(token, engine.dir) != []


def test_does_not_stay_in_the_daemons_memory(on_a_disk, token, tmp_path):
    engine, api = on_a_disk, on_a_disk.api
    holdfast = Client("holdfast", engine, tmp_path / "home")
    docker = Client("docker", engine, tmp_path / "home")
    padded = (token + b"-" * 420) * 140  # arrives in several pieces, each of which has it

    def clean():
        return traces.memory_with(token, engine.pid) == []

    docker("secret", "create", "db", "-", input=padded)
    assert clean()
    holdfast("secret", "create", "two", "-", input=token)
    assert clean()
    for wrong, status in (("db", 409), ("-", 400), ("x" * 65, 400)):
        body = {"Name": wrong, "Data": base64.b64encode(padded).decode()}
        assert api.post("/secrets/create", body).status == status and clean()
    chunked = [b'{"Name":"three","Data":"', base64.b64encode(padded), b'"}']
    request = b"POST /secrets/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    request += b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    request += b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*chunked, b""])
    assert b"201 Created" in api.raw(request) and clean()
    holdfast("run", "-d", "--name", "box", "--secret", "db", "--secret", "two,target=/etc/pw", "busybox",
             "sleep", "1000")
    assert holdfast("exec", "box", "wc", "-c", "/run/secrets/db", "/etc/pw").lines[-1].split()[0] == str(
        len(padded) + len(token))
    assert clean()
    assert traces.memory_with(engine.key_file.read_bytes().strip(), engine.pid) == []
    assert traces.memory_with(bytes.fromhex(engine.key_file.read_text()), engine.pid) == []
    # That this would have been found:
    make(api, "open", Labels={"content": token.decode()})
    assert not clean()


# The key, and the daemon's restarts.


@pytest.fixture
def own(registry, tmp_path):
    engine = Engine()
    try:
        engine.start()
        Images(engine, registry).have("busybox")
        yield Client("holdfast", engine, tmp_path / "home")
    finally:
        engine.close()


def test_survive_the_daemon(own):
    engine, api = own.engine, own.engine.api
    identity = make(api, "db", b"pw", Labels={"k": "v"})
    own("run", "-d", "--name", "runs", "--secret", "db", "busybox", "sleep", "1000")
    own("create", "--name", "rests", "--secret", "db", "busybox", "cat", "/run/secrets/db")
    before = api.get("/secrets/db").json
    for end in (engine.kill, engine.stop):
        end()
        engine.start()
        assert api.get("/secrets/db").json == before and before["ID"] == identity
        assert own("exec", "runs", "cat", "/run/secrets/db").out == "pw"
        assert own("start", "-a", "rests").out == "pw"
        own.fails("secret", "rm", "db", code=1, says="in use by the following containers: ")
    # A reboot: whatever ran is gone, and with it all that was in memory.
    own("update", "--restart", "always", "runs")
    engine.kill()
    for pid in engine.processes():
        os.kill(pid, 9)
    until(lambda: not engine.processes(), "all processes are gone")
    for mount in engine.mounts():
        run("umount", "-l", mount)
    run("rm", "-rf", engine.exec_root)
    engine.start()
    until(lambda: own("exec", "runs", "cat", "/run/secrets/db", code=None).out == "pw", "it is started again")


def test_key_is_made_with_the_first_secret_and_for_root_alone(own):
    key = own.engine.key_file
    assert not key.exists()
    make(own.engine.api, "a")
    assert key.stat().st_mode & 0o7777 == 0o600 and key.stat().st_uid == 0
    assert re.fullmatch("[0-9a-f]{64}\n", key.read_text())
    assert [entry.name for entry in key.parent.iterdir()] == [key.name]


def test_without_the_right_key_nothing_is_lost(own):
    engine, api, key = own.engine, own.engine.api, own.engine.key_file
    make(api, "db", b"pw")
    own("create", "--name", "box", "--secret", "db", "busybox", "cat", "/run/secrets/db")
    good = key.read_text()

    def protected(mode=0o600, text=good, owner=0):
        key.unlink(missing_ok=True)
        if text is not None:
            key.write_text(text)
            key.chmod(mode)
            os.chown(key, owner, 0)

    for damage, says in (
        ({"text": None}, "is missing"),
        ({"mode": 0o644}, "has mode 0644, so that others may get at it: chmod it to 0600"),
        ({"owner": 1000}, "belongs to uid 1000"),
        ({"text": "0" * 64}, "holds another key than the one"),
        ({"text": "short"}, "does not hold a key of 64 hexadecimal digits"),
    ):
        protected(**damage)
        engine.stop()
        engine.start()
        assert says in engine.log_tail() and str(key) in engine.log_tail()
        assert own("run", "--rm", "busybox", "echo", "works").out == "works\n"
        assert own("secret", "ls", "--format", "{{.Name}}").out == "db\n"
        text = own.fails("secret", "create", "other", "-", input="x", code=1, says=says).err
        assert str(key) in text
        text = own.fails("start", "-a", "box", says=says).err
        assert str(key) in text and "db" in text
        assert key.exists() == (damage.get("text", good) is not None)
        protected()
        assert own("start", "-a", "box").out == "pw"
    protected(text=None)
    own("rm", "box")
    own("secret", "rm", "db")
    make(api, "fresh")
    assert key.exists() and key.read_text() != good


def test_a_damaged_record_is_reported_and_does_no_harm(own):
    engine, api = own.engine, own.engine.api
    identity = make(api, "db", b"pw")
    make(api, "other", b"2")
    own("create", "--name", "box", "--secret", "db", "busybox", "cat", "/run/secrets/db")
    engine.stop()
    run("sqlite3", engine.data_root / "state.db",
        "UPDATE secrets SET document=replace(document,'\"db\"','\"x\"') WHERE document LIKE '%\"db\"%'")
    engine.start()
    own.fails("start", "-a", "box", says="secret x was changed on the disk")
    run("sqlite3", engine.data_root / "state.db", "PRAGMA busy_timeout=5000; "
        f"UPDATE secrets SET document='{{' WHERE key='{identity}'")
    engine.stop()
    engine.start()
    assert f"record of secret {identity} is damaged" in engine.log_tail()
    assert list(api.secrets()) == ["other"]
    own.fails("start", "-a", "box", says=f"record of secret {identity} is damaged")
    own("rm", "box")
    own("secret", "rm", identity)


def test_a_key_file_in_the_data_root_is_refused(tmp_path):
    for place, says in (("data/key", "lies in"), ("data/../data/key", "lies in"), ("exec/key", "lies in")):
        engine = Engine(directory=tmp_path)
        engine.key_file = Path(f"{tmp_path}/{place}")
        done = run(*map(str, engine.command()), check=False)
        assert done.returncode == 1 and says in done.stderr, done


def test_key_file_by_configuration(tmp_path):
    config = tmp_path / "daemon.json"
    config.write_text(json.dumps({"secrets-key-file": str(tmp_path / "mine/key")}))
    engine = Engine(**{"config-file": config})
    words = engine.command()
    at = words.index("--secrets-key-file")
    engine.command = lambda: words[:at] + words[at + 2:]
    try:
        engine.start()
        make(engine.api, "a")
        assert (tmp_path / "mine/key").exists()
    finally:
        engine.close()
