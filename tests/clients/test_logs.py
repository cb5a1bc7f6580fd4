"""logs: both streams, following, ends and times."""

import re
import time

import pytest
from waiting import until

SCRIPT = "for n in 1 2 3 4 5; do echo out $n; done; echo err 1 >&2"


@pytest.fixture
def written(cli):
    cli("run", "--name", "written", "busybox", "sh", "-c", SCRIPT)
    return cli


def test_streams_apart(written):
    output = written("logs", "written")
    assert output.lines == [f"out {n}" for n in range(1, 6)] and output.err == "err 1\n"


def test_tail(written):
    output = written("logs", "--tail", "3", "written")
    assert len(output.lines) + len(output.err.splitlines()) == 3
    assert written("logs", "-n", "0", "written").out == ""
    assert len(written("logs", "--tail", "all", "written").lines) == 5


def test_timestamps_and_since(written):
    lines = written("logs", "-t", "written").lines
    stamps = [line.split()[0] for line in lines]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", stamp) for stamp in stamps)
    assert len(written("logs", "--since", stamps[0], "written").lines) == 5
    assert written("logs", "--since", "2099-01-01T00:00:00Z", "written").out == ""
    assert written("logs", "--until", "2001-01-01T00:00:00Z", "written").out == ""
    assert len(written("logs", "--since", "1h", "written").lines) == 5
    assert len(written("logs", "--since", str(int(time.time()) - 3600), "written").lines) == 5


def test_follow_until_the_end(cli):
    script = "echo first; read line; echo second"
    process = cli.start("run", "-i", "--name", "followed", "busybox", "sh", "-c", script)
    until(lambda: "first" in cli("logs", "followed", code=None).out, "the first line is logged")
    follower = cli.start("logs", "-f", "followed")
    assert follower.stdout.readline() == b"first\n"
    process.communicate(b"go on\n", timeout=30)
    out, _ = follower.communicate(timeout=30)
    assert out == b"second\n"


def test_follow_with_tail(cli):
    cli("run", "-d", "--name", "followed", "busybox", "sh", "-c",
        "for n in 1 2 3; do echo $n; done; until [ -e /go ]; do sleep 0.02; done; echo last")
    until(lambda: cli("logs", "followed").lines == ["1", "2", "3"], "three lines are logged")
    follower = cli.start("logs", "-f", "--tail", "1", "followed")
    assert follower.stdout.readline() == b"3\n"
    cli("exec", "followed", "touch", "/go")
    assert follower.communicate(timeout=30)[0] == b"last\n"


def test_a_line_of_its_own_length(cli):
    script = "dd if=/dev/zero bs=1000 count=200 2>/dev/null | tr '\\0' x; echo; printf unfinished"
    cli("run", "--name", "long", "busybox", "sh", "-c", script)
    assert cli("logs", "long").out == "x" * 200_000 + "\nunfinished"


@pytest.mark.holdfast_only("dockerd's log is JSON, which holds no other bytes than text")
def test_bytes_are_kept(cli):
    cli("run", "--name", "raw", "busybox", "printf", r"\377\000\001\n")
    assert cli("logs", "raw").raw_out == b"\xff\x00\x01\n"


def test_terminal_output_is_logged_raw(cli):
    with cli.terminal("run", "-it", "--name", "tty", "busybox", "echo", "shown") as session:
        session.expect("shown")
        session.wait()
    assert cli("logs", "tty").raw_out == b"shown\r\n"


def test_logs_of_several_runs_follow_each_other(cli):
    cli("run", "--name", "twice", "busybox", "echo", "run")
    cli("start", "-a", "twice")
    assert cli("logs", "twice").lines == ["run", "run"]


def test_no_such_container(cli):
    cli.fails("logs", "nobody", code=1, says="No such container: nobody")
