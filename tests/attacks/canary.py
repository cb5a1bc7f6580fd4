"""Files outside of every volume, which no attack may read, change, add to or take away."""

import hashlib
import os
import secrets
import stat
from pathlib import Path

# Directories of the host in which a daemon that was led astray would leave something.
HOST = ("/etc", "/media", "/mnt", "/opt", "/srv", "/usr/local", "/var")


class Canary:
    """A directory of them; `token` is what its secrets say, and appears nowhere else."""

    def __init__(self, beside):
        """Made anew in `beside` by each make(): what was sent after an old one does not find the new one."""
        self.beside = Path(beside)
        self.made = 0
        self.make()

    def make(self):
        self.made += 1
        self.token = f"canary-{secrets.token_hex(16)}"
        self.directory = self.beside / f"outside{self.made}"
        self.directory.mkdir(mode=0o755)
        self.directory.chmod(0o755)
        for name, mode, owner in (("secret", 0o600, (0, 0)), ("owned", 0o640, (1234, 2345)),
                                  ("inner/secret", 0o600, (0, 0)), ("inner/deep/secret", 0o644, (0, 0))):
            path = self.directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(self.token + "\n")
            os.chown(path, *owner)
            path.chmod(mode)
        (self.directory / "passwd").write_text("canary:x:4242:4242::/:/bin/sh\n")
        os.chown(self.directory / "inner", 1234, 2345)
        self.before = (self.look(), host_entries())

    def look(self):
        found = {}
        for path in [self.directory, *sorted(self.directory.rglob("*"))]:
            try:
                status = path.lstat()
                content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
            except FileNotFoundError:  # taken away this moment
                continue
            found[str(path)] = (oct(status.st_mode), status.st_uid, status.st_gid, status.st_nlink,
                                status.st_mtime_ns, content)
        return found

    def changes(self):
        """What is not as it was, one line each."""
        files, host = self.look(), host_entries()
        lines = []
        for path in sorted(files.keys() | self.before[0].keys()):
            old, new = self.before[0].get(path), files.get(path)
            if old != new:
                lines.append(f"{path}: {'new' if old is None else old} -> {'gone' if new is None else new}")
        for directory, names in host.items():
            lines += [f"new on the host: {directory}/{name}" for name in names - self.before[1][directory]]
            lines += [f"gone from the host: {directory}/{name}" for name in self.before[1][directory] - names]
        return lines


def host_entries():
    return {directory: set(os.listdir(directory)) for directory in HOST}
