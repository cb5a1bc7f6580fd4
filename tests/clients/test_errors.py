"""Bad input: Docker's status codes through the API, Docker's words through the client, and
nothing half-made left behind."""

import json
import os
import signal
import socket
import threading

import pytest
from engine import KIND
from images import Registry
from waiting import until


@pytest.fixture
def bad_request(engine):
    """The status of what can't be understood; Docker's 20.10 said 500 of most."""
    return (400, 500) if engine.kind == "dockerd" else (400,)


def create(api, body, **query):
    return api.post("/containers/create", {"Image": "busybox", **body}, **query)


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'"text"', b'{"Image": 7}', b'{"Image": "busybox", "Cmd": {"a": 1}}',
     b"\xff\xfe{}", b""],
    ids=repr,
)
def test_malformed_json(api, body, bad_request):
    answer = api.call("POST", "/containers/create", body, {"Content-Type": "application/json"})
    assert answer.status in bad_request and answer.message
    assert api.containers() == []


@pytest.mark.holdfast_only("dockerd 20.10 reads no further than the first document")
def test_two_documents_in_one_body(api):
    body = b'{"Image":"busybox"}{"Image":"busybox"}'
    answer = api.call("POST", "/containers/create", body, {"Content-Type": "application/json"})
    assert answer.status == 400 and api.containers() == []


def test_deeply_nested_json(api, bad_request):
    body = b'{"Image":"busybox","Labels":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = api.call("POST", "/containers/create", body, {"Content-Type": "application/json"})
    assert answer.status in bad_request and api.ping()


def test_body_that_is_not_json(api):
    answer = api.call("POST", "/containers/create", b'{"Image":"busybox"}', {"Content-Type": "text/plain"})
    assert answer.status in (400, 415) and api.containers() == []


@pytest.mark.parametrize(
    "method, path, status, message",
    [
        ("GET", "/containers/nobody/json", 404, "No such container: nobody"),
        ("POST", "/containers/nobody/start", 404, "No such container: nobody"),
        ("POST", "/containers/nobody/stop", 404, "No such container: nobody"),
        ("POST", "/containers/nobody/kill", 404, "No such container: nobody"),
        ("DELETE", "/containers/nobody", 404, "No such container: nobody"),
        ("GET", "/containers/nobody/logs?stdout=1", 404, "No such container: nobody"),
        ("GET", "/images/nothing/json", 404, "No such image: nothing"),
        ("DELETE", "/images/nothing", 404, "No such image: nothing"),
        ("GET", "/volumes/nothing", 404, "no such volume"),
        ("DELETE", "/volumes/nothing", 404, "no such volume"),
        ("GET", "/networks/nothing", 404, "network nothing not found"),
        ("GET", "/exec/nothing/json", 404, "No such exec instance: nothing"),
        ("GET", "/no/such/page", 404, "page not found"),
        ("GET", "/v1.99/containers/json", 400, "client version 1.99 is too new"),
    ],
)
def test_status_and_message(api, method, path, status, message):
    answer = api.call(method, path)
    assert answer.status == status, answer.body
    assert message.lower() in (answer.message or answer.body.decode()).lower()
    assert answer.headers["Content-Type"].startswith("application/json")


def test_filters_that_are_not_json(api, bad_request):
    answer = api.get("/containers/json?filters=rubbish")
    assert answer.status in bad_request and answer.message


def test_unknown_image(api, cli):
    answer = create(api, {"Image": "nothing:here"})
    assert (answer.status, answer.message) == (404, "No such image: nothing:here")
    cli.fails("run", "--pull", "never", "--rm", "nothing:here", code=125, says="No such image: nothing:here")


def test_name_taken(api, cli):
    first = create(api, {}, name="taken").json["Id"]
    answer = create(api, {}, name="taken")
    assert answer.status == 409
    assert answer.message == (
        f'Conflict. The container name "/taken" is already in use by container "{first}".'
        " You have to remove (or rename) that container to be able to reuse that name."
    )
    cli.fails("run", "--name", "taken", "busybox", "true", code=125, says="is already in use by container")
    assert len(api.containers()) == 1


@pytest.mark.parametrize("name", ["a/b", "../x", "..", ".x", "-x", "a b", "ä", "x/", "%2e%2e"])
def test_bad_container_name(api, name):
    answer = create(api, {}, name=name)
    assert answer.status == 400
    assert answer.message == (
        f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )
    assert api.containers() == []


@pytest.mark.parametrize("name", ["../../etc", "..%2f..%2fetc", "%2e%2e", "a%00b", "x" * 4096])
@pytest.mark.parametrize(
    "method, path",
    [("GET", "/containers/{}/json"), ("DELETE", "/containers/{}"), ("GET", "/volumes/{}"),
     ("DELETE", "/volumes/{}"), ("GET", "/images/{}/json"), ("GET", "/networks/{}"),
     ("GET", "/containers/{}/archive?path=/etc")],
)
def test_names_that_climb(api, method, path, name):
    answer = api.call(method, path.format(name))
    assert answer.status in (301, 400, 404, 414, 431), answer.body
    assert api.ping()


