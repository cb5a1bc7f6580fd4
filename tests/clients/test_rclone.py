"""A volume plugin as the world has it: `rclone serve docker`, with encrypted files in a directory, on an
SFTP server and on a WebDAV server, all on this machine."""

import json
import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from engine import Engine
from fuse import needs_fuse
from images import Images
from sftp import Sftp, free_port, listens
from waiting import until

pytestmark = [
    pytest.mark.holdfast_only("its plugin directories can't be chosen"),
    needs_fuse,
]


def run(*words, **options):
    options = {"check": True, "capture_output": True, "text": True, **options}
    return subprocess.run([str(word) for word in words], **options)


class WebDav:
    def __init__(self, directory):
        directory.mkdir()
        self.port = free_port()
        self.process = subprocess.Popen(
            ["rclone", "serve", "webdav", "--addr", f"127.0.0.1:{self.port}", str(directory)],
            stderr=subprocess.DEVNULL,
        )
        until(lambda: listens(self.port), "the WebDAV server listens", 10)

    def close(self):
        self.process.kill()
        self.process.wait(10)


class Rclone:
    """`rclone serve docker`, on a socket in the engine's plugin directory."""

    def __init__(self, directory, socket_path):
        self.directory, self.socket = directory, socket_path
        self.process = None

    def start(self, *flags):
        log = open(self.directory / "rclone.log", "a")
        self.process = subprocess.Popen(
            [
                *("rclone", "serve", "docker", "--socket-addr", str(self.socket), "-v"),
                *("--config", str(self.directory / "rclone.conf")),
                *("--base-dir", str(self.directory / "mounts"), "--cache-dir", str(self.directory / "cache")),
                *flags,
            ],
            stderr=log,
            stdout=log,
        )
        log.close()
        until(self.answers, lambda: f"rclone listens:\n{(self.directory / 'rclone.log').read_text()}", 20)
        return self

    def answers(self):
        assert self.process.poll() is None, (self.directory / "rclone.log").read_text()
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def stop(self, kill=False):
        self.process.kill() if kill else self.process.terminate()
        self.process.wait(30)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.stop()
        for mount in self.mounts():
            run("umount", "-l", mount, check=False)
        Path(self.socket).unlink(missing_ok=True)

    def mounts(self):
        with open("/proc/self/mountinfo") as table:
            points = [line.split()[4] for line in table]
        return [point for point in points if point.startswith(f"{self.directory}/")]


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """The remotes, and an rclone.conf that names them."""
    directory = tmp_path_factory.mktemp("remotes")
    sftp, webdav = Sftp(directory / "sftp"), WebDav(directory / "webdav")
    secret = run("rclone", "obscure", "correct horse battery staple").stdout.strip()
    user = pwd.getpwuid(os.getuid()).pw_name
    (directory / "rclone.conf").write_text(
        f"[crypt]\ntype = crypt\nremote = {directory}/encrypted\npassword = {secret}\n\n"
        f"[sftp]\ntype = sftp\nhost = 127.0.0.1\nport = {sftp.port}\nuser = {user}\n"
        f"key_file = {directory}/sftp/user\nshell_type = none\n\n"
        f"[dav]\ntype = webdav\nurl = http://127.0.0.1:{webdav.port}\nvendor = other\n"
    )
    (directory / "encrypted").mkdir()
    (directory / "files").mkdir()
    yield directory
    sftp.close()
    webdav.close()


@pytest.fixture(scope="module")
def plugin_engine(registry, tmp_path_factory):
    directory = tmp_path_factory.mktemp("engine-with-rclone")
    (directory / "plugins").mkdir()
    config = directory / "daemon.json"
    config.write_text(json.dumps({"plugin-directories": [str(directory / "plugins")], "plugin-timeout": 30}))
    engine = Engine(**{"config-file": config})
    engine.plugins = directory / "plugins"
    try:
        engine.start()
        images = Images(engine, registry)
        images.have("busybox")
        yield engine
    finally:
        engine.close()


@pytest.fixture
def engine(plugin_engine):
    yield plugin_engine
    assert plugin_engine.alive(), plugin_engine.log_tail()


@pytest.fixture
def rclone(engine, servers, tmp_path):
    shutil.copy(servers / "rclone.conf", tmp_path)
    (tmp_path / "mounts").mkdir()
    rclone = Rclone(tmp_path, engine.plugins / "rclone.sock").start()
    yield rclone
    engine.remove_everything()
    rclone.close()


def remotes(servers):
    """Options of a volume on each remote, and where the server has its files."""
    return {
        "crypt": (["-o", "remote=crypt:data"], servers / "encrypted"),
        "sftp": (["-o", f"remote=sftp:{servers}/files"], servers / "files"),
        "webdav": (["-o", "remote=dav:"], servers / "webdav"),
    }


