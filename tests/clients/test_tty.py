"""Containers in a real pseudo-terminal."""

import pytest
from waiting import until

PROMPT = r"# (\x1b\[6n)?"


def test_typing(cli):
    with cli.terminal("run", "--rm", "-it", "busybox") as session:
        session.expect(PROMPT)
        session.line("echo he''llo; tty")
        session.expect("hello\r\n/dev/(pts/0|console)")
        session.line("exit 3")
        assert session.wait() == 3


def test_size_from_the_start_and_after_a_resize(cli):
    with cli.terminal("run", "--rm", "-it", "busybox", rows=31, columns=101) as session:
        session.expect(PROMPT)
        session.line("until [ \"$(stty size)\" = '31 101' ]; do sleep 0.05; done; echo fi''rst")
        session.expect("first")
        session.resize(47, 133)
        session.line("until [ \"$(stty size)\" = '47 133' ]; do sleep 0.05; done; echo sec''ond")
        session.expect("second")


def test_interrupt(cli):
    with cli.terminal("run", "--rm", "-it", "busybox") as session:
        session.expect(PROMPT)
        session.line("sleep 1000")
        session.expect("sleep 1000")
        until(lambda: "sleep 1000" in cli("top", cli("ps", "-q").out.strip()).out, "sleep runs")
        session.type("\x03")
        session.expect(PROMPT)
        session.line("echo code $?")
        session.expect("code 130\r\n/ # ")
        session.type("\x04")
        assert session.wait() == 0


def test_interrupt_of_the_first_process(cli):
    script = "trap 'echo caught; exit 9' INT; echo re''ady; while :; do sleep 0.05; done"
    with cli.terminal("run", "--rm", "-it", "busybox", "sh", "-c", script) as session:
        session.expect("ready")
        session.type("\x03")
        session.expect("caught")
        assert session.wait() == 9


def test_detach_and_attach(cli, api):
    with cli.terminal("run", "-it", "--name", "kept", "busybox") as session:
        session.expect(PROMPT)
        session.line("MARK=remembered; echo s''et")
        session.expect("set")
        session.type("\x10\x11")
        assert session.wait() == 0
    assert api.container("kept")["State"]["Running"]
    with cli.terminal("attach", "kept") as session:
        session.line("echo $MARK")
        session.expect(r"\nremembered")
        session.line("exit 4")
        assert session.wait() == 4


def test_own_detach_keys(cli, api):
    with cli.terminal("run", "-it", "--name", "kept", "--detach-keys", "ctrl-a,x", "busybox") as session:
        session.expect(PROMPT)
        session.type("\x01x")
        assert session.wait() == 0
    assert api.container("kept")["State"]["Running"]


def test_two_terminals_on_one_container(cli):
    cli("run", "-dit", "--name", "shared", "busybox")
    with cli.terminal("attach", "shared") as first, cli.terminal("attach", "shared") as second:
        for session in (first, second):
            session.line("echo atta''ched")
            session.expect("attached")
        first.line("echo from the fi''rst")
        first.expect("from the first")
        second.expect("from the first")
        second.line("echo from the sec''ond")
        first.expect("from the second")


def test_standard_input_that_is_no_terminal(cli):
    cli.fails("run", "--rm", "-it", "busybox", "true", input=b"x", says="not a TTY")


def test_attach_without_a_terminal(cli):
    script = "read line; echo got $line; echo bad >&2; read line; exit 6"
    cli("run", "-di", "--name", "plain", "busybox", "sh", "-c", script)
    process = cli.start("attach", "plain")
    process.stdin.write(b"a line\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"got a line\n"
    assert process.stderr.readline() == b"bad\n"
    process.communicate(b"end\n", timeout=30)
    assert process.returncode == 6


def test_start_with_a_terminal(cli):
    cli("create", "-it", "--name", "later", "busybox")
    with cli.terminal("start", "-ai", "later") as session:
        session.line("echo st''arted; exit 2")
        session.expect("started")
        assert session.wait() == 2


@pytest.mark.parametrize("flag", ["-t", "-it"])
def test_terminal_sets_term(cli, flag):
    with cli.terminal("run", "--rm", flag, "busybox", "sh", "-c", "echo [$TERM]") as session:
        session.expect(r"\[xterm\]")


def test_signals_are_proxied(cli):
    script = "trap 'exit 8' TERM; echo ready; while :; do sleep 0.05; done"
    process = cli.start("run", "--rm", "busybox", "sh", "-c", script)
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 8
