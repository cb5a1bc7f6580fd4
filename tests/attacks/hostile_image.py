"""Images with whatever an attacker would put into one, made in memory and loaded."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

APPLETS = ("cat", "chmod", "dd", "echo", "find", "grep", "head", "id", "ln", "ls", "mkdir", "mkfifo", "mknod",
           "mv", "od", "pwd", "readlink", "rm", "sh", "sleep", "stat", "sync", "touch", "true", "wc")


class HostileImage:
    """Layers of busybox and of what is added; kept in the order it was added."""

    def __init__(self, **config):
        self.config = {"Cmd": ["true"], **config}
        self.members = []
        self.directory("bin")
        self.file("bin/busybox", Path("/bin/busybox").read_bytes(), 0o755)
        for name in APPLETS:
            self.symlink(f"bin/{name}", "busybox")

    def add(self, name, type, mode, data=b"", **fields):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size = type, mode, len(data)
        for field, value in fields.items():
            setattr(info, field, value)
        self.members.append((info, data))
        return self

    def directory(self, name, mode=0o755, **fields):
        return self.add(name, tarfile.DIRTYPE, mode, **fields)

    def file(self, name, data=b"", mode=0o644, **fields):
        return self.add(name, tarfile.REGTYPE, mode, data, **fields)

    def symlink(self, name, target, **fields):
        return self.add(name, tarfile.SYMTYPE, 0o777, linkname=str(target), **fields)

    def fifo(self, name, mode=0o644, **fields):
        return self.add(name, tarfile.FIFOTYPE, mode, **fields)

    def layer(self):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for info, data in self.members:
                tar.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    def archive(self, name):
        """As `docker load` takes it."""
        layer = self.layer()
        config = json.dumps({
            "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"], **self.config},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }).encode()
        manifest = [{"Config": "config.json", "RepoTags": [f"{name}:latest"], "Layers": ["layer.tar"]}]
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path, data in (("layer.tar", layer), ("config.json", config),
                               ("manifest.json", json.dumps(manifest).encode())):
                info = tarfile.TarInfo(path)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    def load(self, api, name):
        answer = api.call("POST", "/images/load", self.archive(name), {"Content-Type": "application/x-tar"})
        assert answer.status == 200 and b'"error"' not in answer.body, answer.body
        return name


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()