@pytest.mark.parametrize("remote", ["crypt", "sftp", "webdav"])
def test_run_restart_of_both_and_rm(docker, engine, rclone, servers, remote):
    options, files = remotes(servers)[remote]
    cached = ["-o", "vfs-cache-mode=writes", "-o", "vfs-write-back=0", "-o", "poll-interval=0"]
    docker("volume", "create", "-d", "rclone", *options, *cached, "data")
    assert docker("volume", "inspect", "-f", "{{.Driver}} {{.Scope}}", "data").out == "rclone local\n"

    docker("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo one >/d/f && cat /d/f")
    assert rclone.mounts() == []
    stored = [path for path in files.rglob("*") if path.is_file()]
    assert stored and any(b"one\n" in path.read_bytes() for path in stored) == (remote != "crypt")
    assert docker("run", "--rm", "-v", "data:/d", "busybox", "cat", "/d/f").out == "one\n"

    # A container that runs on while the daemon is away, and has its volume.
    docker("run", "-d", "--name", "user", "-v", "data:/d", "busybox", "sleep", "1d")
    assert len(rclone.mounts()) == 1
    engine.kill()
    engine.start()
    docker("exec", "user", "sh", "-c", "cat /d/f && echo two >/d/g")
    assert len(rclone.mounts()) == 1
    (mount,) = engine.api.container("user")["Mounts"]
    assert mount["Source"] == rclone.mounts()[0]
    docker.fails("volume", "rm", "data", says="volume is in use")

    # Without the plugin nothing hangs and nothing is lost.
    rclone.stop()
    assert docker("volume", "ls", "-q").lines == ["data"] and docker("ps", "-q").lines
    docker.fails("run", "--rm", "-v", "data:/d", "busybox", "true", says='plugin "rclone" not found')
    rclone.start()
    until(lambda: docker("volume", "inspect", "data", code=None).code == 0, "it is used again")

    # What the old plugin had mounted is dead in the container; one started anew has it again.
    docker("restart", "-t", "0", "user")
    assert docker("exec", "user", "cat", "/d/f", "/d/g").out == "one\ntwo\n"
    docker("rm", "-f", "user")
    until(lambda: rclone.mounts() == [], lambda: f"all is unmounted: {rclone.mounts()}")
    assert docker("run", "--rm", "-v", "data:/d", "busybox", "cat", "/d/g").out == "two\n"

    docker("volume", "rm", "data")
    assert docker("volume", "ls", "-q").lines == []
    assert [path for path in files.rglob("*") if path.is_file()]  # rclone forgets the volume, not the files


def test_a_plugin_that_was_killed_and_has_forgotten_everything(docker, engine, rclone):
    options = ["-o", "remote=crypt:killed", "-o", "vfs-cache-mode=writes", "-o", "vfs-write-back=0"]
    docker("volume", "create", "-d", "rclone", *options, "data")
    docker("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept >/d/f")
    docker("run", "-d", "--name", "user", "-v", "data:/d", "busybox", "sleep", "1d")
    rclone.stop(kill=True)
    for path in rclone.mounts():
        run("umount", "-l", path)
    rclone.start("--forget-state")
    until(lambda: engine.api.get("/plugins").json[0]["Enabled"], "it answers again")
    assert docker("run", "--rm", "-v", "data:/d", "busybox", "cat", "/d/f").out == "kept\n"
    docker("restart", "-t", "0", "user")
    assert docker("exec", "user", "cat", "/d/f").out == "kept\n"
    docker("rm", "-f", "user")
    docker("volume", "rm", "data")


def test_first_use_fills_an_encrypted_volume(docker, engine, rclone):
    # No symlinks: rclone has none.
    docker("run", "--name", "maker", "busybox", "sh", "-c",
           "mkdir -p /data/deep && echo 1 >/data/one && echo 2 >/data/deep/two && chmod 600 /data/one")
    docker("commit", "maker", "plain")
    cached = ["-o", "remote=crypt:filled", "-o", "vfs-cache-mode=full", "-o", "vfs-write-back=0"]
    docker("volume", "create", "-d", "rclone", *cached, "filled")
    docker("run", "--rm", "-v", "filled:/data", "plain", "true")
    found = docker("run", "--rm", "-v", "filled:/d", "busybox", "sh", "-c", "cd /d && find . -type f | sort | xargs cat && ls -A")
    assert found.lines == ["2", "1", "deep", "one"]
    docker("volume", "rm", "filled")
    docker("rm", "maker")
    docker("rmi", "plain")


def test_two_containers_share_a_mount(docker, engine, rclone, servers):
    docker("volume", "create", "-d", "rclone", "-o", f"remote=sftp:{servers}/files", "-o",
           "vfs-cache-mode=writes", "data")
    for name in ("one", "two"):
        docker("run", "-d", "--name", name, "-v", "data:/d", "busybox", "sleep", "1d")
    assert len(rclone.mounts()) == 1
    docker("exec", "one", "sh", "-c", "echo shared >/d/s")
    until(lambda: docker("exec", "two", "cat", "/d/s", code=None).out == "shared\n", "the other sees it")
    docker("rm", "-f", "one")
    assert docker("exec", "two", "cat", "/d/s").out == "shared\n"
    docker("rm", "-f", "two")
    until(lambda: rclone.mounts() == [], "it is unmounted after the last")
    docker("volume", "rm", "data")