def test_missing_bind_source(api, cli):
    mount = {"Type": "bind", "Source": "/none/such", "Target": "/d"}
    answer = create(api, {"HostConfig": {"Mounts": [mount]}})
    assert answer.status == 400
    assert answer.message == (
        'invalid mount config for type "bind": bind source path does not exist: /none/such'
    )
    assert api.containers() == []


@pytest.mark.parametrize(
    "mount, message",
    [
        ({"Type": "nonsense", "Target": "/d"}, "mount type unknown"),
        ({"Type": "volume", "Target": ""}, "field Target must not be empty"),
        ({"Type": "bind", "Source": "", "Target": "/d"}, "field Source must not be empty"),
        ({"Type": "bind", "Source": "relative", "Target": "/d"}, "mount path must be absolute"),
        ({"Type": "tmpfs", "Source": "x", "Target": "/d"}, "field Source must not be specified"),
        ({"Type": "volume", "Source": "../x", "Target": "/d"}, "only \"[a-zA-Z0-9]"),
    ],
    ids=str,
)
def test_bad_mounts(api, mount, message):
    answer = create(api, {"HostConfig": {"Mounts": [mount]}})
    assert answer.status == 400 and message in answer.message, answer.body
    assert api.containers() == [] and api.volumes() == {}


def test_command_not_found(api, cli):
    cli.fails("run", "--name", "lost", "busybox", "no-such-command", code=127,
              says='exec: "no-such-command": executable file not found in $PATH')
    state = api.container("lost")["State"]
    assert (state["Status"], state["ExitCode"]) == ("created", 127)
    answer = api.post("/containers/lost/start")
    assert answer.status == 400 and "executable file not found in $PATH" in answer.message


@pytest.mark.newer_client("takes the code from other words")
def test_command_that_cannot_be_executed(cli, api):
    cli.fails("run", "--name", "refused", "busybox", "/etc/passwd", code=126, says="permission denied")
    assert api.container("refused")["State"]["ExitCode"] == 126
    cli.fails("run", "--rm", "busybox", "/etc", code=126, says=("permission denied", "is a directory"))


def test_failed_run_with_rm_leaves_nothing(cli, api):
    cli("run", "--rm", "-v", "/anonymous", "busybox", "no-such-command", code=127)
    until(lambda: not api.containers(), "the container is removed")
    assert api.volumes() == {}


def test_no_command(cli, api):
    import io
    import tarfile

    stream = io.BytesIO()
    tarfile.open(fileobj=stream, mode="w").close()
    cli("import", "-", "bare", input=stream.getvalue())
    answer = api.post("/containers/create", {"Image": "bare"})
    assert answer.status == 400 and "o command specified" in answer.message


