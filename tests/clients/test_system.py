"""What clients ask before they do anything: ping, version, info, events, disk usage."""

import json
import re
import subprocess
import time

import pytest
from waiting import until


def test_ping(api):
    for method in ("GET", "HEAD"):
        answer = api.call(method, "/_ping")
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert re.fullmatch(r"1\.\d\d", answer.headers["Api-Version"])
        assert answer.headers["Ostype"] == "linux"
    assert api.get("/_ping").body == b"OK"


@pytest.mark.parametrize("prefix", ["", "/v1.24", "/v1.41"])
def test_versioned_and_unversioned_paths(engine, prefix):
    for path in ("/_ping", "/version", "/info", "/containers/json", "/images/json", "/volumes", "/networks"):
        words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", engine.socket,
                 f"http://localhost{prefix}{path}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30)
        assert (path, done.stdout) == (path, "200")


def test_api_versions(api, cli):
    document = api.get("/version").json
    assert float(document["ApiVersion"]) >= 1.41 and document["Os"] == "linux"
    assert document["MinAPIVersion"] <= "1.24"
    for version in ("1.24", "1.41"):
        assert cli("ps", "-q", env={"DOCKER_API_VERSION": version}).code == 0


def test_version(cli):
    text = cli("version").out
    assert "Client:" in text and "Server:" in text
    assert re.fullmatch(r"\d\S*\n", cli("version", "-f", "{{.Server.Version}}").out)


def test_info(cli, api, engine):
    cli("run", "-d", "busybox", "sleep", "1000")
    cli("create", "busybox")
    info = api.get("/info").json
    assert (info["Containers"], info["ContainersRunning"], info["ContainersStopped"]) == (2, 1, 1)
    assert info["DockerRootDir"] == str(engine.data_root)
    assert info["OSType"] == "linux" and info["NCPU"] >= 1 and info["MemTotal"] > 0
    assert info["Driver"] and info["DefaultRuntime"]
    text = cli("info").out
    assert "Running: 1" in text and f"Root Dir: {engine.data_root}" in text
    assert cli("info", "-f", "{{.OSType}}").out == "linux\n"


def test_pages_clients_ask_for_first(api):
    for path in ("/plugins", "/networks", "/system/df", "/containers/json", "/images/json", "/volumes"):
        assert api.get(path).status == 200, path
    for path in ("/swarm", "/services", "/nodes", "/configs", "/tasks"):
        answer = api.get(path)
        assert answer.status in (404, 501, 503) and answer.message, path


def test_df(cli, api):
    cli("run", "--name", "writer", "-v", "data:/d", "busybox", "sh", "-c",
        "head -c 2000000 /dev/zero >/d/f; head -c 1000000 /dev/zero >/f")
    document = api.get("/system/df").json
    (volume,) = document["Volumes"]
    assert volume["Name"] == "data" and volume["UsageData"]["RefCount"] == 1
    assert 2_000_000 <= volume["UsageData"]["Size"] < 2_200_000
    (container,) = document["Containers"]
    assert 1_000_000 <= container["SizeRw"] < 1_200_000
    assert document["LayersSize"] > 0 and document["Images"]
    lines = cli("system", "df").lines
    assert lines[0].split()[:2] == ["TYPE", "TOTAL"]
    assert [line.split()[0] for line in lines[1:4]] == ["Images", "Containers", "Local"]
    assert "data" in cli("system", "df", "-v").out


def test_events_of_a_container(cli, api):
    since = str(int(time.time()) - 1)
    process = cli.start("events", "--since", since, "--filter", "container=watched", "--format", "{{json .}}")
    cli("run", "--name", "watched", "-v", "data:/d", "busybox", "true")
    cli("rm", "watched")
    seen = []
    while not seen or seen[-1] != "destroy":
        event = json.loads(process.stdout.readline())
        seen.append(event["Action"])
        assert event["Type"] == "container" and event["Actor"]["Attributes"]["name"] == "watched"
    process.terminate()
    process.communicate(timeout=20)
    wanted = ["create", "attach", "start", "die", "destroy"]
    assert [action for action in seen if action in wanted] == wanted


def test_events_of_volumes_and_networks(cli):
    since = f"{time.time():.9f}"
    cli("volume", "create", "data")
    cli("run", "--rm", "-v", "data:/d", "busybox", "true")
    cli("volume", "rm", "data")
    words = ["events", "--since", since, "--until", f"{time.time() + 1:.3f}"]
    volumes = cli(*words, "--filter", "type=volume", "--format", "{{.Action}}").lines
    # dockerd 20.10 tells of the creation again when it is used first.
    assert volumes[-4:] == ["create", "mount", "unmount", "destroy"]
    networks = cli(*words, "--filter", "type=network", "--format", "{{.Action}}").lines
    assert networks == ["connect", "disconnect"]
    text = cli(*words, "--filter", "event=die").lines
    assert len(text) == 1 and "exitCode=0" in text[0] and "image=busybox" in text[0]


def test_idle_streams_hold_no_thread(engine, api, cli):
    cli("run", "-d", "--name", "quiet", "busybox", "sleep", "1000")
    status = f"/proc/{engine.pid}/status"

    def threads():
        with open(status) as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("Threads:"))

    before = threads()
    streams = []
    try:
        for number in range(100):
            path = "/events" if number % 2 else "/containers/quiet/logs?follow=1&stdout=1"
            streams.append(api.stream("GET", path))
        if engine.kind != "dockerd":  # which takes a goroutine each, and threads as it likes
            assert threads() <= before + 4
        assert api.ping()
    finally:
        for connection, _ in streams:
            connection.close()


def test_stats(cli):
    cli("run", "-d", "--name", "measured", "busybox", "sleep", "1000")
    line = cli("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}").out
    assert re.match(r"measured 1 [\d.]+\w*iB / [\d.]+GiB", line)


def test_commit(cli):
    cli("run", "--name", "changed", "busybox", "sh", "-c", "echo kept >/kept")
    cli("commit", "-c", "CMD [\"cat\", \"/kept\"]", "changed", "committed:1")
    assert cli("run", "--rm", "committed:1").out == "kept\n"


def test_system_prune(cli, api):
    cli("run", "--name", "gone", "-v", "data:/d", "busybox", "true")
    cli("network", "create", "idle")
    output = cli("system", "prune", "-f")
    assert "Deleted Containers:" in output.out and "Total reclaimed space" in output.out
    assert api.containers() == [] and "data" in api.volumes()
    assert "idle" not in [network["Name"] for network in api.networks()]


def test_second_daemon_on_the_same_root_is_refused(engine):
    words = [str(word) for word in engine.command()]
    words[words.index(f"unix://{engine.socket}")] = f"unix://{engine.dir}/second.sock"
    words[words.index(str(engine.dir / "engine.pid"))] = str(engine.dir / "second.pid")
    if engine.kind == "dockerd":
        pytest.skip("dockerd has no lock on its data root")
    done = subprocess.run(words, capture_output=True, timeout=30)
    assert done.returncode != 0 and b"another" in (done.stdout + done.stderr).lower()
    assert engine.api.ping()


def test_help(cli):
    text = cli("run", "--help").out
    assert "--volume" in text and "--mount" in text
    cli.fails("no-such-command")


def test_wait_on_many(cli):
    identities = [cli("run", "-d", "busybox", "sh", "-c", f"exit {n}").out.strip() for n in (1, 2)]
    assert cli("wait", *identities).lines == ["1", "2"]
    until(lambda: cli("ps", "-q").lines == [], "nothing runs")
