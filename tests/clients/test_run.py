"""The flags of run and create, one by one, seen from inside the container."""

import json
import re

import pytest
from waiting import until


def shell(cli, *flags, script, image="busybox", **options):
    return cli("run", "--rm", "--network", "none", *flags, image, "sh", "-c", script, **options)


@pytest.mark.parametrize(
    "flags, script, expected",
    [
        (["-e", "A=1", "-e", "B=two words"], "echo $A $B", "1 two words"),
        (["-e", "TAKEN"], "echo $TAKEN", "from the host"),
        (["-w", "/some/where"], "pwd", "/some/where"),
        (["-u", "1000:2000"], "echo $(id -u):$(id -g)", "1000:2000"),
        (["-u", "1000"], "id -g", "0"),
        (["-u", "1000", "--group-add", "77"], "id -G", "0 77"),
        (["--hostname", "db.example"], "hostname", "db.example"),
        (["--entrypoint", "echo"], "given", "sh -c given"),
        (["--shm-size", "8m"], "df -k /dev/shm | tail -1 | awk '{print $2}'", "8192"),
        (["--ulimit", "nofile=77:99"], "ulimit -Sn; ulimit -Hn", "77\n99"),
        (["--init"], "tr '\\0' ' ' </proc/1/cmdline | grep -c init", "1"),
        (["--tmpfs", "/t:size=1m,mode=0711"], "stat -c %a /t; df -k /t | tail -1 | awk '{print $2}'",
         "711\n1024"),
        (["--sysctl", "net.ipv4.ip_default_ttl=77"], "cat /proc/sys/net/ipv4/ip_default_ttl", "77"),
        (["--oom-score-adj", "321"], "cat /proc/self/oom_score_adj", "321"),
        (["--add-host", "db:10.9.8.7"], "grep -c '^10.9.8.7[[:space:]]db$' /etc/hosts", "1"),
        (["--device", "/dev/null:/dev/mine"], "test -c /dev/mine && echo yes", "yes"),
        (["--read-only"], "touch /x 2>/dev/null || echo refused", "refused"),
        (["--read-only", "--tmpfs", "/t"], "touch /t/x && echo fine", "fine"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_flag(cli, flags, script, expected):
    output = shell(cli, *flags, script=script, env={"TAKEN": "from the host"})
    assert output.out == expected + "\n"


def test_environment_file(cli, tmp_path):
    (tmp_path / "env").write_text("# comment\nA=1\nB=x=y\nTAKEN\n")
    output = shell(cli, "--env-file", tmp_path / "env", script="echo $A $B $TAKEN",
                   env={"TAKEN": "host"})
    assert output.out == "1 x=y host\n"


def test_default_environment(cli):
    words = shell(cli, script="echo $PATH; echo $HOME; hostname").lines
    assert words[:2] == ["/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "/root"]
    assert re.fullmatch(r"[0-9a-f]{12}", words[2])


def capabilities(cli, *flags):
    return int(shell(cli, *flags, script="grep CapEff /proc/self/status").out.split()[1], 16)


def test_capabilities(cli):
    net_admin, chown = 1 << 12, 1
    default = capabilities(cli)
    assert default == 0xA80425FB
    assert capabilities(cli, "--cap-add", "NET_ADMIN") == default | net_admin
    assert capabilities(cli, "--cap-drop", "CHOWN") == default & ~chown
    assert capabilities(cli, "--cap-drop", "ALL", "--cap-add", "cap_chown") == chown


def test_privileged(cli, host_capabilities):
    assert capabilities(cli, "--privileged") == host_capabilities
    assert shell(cli, "--privileged", script="ls /dev/kmsg").out == "/dev/kmsg\n"
    assert shell(cli, "--privileged", script="grep Seccomp: /proc/self/status").out.split()[1] == "0"


def test_security_options(cli):
    status = "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status"
    assert shell(cli, script=status).out.split() == ["NoNewPrivs:", "0", "Seccomp:", "2"]
    open_flags = ["--security-opt", "seccomp=unconfined", "--security-opt", "no-new-privileges"]
    assert shell(cli, *open_flags, script=status).out.split() == [
        *("NoNewPrivs:", "1"),
        *("Seccomp:", "0"),
    ]


def test_kernel_files_are_masked(cli):
    script = "cat /proc/kcore 2>/dev/null | wc -c; ls /sys/firmware; echo x >/proc/sys/kernel/domainname"
    output = shell(cli, script=script, code=1)
    assert output.lines == ["0"] and "Read-only file system" in output.err


def test_resources_reach_the_cgroup(cli, api):
    flags = ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "50"]
    cli("run", "-d", "--name", "limited", *flags, "busybox", "sleep", "1000")
    host = api.container("limited")["HostConfig"]
    assert host["Memory"] == 64 << 20
    assert host["NanoCpus"] == 500000000
    assert host["PidsLimit"] == 50
    limits = "cat /sys/fs/cgroup/memory.max || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
    assert str(64 << 20) in cli("exec", "limited", "sh", "-c", limits).lines
    limits = "cat /sys/fs/cgroup/pids.max || cat /sys/fs/cgroup/pids/pids.max"
    assert "50" in cli("exec", "limited", "sh", "-c", limits).lines
    cli("update", "--memory", "128m", "--memory-swap", "256m", "limited")
    assert api.container("limited")["HostConfig"]["Memory"] == 128 << 20
    limits = "cat /sys/fs/cgroup/memory.max || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
    assert str(128 << 20) in cli("exec", "limited", "sh", "-c", limits).lines


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exit_code(cli, code):
    shell(cli, script=f"exit {code}", code=code)


def test_killed_by_a_signal(cli):
    cli("run", "-d", "--name", "killed", "busybox", "sleep", "1000")
    waiting = cli.start("wait", "killed")
    cli("kill", "killed")
    assert waiting.communicate(timeout=30)[0] == b"137\n"


def test_streams_are_apart(cli):
    output = shell(cli, script="echo out; echo err >&2")
    assert (output.out, output.err) == ("out\n", "err\n")


def test_standard_input(cli):
    data = bytes(range(256)) * 4096
    assert cli("run", "--rm", "-i", "busybox", "cat", input=data).raw_out == data


def test_half_closed_standard_input_reaches_the_container(cli):
    output = cli("run", "--rm", "-i", "busybox", "sh", "-c", "cat >/dev/null; echo ended",
                 input=b"data")
    assert output.out == "ended\n"


def test_without_i_standard_input_is_empty(cli):
    assert cli("run", "--rm", "busybox", "cat", input=b"not for it").out == ""


def test_large_output_comes_whole(cli):
    script = "dd if=/dev/zero bs=1M count=20 2>/dev/null | tr '\\0' x"
    assert len(shell(cli, script=script).raw_out) == 20 << 20


def test_detached_prints_the_id_and_rm_removes(cli, api):
    identity = cli("run", "-d", "--rm", "busybox", "sleep", "1000").out.strip()
    assert re.fullmatch("[0-9a-f]{64}", identity)
    assert api.container(identity)["State"]["Running"]
    cli("stop", "-t", "0", identity)
    until(lambda: not api.containers(), "the container is removed by itself")


def test_names_and_labels(cli, api):
    cli("create", "--name", "named", "--label", "a=1", "-l", "b", "busybox", "true")
    container = api.container("named")
    assert container["Name"] == "/named"
    assert container["Config"]["Labels"] == {"a": "1", "b": ""}
    assert container["State"]["Status"] == "created"
    cli("rename", "named", "other")
    assert api.container("other")["Id"] == container["Id"]
    assert cli("start", "-a", "other").code == 0
    assert api.container("other")["State"]["Status"] == "exited"


def test_cidfile(cli, tmp_path):
    cli("run", "--cidfile", tmp_path / "cid", "busybox", "true")
    assert len((tmp_path / "cid").read_text()) == 64


def test_generated_names_differ(cli, api):
    cli("create", "busybox")
    cli("create", "busybox")
    names = {container["Names"][0] for container in api.containers()}
    assert len(names) == 2 and all(re.fullmatch("/[a-z]+_[a-z]+[0-9]*", name) for name in names)


def test_stop_signal_and_timeout(cli, api):
    script = "trap 'echo usr1; exit 5' USR1; echo ready; while :; do sleep 0.05; done"
    cli("run", "-d", "--name", "signalled", "--stop-signal", "USR1", "--stop-timeout", "30",
        "busybox", "sh", "-c", script)
    until(lambda: "ready" in cli("logs", "signalled").out, "the trap is set")
    assert api.container("signalled")["Config"]["StopSignal"] == "USR1"
    assert api.container("signalled")["Config"]["StopTimeout"] == 30
    cli("stop", "signalled")
    assert api.container("signalled")["State"]["ExitCode"] == 5


def test_stop_kills_after_the_timeout(cli, api):
    cli("run", "-d", "--name", "stubborn", "busybox", "sh", "-c",
        "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    until(lambda: "ready" in cli("logs", "stubborn").out, "the trap is set")
    cli("stop", "-t", "1", "stubborn")
    state = api.container("stubborn")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 137)


def test_kill_with_a_signal(cli, api):
    cli("run", "-d", "--name", "hung", "busybox", "sh", "-c",
        "trap 'exit 9' HUP; echo ready; while :; do sleep 0.05; done")
    until(lambda: "ready" in cli("logs", "hung").out, "the trap is set")
    cli("kill", "-s", "HUP", "hung")
    assert cli("wait", "hung").out == "9\n"


def test_start_stop_restart(cli, api):
    cli("run", "-d", "--name", "again", "busybox", "sleep", "1000")
    first = api.container("again")["State"]
    cli("restart", "-t", "0", "again")
    second = api.container("again")["State"]
    assert second["Running"] and second["Pid"] != first["Pid"]
    cli("stop", "-t", "0", "again")
    third = api.container("again")["State"]
    assert third["Pid"] == 0 and third["FinishedAt"] > second["StartedAt"]
    assert cli("start", "again").out == "again\n"
    assert api.container("again")["State"]["Running"]


def test_pause(cli, api):
    cli("run", "-d", "--name", "paused", "busybox", "sh", "-c", "while :; do echo tick; sleep 0.02; done")
    cli("pause", "paused")
    assert api.container("paused")["State"]["Status"] == "paused"
    assert "(Paused)" in cli("ps").out
    cli.fails("exec", "paused", "true", says="paused")
    cli("unpause", "paused")
    assert api.container("paused")["State"]["Status"] == "running"


def test_top(cli):
    cli("run", "-d", "--name", "topped", "busybox", "sleep", "1000")
    lines = cli("top", "topped").lines
    assert lines[0].split()[:2] == ["UID", "PID"] and "sleep 1000" in lines[1]
    assert cli("top", "topped", "-o", "pid,comm").lines[1].split()[1] == "sleep"


def test_wait_for_a_running_container(cli):
    script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    cli("run", "-d", "--name", "waited", "busybox", "sh", "-c", script)
    until(lambda: "ready" in cli("logs", "waited").out, "the trap is set")
    waiting = cli.start("wait", "waited")
    cli("kill", "-s", "TERM", "waited")
    out, _ = waiting.communicate(timeout=30)
    assert out == b"7\n"


def test_diff(cli):
    cli("run", "--name", "changed", "busybox", "sh", "-c", "echo x >/etc/new; rm /etc/passwd; touch /root/r")
    lines = cli("diff", "changed").lines
    assert {"C /etc", "A /etc/new", "D /etc/passwd", "A /root/r"} <= set(lines)
    assert not any(line.endswith(("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")) for line in lines)


def test_pid_and_ipc_of_another_container(cli):
    cli("run", "-d", "--name", "one", "busybox", "sleep", "1234")
    output = cli("run", "--rm", "--pid", "container:one", "busybox", "ps", "-o", "args")
    assert "sleep 1234" in output.lines


def test_host_namespaces(cli):
    # Processes end while ls looks at them, which it takes amiss: only what it lists counts.
    listing = cli("run", "--rm", "--pid", "host", "busybox", "sh", "-c", "ls /proc 2>/dev/null; true")
    assert len(listing.lines) > 60


def test_inspect_has_what_clients_read(cli, api, engine):
    cli("run", "-d", "--name", "looked", "-p", "127.0.0.1::80", "-v", "vol:/v:ro", "busybox", "sleep", "9")
    (document,) = json.loads(cli("inspect", "looked").out)
    assert document["Path"] == "sleep" and document["Args"] == ["9"]
    assert document["State"]["Status"] == "running" and document["State"]["Pid"] > 0
    assert re.fullmatch("sha256:[0-9a-f]{64}", document["Image"])
    assert document["Config"]["Image"] == "busybox"
    (mount,) = document["Mounts"]
    assert (mount["Type"], mount["Name"], mount["Destination"]) == ("volume", "vol", "/v")
    assert mount["RW"] is False and mount["Driver"] == "local"
    (port,) = document["NetworkSettings"]["Ports"]["80/tcp"]
    assert port["HostIp"] == "127.0.0.1" and int(port["HostPort"]) > 0
    network = document["NetworkSettings"]["Networks"]["bridge"]
    assert network["Gateway"] == engine.gateway and network["IPPrefixLen"] == 24
    assert cli("inspect", "-f", "{{.State.Running}} {{.HostConfig.NetworkMode}}", "looked").out in (
        "true default\n",
        "true bridge\n",
    )
    assert cli("port", "looked").out.startswith("80/tcp -> 127.0.0.1:")


def test_ps_and_its_filters(cli):
    cli("run", "-d", "--name", "up", "--label", "kind=a", "-v", "vol:/v", "busybox", "sleep", "1000")
    cli("run", "--name", "failed", "--label", "kind=b", "busybox", "false", code=1)
    cli("create", "--name", "new", "busybox")

    def names(*filters, all="-a"):
        words = [word for text in filters for word in ("--filter", text)]
        return sorted(cli("ps", all, *words, "--format", "{{.Names}}").lines)

    assert names(all="--no-trunc") == ["up"]
    assert names() == ["failed", "new", "up"]
    assert names("status=running") == ["up"]
    assert names("status=exited") == ["failed"]
    assert names("status=created") == ["new"]
    assert names("status=created", "status=running") == ["new", "up"]
    assert names("exited=1") == ["failed"]
    assert names("name=^/?f") == ["failed"]
    assert names("label=kind") == ["failed", "up"]
    assert names("label=kind=a") == ["up"]
    assert names("volume=vol") == ["up"]
    assert names("volume=/v") == ["up"]
    assert names("ancestor=busybox") == ["failed", "new", "up"]
    assert names("before=failed") == ["up"]
    assert names("since=failed") == ["new"]
    assert names("network=bridge", all="--no-trunc") == ["up"]
    assert cli("ps", "-lq").lines == cli("ps", "-aqf", "name=new").lines
    assert cli("ps", "-n", "2", "--format", "{{.Names}}").lines == ["new", "failed"]
    table = cli("ps", "-as").lines
    assert table[0].split()[0:3] == ["CONTAINER", "ID", "IMAGE"] and table[0].endswith("SIZE")
    row = next(line for line in table if " failed" in line)
    assert "Exited (1)" in row and '"false"' in row and "virtual" in row
    cli.fails("ps", "--filter", "nonsense=1", says=("invalid filter 'nonsense'", "Invalid filter 'nonsense'"))


def test_rm(cli, api):
    cli("run", "-d", "--name", "busy", "busybox", "sleep", "1000")
    cli.fails("rm", "busy", code=1, says=("container is running", "cannot remove a running"))
    cli("rm", "-f", "busy")
    assert api.containers() == []


def test_container_prune(cli, api):
    cli("run", "-d", "--name", "kept", "busybox", "sleep", "1000")
    cli("create", "busybox")
    cli("run", "busybox", "true")
    pruned = cli("container", "prune", "-f")
    assert "Deleted Containers:" in pruned.out and "Total reclaimed space:" in pruned.out
    assert [container["Names"] for container in api.containers()] == [["/kept"]]


def test_export(cli, tmp_path):
    cli("run", "--name", "exported", "-v", "vol:/v", "busybox", "sh", "-c", "echo in >/file; echo no >/v/f")
    cli("export", "-o", tmp_path / "e.tar", "exported")
    import tarfile

    with tarfile.open(tmp_path / "e.tar") as tar:
        assert tar.extractfile("file").read() == b"in\n"
        assert "v/f" not in tar.getnames()
        assert "bin/busybox" in tar.getnames() or "bin/sh" in tar.getnames()


def test_init_reaps_and_forwards(cli):
    cli("run", "-d", "--name", "init", "--init", "busybox", "sleep", "1000")
    cli("stop", "-t", "20", "init", timeout=15)


def test_hundred_layers(cli, images):
    images.have("manylayers")
    cli("run", "--rm", "manylayers")


def test_whiteouts(cli, images):
    images.have("whiteouts")
    assert "as expected" in cli("run", "--rm", "whiteouts").out


def test_only_three_descriptors_are_open(cli):
    assert shell(cli, script="ls /proc/self/fd | wc -l").out == "4\n"  # and ls's own


def test_working_directory_cannot_be_a_leaked_descriptor(cli):
    for number in range(3, 12):
        output = cli("run", "--rm", "-w", f"/proc/self/fd/{number}", "busybox", "pwd", code=None)
        assert output.code != 0 or output.out.startswith("/proc/self/fd"), output


def test_health_check(cli, api):
    flags = ["--health-cmd", "test -e /ok", "--health-interval", "100ms", "--health-retries", "2"]
    cli("run", "-d", "--name", "checked", *flags, "busybox", "sleep", "1000")
    until(lambda: api.container("checked")["State"]["Health"]["Status"] == "unhealthy", "unhealthy")
    cli("exec", "checked", "touch", "/ok")
    until(lambda: api.container("checked")["State"]["Health"]["Status"] == "healthy", "healthy")
    assert "(healthy)" in cli("ps").out
