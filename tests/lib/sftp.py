"""OpenSSH's server on loopback, and what else a test needs for a server of its own."""

import shutil
import socket
import subprocess
from pathlib import Path

from engine import run
from waiting import until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Sftp:
    """OpenSSH's server on loopback with keys of its own, for root by key."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(mode=0o700)
        self.port = free_port()
        for key in ("host", "user"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / key)
        shutil.copy(directory / "user.pub", directory / "authorized")
        config = directory / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\n"
            f"PidFile none\nAuthorizedKeysFile {directory}/authorized\nStrictModes no\n"
            "PasswordAuthentication no\nUsePAM no\nPermitRootLogin prohibit-password\n"
            "Subsystem sftp internal-sftp\n"
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it for its unprivileged part
        self.log = open(directory / "log", "w")
        self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], stderr=self.log)
        until(lambda: listens(self.port), "sshd listens", 10)

    def close(self):
        self.process.kill()
        self.process.wait(10)
        self.log.close()
