"""exec: streams, codes, users, directories, terminals."""

import pytest
from waiting import until


@pytest.fixture
def box(cli):
    cli("run", "-d", "--name", "box", "-e", "INHERITED=yes", "-w", "/tmp", "busybox", "sleep", "1000")
    return cli


def test_streams_and_code(box):
    output = box("exec", "box", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert (output.out, output.err) == ("out\n", "err\n")


def test_inherits_environment_and_directory(box):
    assert box("exec", "box", "sh", "-c", "echo $INHERITED; pwd").lines == ["yes", "/tmp"]


def test_user_directory_and_environment(box):
    flags = ["-u", "1000:7", "-w", "/etc", "-e", "A=b c"]
    script = "id -u; id -g; pwd; echo $A"
    assert box("exec", *flags, "box", "sh", "-c", script).lines == ["1000", "7", "/etc", "b c"]


def test_standard_input(box):
    data = b"x" * 3_000_000
    assert box("exec", "-i", "box", "wc", "-c", input=data).out == "3000000\n"


def test_without_i_standard_input_is_empty(box):
    assert box("exec", "box", "cat", input=b"no").out == ""


def test_large_binary_output(box):
    output = box("exec", "box", "dd", "if=/dev/zero", "bs=1M", "count=8")
    assert len(output.raw_out) == 8 << 20


def test_detached(box):
    assert box("exec", "-d", "box", "sh", "-c", "echo done >/tmp/marker").out == ""
    box("exec", "box", "sh", "-c", "until [ -s /tmp/marker ]; do sleep 0.02; done; cat /tmp/marker",
        timeout=20)


def test_terminal(box):
    with box.terminal("exec", "-it", "box", "sh", rows=33, columns=111) as session:
        session.expect("# ")
        session.line("stty size")
        session.expect("33 111")
        session.resize(44, 122)
        session.line("until [ \"$(stty size)\" = '44 122' ]; do sleep 0.05; done; echo re''sized")
        session.expect("resized", 15)
        session.line("exit 5")
        assert session.wait() == 5


def test_command_not_found(box, engine):
    code = 126 if engine.kind == "dockerd" else 127  # since Docker 23
    says = "executable file not found in $PATH"
    box.fails("exec", "box", "no-such-command", code=code, says=says)


def test_not_executable(box):
    box.fails("exec", "box", "/etc/passwd", code=126, says="permission denied")


def test_unknown_user(box):
    box.fails("exec", "-u", "nobody-here", "box", "true", says="no matching entries in passwd file")


def test_not_running(cli):
    cli("create", "--name", "still", "busybox")
    cli.fails("exec", "still", "true", code=1, says="is not running")


def test_no_such_container(cli):
    cli.fails("exec", "nobody", "true", code=1, says="No such container: nobody")


def test_privileged(box, host_capabilities):
    normal = box("exec", "box", "grep", "CapEff", "/proc/self/status").out
    privileged = box("exec", "--privileged", "box", "grep", "CapEff", "/proc/self/status").out
    assert int(privileged.split()[1], 16) > int(normal.split()[1], 16)


def test_inspect_of_a_finished_exec(box, api):
    created = api.post("/containers/box/exec", {"Cmd": ["sh", "-c", "exit 4"], "AttachStdout": True})
    assert created.status == 201
    identity = created.json["Id"]
    assert api.post(f"/exec/{identity}/start", {"Detach": False, "Tty": False}).status == 200
    document = api.get(f"/exec/{identity}/json").json
    assert (document["Running"], document["ExitCode"]) == (False, 4)
    assert document["ProcessConfig"]["entrypoint"] == "sh"


def test_exec_ends_with_its_container(box):
    session = box.start("exec", "box", "sleep", "1000")
    until(lambda: box("top", "box").out.count("sleep 1000") == 2, "the command runs")
    box("rm", "-f", "box")
    session.communicate(timeout=20)
    assert session.returncode != 0
