"""kill -9 of the daemon: the containers live, and the next daemon takes them over."""

import os
import signal
import subprocess
import threading

import postgres
import pytest
from client import Client
from engine import Engine
from images import Images
from waiting import until


@pytest.fixture
def own(registry, tmp_path):
    engine = Engine()
    try:
        engine.start()
        yield Client("docker", engine, tmp_path)
        if not engine.alive():
            engine.start()
    finally:
        engine.close()


class Writer(threading.Thread):
    """Inserts numbered rows through one psql of the host's own; remembers what was acknowledged."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.acknowledged = 0
        self.stopping = threading.Event()
        self.failure = None
        words = ["psql", "-h", host, "-U", "postgres", "-qAt", "-v", "ON_ERROR_STOP=1"]
        self.psql = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PGPASSWORD": "secret"},
        )

    def run(self):
        while not self.stopping.is_set():
            number = self.acknowledged + 1
            self.psql.stdin.write(f"INSERT INTO acked VALUES ({number}) RETURNING n;\n")
            self.psql.stdin.flush()
            answer = self.psql.stdout.readline().strip()
            if answer != str(number):
                self.failure = answer
                return
            self.acknowledged = number

    def stop(self):
        self.stopping.set()
        self.join(30)
        self.psql.stdin.close()
        self.psql.wait(10)


def start_database(own, registry):
    Images(own.engine, registry).have("postgres")
    own("run", "-d", "--name", "db", "-e", "POSTGRES_PASSWORD=secret", "-v",
        "pgdata:/var/lib/postgresql/data", "postgres")
    postgres.wait_ready(own, "db")
    postgres.query(own, "db", "CREATE TABLE acked (n int PRIMARY KEY)")
    return own.engine.api.container("db")


def test_no_acknowledged_row_is_lost(own, registry):
    engine, api = own.engine, own.engine.api
    before = start_database(own, registry)
    writer = Writer(before["NetworkSettings"]["Networks"]["bridge"]["IPAddress"])
    writer.start()
    for _ in range(5):
        goal = writer.acknowledged + 50
        until(lambda: writer.failure or writer.acknowledged >= goal, "rows are written")
        engine.kill()
        goal = writer.acknowledged + 50
        until(lambda: writer.failure or writer.acknowledged >= goal, "rows are written without a daemon")
        engine.start()
    writer.stop()
    assert writer.failure is None

    after = api.container("db")
    assert after["Id"] == before["Id"] and after["State"]["Running"]
    assert after["State"]["Pid"] == before["State"]["Pid"]
    assert after["State"]["StartedAt"] == before["State"]["StartedAt"]
    rows = {int(row) for row in postgres.query(own, "db", "SELECT n FROM acked")}
    assert set(range(1, writer.acknowledged + 1)) <= rows and writer.acknowledged >= 500

    # And with the server itself killed, from the volume alone.
    own("kill", "db")
    own("rm", "db")
    own("run", "-d", "--name", "db2", "-v", "pgdata:/var/lib/postgresql/data", "postgres")
    postgres.wait_ready(own, "db2")
    rows = {int(row) for row in postgres.query(own, "db2", "SELECT n FROM acked")}
    assert set(range(1, writer.acknowledged + 1)) <= rows


def test_a_container_taken_over_is_whole(own, registry):
    """exec, logs, ports, stop and the exit code of a container whose daemon was killed."""
    engine, api = own.engine, own.engine.api
    Images(engine, registry).have("busybox")
    script = "echo before; trap 'echo after; exit 33' TERM; while :; do sleep 0.05; done"
    own("run", "-d", "--name", "kept", "-v", "data:/d", "-p", "127.0.0.1::80", "busybox", "sh", "-c", script)
    until(lambda: "before" in own("logs", "kept").out, "the trap is set")
    before = api.container("kept")
    engine.kill()
    engine.start()
    after = api.container("kept")
    assert after["State"] == before["State"]
    assert after["NetworkSettings"]["Ports"] == before["NetworkSettings"]["Ports"]
    assert own("exec", "kept", "echo", "inside").out == "inside\n"
    own.fails("volume", "rm", "data", says="volume is in use")
    waiting = own.start("wait", "kept")
    own("stop", "kept")
    assert waiting.communicate(timeout=30)[0] == b"33\n"
    assert own("logs", "kept").lines == ["before", "after"]
    own("rm", "kept")
    own("volume", "rm", "data")


def test_a_terminal_can_be_attached_again(own, registry):
    Images(own.engine, registry).have("busybox")
    own("run", "-dit", "--name", "shell", "busybox")
    own.engine.kill()
    own.engine.start()
    with own.terminal("attach", "shell") as session:
        session.line("echo st''ill; exit 5")
        session.expect("still")
        assert session.wait() == 5
    assert own.engine.api.container("shell")["State"]["ExitCode"] == 5


def test_clean_stop_and_start_keep_containers_too(own, registry):
    engine, api = own.engine, own.engine.api
    Images(engine, registry).have("busybox")
    own("run", "-d", "--name", "kept", "busybox", "sleep", "1000")
    before = api.container("kept")["State"]
    assert engine.stop() == 0
    engine.start()
    assert api.container("kept")["State"] == before


@pytest.mark.holdfast_only("dockerd answers before it knows, and says of some that they run")
def test_what_ended_meanwhile_is_known_from_the_first_answer_on(own, registry):
    engine, api = own.engine, own.engine.api
    Images(engine, registry).have("busybox")
    names = [f"ended{number}" for number in range(15)]
    for name in names:
        own("run", "-d", "--name", name, "-v", f"{name}:/d", "busybox", "sleep", "1000")
    pids = [api.container(name)["State"]["Pid"] for name in names]
    engine.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not engine.processes(), "their monitors have ended too")
    engine.start()
    assert [entry for entry in api.containers() if entry["State"] != "exited"] == []
    # While what the others ran on is still being taken down. 304 would say that it runs already.
    assert api.post(f"/containers/{names[-1]}/start").status == 204
    assert own("exec", names[-1], "cat", "/proc/1/comm").out == "sleep\n"
    assert {api.container(name)["State"]["ExitCode"] for name in names[:-1]} == {137}


@pytest.mark.holdfast_only("dockerd has containerd between")
def test_fifty_containers_are_taken_over_quickly(own, registry):
    engine, api = own.engine, own.engine.api
    Images(engine, registry).have("busybox")
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"}}
    for _ in range(50):
        identity = api.post("/containers/create", body).json["Id"]
        assert api.post(f"/containers/{identity}/start").status == 204
    pids = {c["Id"]: api.container(c["Id"])["State"]["Pid"] for c in api.containers()}
    engine.kill()
    engine.start()
    assert {c["Id"]: api.container(c["Id"])["State"]["Pid"] for c in api.containers()} == pids
    assert len(api.containers(all=False)) == 50
