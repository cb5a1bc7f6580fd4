"""Restart policies, over exits and over the daemon's own restarts."""

import pytest
from client import Client
from engine import Engine
from images import Images
from waiting import until

FAIL = "echo run >>/v/runs; exit 1"


def runs(cli, volume="count"):
    output = cli("run", "--rm", "-v", f"{volume}:/v", "busybox", "sh", "-c", "cat /v/runs | wc -l", code=None)
    return int(output.out or 0)


def test_no_restart(cli, api):
    cli("run", "-v", "count:/v", "--name", "once", "busybox", "sh", "-c", FAIL, code=1)
    assert api.container("once")["RestartCount"] == 0 and runs(cli) == 1


def test_on_failure_gives_up(cli, api):
    cli("run", "-d", "--restart", "on-failure:2", "-v", "count:/v", "--name", "failing", "busybox",
        "sh", "-c", FAIL)
    until(lambda: api.container("failing")["State"]["Status"] == "exited", "it gave up")
    container = api.container("failing")
    assert container["RestartCount"] == 2 and container["State"]["ExitCode"] == 1
    assert container["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert runs(cli) == 3


def test_on_failure_leaves_success_alone(cli, api):
    cli("run", "-d", "--restart", "on-failure", "--name", "fine", "busybox", "true")
    until(lambda: api.container("fine")["State"]["Status"] == "exited", "it has ended")
    assert api.container("fine")["RestartCount"] == 0


def test_always_until_stopped(cli, api):
    cli("run", "-d", "--restart", "always", "-v", "count:/v", "--name", "ever", "busybox", "sh", "-c",
        "echo run >>/v/runs")
    until(lambda: runs(cli) >= 3, "it runs a third time")
    cli("stop", "ever")
    count = runs(cli)
    assert api.container("ever")["State"]["Status"] == "exited"
    assert runs(cli) == count


def test_stop_ends_a_container_between_two_runs(cli, api):
    cli("run", "-d", "--restart", "always", "--name", "waiting", "busybox", "false")
    until(lambda: api.container("waiting")["State"]["Restarting"], "it waits to be restarted")
    cli("stop", "waiting")
    until(lambda: api.container("waiting")["State"]["Status"] == "exited", "it stays down")


def test_update_of_the_policy(cli, api):
    cli("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    cli("update", "--restart", "unless-stopped", "box")
    assert api.container("box")["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


@pytest.fixture
def own(registry, tmp_path):
    engine = Engine()
    try:
        engine.start()
        Images(engine, registry).have("busybox")
        yield Client("docker", engine, tmp_path)
    finally:
        if not engine.alive():
            engine.start()
        engine.close()


def test_daemon_restart(own):
    """What runs is taken over; what the policy says is started; what was stopped stays so."""
    engine, api = own.engine, own.engine.api
    for name, policy in (("plain", "no"), ("ever", "always"), ("unless", "unless-stopped")):
        own("run", "-d", "--restart", policy, "--name", name, "busybox", "sleep", "1000")
        own("run", "-d", "--restart", policy, "--name", f"{name}-stopped", "busybox", "sleep", "1000")
    own("stop", "-t", "0", "plain-stopped", "ever-stopped", "unless-stopped")
    pids = {name: api.container(name)["State"]["Pid"] for name in ("plain", "ever")}
    own("start", "unless-stopped")
    own("stop", "-t", "0", "unless-stopped")
    engine.kill()
    engine.start()
    for name, pid in pids.items():
        assert api.container(name)["State"]["Pid"] == pid
    until(lambda: api.container("ever-stopped")["State"]["Running"], "always means always")
    assert not api.container("plain-stopped")["State"]["Running"]
    assert not api.container("unless-stopped")["State"]["Running"]


def test_exit_while_the_daemon_is_away(own):
    engine, api = own.engine, own.engine.api
    own("run", "-d", "--name", "ending", "-v", "v1:/v", "busybox", "sh", "-c",
        "until [ -e /v/go ]; do sleep 0.02; done; exit 12")
    mountpoint = api.volumes()["v1"]["Mountpoint"]
    pid = api.container("ending")["State"]["Pid"]
    engine.kill()
    open(f"{mountpoint}/go", "w").close()
    until(lambda: not alive(pid), "the container ends without the daemon")
    engine.start()
    until(lambda: api.container("ending")["State"]["Status"] == "exited", "its end is noticed")
    assert api.container("ending")["State"]["ExitCode"] == 12
    assert own("wait", "ending").out == "12\n"


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
