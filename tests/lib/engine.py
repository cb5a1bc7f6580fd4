"""The engine under test: a daemon of its own with its own roots, socket, bridge and sub-net.

HOLDFAST_TEST_ENGINE chooses it: holdfastd (the default) or dockerd, Debian's, which shows that a
test asks for what Docker does.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from urllib.parse import quote

from api import Api
from waiting import until

SOURCE = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("HOLDFAST_BIN", SOURCE / "build/bin"))
KIND = os.environ.get("HOLDFAST_TEST_ENGINE", "holdfastd")
ANCHORS = ("bridge", "host", "none")

_numbers = count(1)


def run(*command, **options):
    options = {"check": True, "capture_output": True, "text": True, "timeout": 60, **options}
    return subprocess.run(command, **options)


class Engine:
    """One daemon; made stopped. Whoever made it ends it with close(), which removes all of it."""

    def __init__(self, directory=None, kind=KIND, program=None, environment=None, **flags):
        self.kind = kind
        self.program = program  # the command that becomes the daemon; holdfastd's own otherwise
        self.environment = environment
        self.number = next(_numbers)
        self.dir = Path(directory or tempfile.mkdtemp(prefix="holdfast-test-"))
        self.dir.chmod(0o711)  # as /run and /var/lib are: containers of other users come this way
        self.data_root = self.dir / "data"
        self.exec_root = self.dir / "exec"
        self.socket = self.dir / "engine.sock"
        self.log = self.dir / "engine.log"
        self.key_file = self.dir / "keys/secrets.key"
        self.bridge = f"hft{os.getpid() % 100000}n{self.number}"
        self.gateway = f"10.{200 + self.number % 50}.{os.getpid() % 250}.1"
        self.flags = flags
        self.process = None
        self.api = Api(self.socket)

    # What the daemons differ in.

    def command(self):
        common = [
            *("-H", f"unix://{self.socket}", "--data-root", self.data_root),
            *("--exec-root", self.exec_root, "--pidfile", self.dir / "engine.pid"),
            *("--bridge", self.bridge, "--log-level", "info"),
        ]
        extra = [word for name, value in self.flags.items() for word in (f"--{name}", value)]
        if self.kind == "dockerd":
            return ["/usr/sbin/dockerd", "--live-restore", *common, *extra]
        own = ["--bip", f"{self.gateway}/24", "--secrets-key-file", self.key_file]
        return [*(self.program or [BIN / "holdfastd"]), *common, *own, *extra]

    def prepare(self):
        """dockerd wants a bridge that is there; holdfastd makes its own."""
        if self.kind == "dockerd":
            # A containerd that died with its dockerd may stay a zombie and look alive.
            (self.exec_root / "containerd/containerd.pid").unlink(missing_ok=True)
            if run("ip", "link", "show", self.bridge, check=False).returncode:
                run("ip", "link", "add", self.bridge, "type", "bridge")
                run("ip", "address", "add", f"{self.gateway}/24", "dev", self.bridge)
            run("ip", "link", "set", self.bridge, "up")

    # Life.

    @property
    def pid(self):
        return self.process.pid

    def spawn(self):
        """Starts the daemon and returns without waiting for it to answer."""
        self.prepare()
        (self.dir / "engine.pid").unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **(self.environment or {})},
            )
        return self

    def start(self, deadline=60):
        self.spawn()
        self.wait_ready(deadline)
        return self

    def wait_ready(self, deadline=60):
        def answers():
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended by itself:\n{self.log_tail()}")
            return self.api.ping()

        until(answers, lambda: f"{self.kind} answers; its log:\n{self.log_tail()}", deadline)

    def stop(self, deadline=60):
        """A clean stop, as a service manager does it."""
        self.process.terminate()
        code = self.process.wait(deadline)
        self.process = None
        return code

    def kill(self):
        """kill -9 of the daemon alone; its containers must live on."""
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log_tail(self, lines=30):
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def use_the_bridge(self):
        """Once, so that what is set up with the first container is not taken for a leak later."""
        body = {"Image": "busybox", "Cmd": ["true"]}
        identity = self.api.post("/containers/create", body).json["Id"]
        for verb, status in (("start", 204), ("wait", 200)):
            answer = self.api.post(f"/containers/{identity}/{verb}")
            assert answer.status == status, answer.body
        assert self.api.delete(f"/containers/{identity}").status == 204

    # Cleaning.

    def remove_everything(self):
        """No containers, volumes, secrets or networks of users, as at the start."""
        for container in self.api.containers():
            self.api.delete(f"/containers/{container['Id']}", force=1, v=1)
        for network in self.api.networks():
            if network["Name"] not in ANCHORS:
                self.api.delete(f"/networks/{network['Id']}")
        for name in self.api.volumes():
            self.api.delete(f"/volumes/{quote(name, safe='')}")
        if self.kind == "holdfastd":
            for name in self.api.secrets():
                self.api.delete(f"/secrets/{name}")

    def processes(self):
        """Processes that name this engine's folders: monitors, shims, the daemon itself."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if f"{self.dir}/" in words:
                found[int(entry.name)] = words
        return found

    def close(self):
        """Ends whatever still runs and removes every trace; for the end of a test."""
        try:
            if self.alive():
                self.remove_everything()
                self.stop()
        finally:
            self.sweep()

    def sweep(self):
        """Ends the engine's processes, containers and all, and removes its mounts and files."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        until(lambda: not self.processes(), "the engine's processes are gone", 10)
        for mount in reversed(self.mounts()):
            run("umount", "-l", mount, check=False)
        run("ip", "link", "delete", self.bridge, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def mounts(self):
        with open("/proc/self/mountinfo") as table:
            points = [line.split()[4] for line in table]
        points = [point for point in points if point.startswith(f"{self.dir}/")]
        if self.kind == "dockerd":  # which keeps its own namespace by name once that was asked for
            points = [point for point in points if not point.endswith("/netns/default")]
        return points