def test_port_taken(api, cli):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    config = {"Cmd": ["sleep", "100"], "ExposedPorts": {"80/tcp": {}},
              "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]}}}
    for name, status in (("holder", 204), ("loser", 500)):
        assert create(api, config, name=name).status == 201
        answer = api.post(f"/containers/{name}/start")
        assert answer.status == status, answer.body
    assert f"Bind for 127.0.0.1:{port} failed: port is already allocated" in answer.message
    assert answer.message.startswith("driver failed programming external connectivity on endpoint loser") or (
        answer.message.startswith("failed to set up container networking")
    )


def test_volume_in_use(api):
    identity = create(api, {"HostConfig": {"Binds": ["data:/d"]}}, name="user").json["Id"]
    answer = api.delete("/volumes/data")
    docker_says = f"remove data: volume is in use - [{identity}]"
    # Docker's words come first; who that is follows.
    we_say = docker_says + ': container "user" (created)'
    assert (answer.status, answer.message) == (409, we_say if KIND == "holdfastd" else docker_says)


def test_image_in_use(api, cli):
    cli("tag", "busybox", "used:1")
    identity = create(api, {"Image": "used:1"}).json["Id"]
    image = api.get("/images/used:1/json").json["Id"]
    answer = api.delete(f"/images/{image}")
    assert answer.status == 409 and "conflict: unable to delete" in answer.message
    api.delete(f"/containers/{identity}")


def test_image_of_a_running_container_by_force(api, cli, registry):
    cli("pull", "-q", registry.push("my-image"))
    cli("tag", registry.push("my-image"), "lonely")
    cli("rmi", registry.push("my-image"))
    cli("run", "-d", "--name", "runner", "lonely", "sleep", "100")
    image = api.get("/images/lonely/json").json["Id"]
    answer = api.delete(f"/images/{image}", force=1)
    assert answer.status == 409
    assert "image is being used by running container" in answer.message
    assert "lonely:latest" in api.tags()


def test_states_that_do_not_fit(api, cli):
    create(api, {"Cmd": ["sleep", "100"]}, name="box")
    assert api.post("/containers/box/stop").status == 304
    answer = api.post("/containers/box/kill")
    assert answer.status == 409 and "is not running" in answer.message
    answer = api.post("/containers/box/pause")
    assert answer.status == 409 and "is not running" in answer.message
    assert api.post("/containers/box/start").status == 204
    assert api.post("/containers/box/start").status == 304
    answer = api.delete("/containers/box")
    assert answer.status == 409
    answer = api.post("/containers/box/unpause")
    assert answer.status in (409, 500) and "is not paused" in answer.message


def test_bad_signal(api):
    create(api, {"Cmd": ["sleep", "100"]}, name="box")
    api.post("/containers/box/start")
    answer = api.post("/containers/box/kill", signal="NONSENSE")
    assert answer.status in (400, 500) and "nvalid signal: NONSENSE" in answer.message


@pytest.mark.parametrize("memory", [1, -5, 6 * 1024 * 1024 - 1])
def test_too_little_memory(api, memory):
    answer = create(api, {"HostConfig": {"Memory": memory}})
    if memory < 0:
        assert answer.status in (201, 400)
    else:
        assert answer.status == 400
        assert "Minimum memory limit allowed is" in answer.message


@pytest.mark.parametrize(
    "config",
    [
        {"HostConfig": {"RestartPolicy": {"Name": "sometimes"}}},
        {"HostConfig": {"NanoCpus": -1}},
        {"HostConfig": {"AutoRemove": True, "RestartPolicy": {"Name": "always"}}},
        {"HostConfig": {"CapAdd": ["NONSENSE"]}},
        {"HostConfig": {"Binds": ["a:b:c:d"]}},
        {"HostConfig": {"ShmSize": -1}},
        {"Healthcheck": {"Interval": 1}},
        {"StopSignal": "NONSENSE"},
    ],
    ids=json.dumps,
)
def test_bad_configuration(api, config, bad_request):
    answer = create(api, config)
    assert answer.status in bad_request and answer.message, answer.body
    assert api.containers() == []


# Requests that are cut or lie


def test_lying_content_length(api):
    request = b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for lie in (b"Content-Length: nonsense", b"Content-Length: -1", b"Content-Length: 1\r\nContent-Length: 2"):
        reply = api.raw(request + lie + b"\r\nConnection: close\r\n\r\n{}")
        assert reply == b"" or reply.split()[1].startswith(b"4"), reply
    assert api.ping() and api.containers() == []


def test_headers_without_end(api):
    reply = api.raw(b"GET / HTTP/1.1\r\n" + b"X-A: " + b"a" * 2_000_000 + b"\r\n\r\n")
    assert reply == b"" or reply.split()[1] in (b"400", b"431")
    assert api.ping()


def test_cut_upload_of_an_image(api, engine, cli):
    saved = cli("save", "busybox").raw_out.replace(b"busybox", b"busycut")
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(engine.socket))
        head = f"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: {len(saved)}\r\n\r\n"
        stream.sendall(head.encode() + saved[: len(saved) // 2])
    until(lambda: not staging(engine), "what was half loaded is swept")
    assert "busycut:latest" not in api.tags()


def staging(engine):
    return list((engine.data_root / "staging").glob("*"))


# Registries that fail


class CuttingProxy:
    """Passes connections on to a registry and cuts each after so many bytes of its answers."""

    def __init__(self, target, limit):
        self.target, self.limit = target, limit
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        host, port = self.target.split(":")
        with client, socket.create_connection((host, int(port))) as upstream:
            threading.Thread(target=self._pump, args=(client, upstream), daemon=True).start()
            try:
                self._pass(upstream, client)
                for stream in (client, upstream):
                    stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was faster

    def _pass(self, upstream, client):
        passed = 0
        while (data := upstream.recv(65536)) and passed < self.limit:
            client.sendall(data[: self.limit - passed])
            passed += len(data)

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass

    def close(self):
        self.server.close()


def test_registry_gone_half_way(cli, api, engine, registry):
    registry.push("nginx")
    proxy = CuttingProxy(registry.address, 300_000)
    try:
        cli.fails("pull", f"{proxy.address}/library/nginx", timeout=120)
    finally:
        proxy.close()
    assert not any("nginx" in tag for tag in api.tags())
    until(lambda: not staging(engine), "what was half pulled is swept")
    cli("pull", "-q", registry.push("nginx"))


def test_client_that_gives_up_pulling(cli, api, engine, registry):
    reference = registry.push("node")
    puller = cli.start("pull", reference)
    until(lambda: puller.stdout.readline(), "the pull has begun")
    puller.send_signal(signal.SIGINT)
    puller.communicate(timeout=60)
    until(lambda: not staging(engine), "what was half pulled is swept", deadline=60)
    cli("pull", "-q", reference)


def test_frozen_registry_does_not_block_others(cli, api, tmp_path):
    registry = Registry()
    try:
        reference = registry.push("busybox")
        os.kill(registry.pid, signal.SIGSTOP)
        puller = cli.start("pull", reference)
        assert cli("ps", timeout=10).code == 0
        assert cli("run", "--rm", "busybox", "echo", "works", timeout=20).out == "works\n"
        puller.kill()
        puller.communicate(timeout=20)
    finally:
        os.kill(registry.pid, signal.SIGCONT)
        registry.close()
