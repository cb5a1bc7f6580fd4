"""Looking for bytes where they must not be: in files, on a disk, in a process's memory."""

import base64
import os
import re
from pathlib import Path

CHUNK = 8 << 20


def forms(token):
    """The token itself, and what can be recognised of it in base64 wherever it begins."""
    encoded = []
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + token).rstrip(b"=")
        # The first characters mix with what stands before, the last with what follows.
        encoded.append(text[4 if shift else 0 : -4])
    return [token, token.hex().encode(), *encoded]


def find_in_stream(stream, token):
    """Whether one of the token's forms is in what `stream` gives."""
    wanted = forms(token)
    overlap = max(map(len, wanted))
    tail = b""
    while chunk := stream.read(CHUNK):
        chunk = tail + chunk
        if any(form in chunk for form in wanted):
            return True
        tail = chunk[-overlap:]
    return False


def device_of(path):
    """The file system that it is on; None if it is gone."""
    try:
        return path.lstat().st_dev
    except FileNotFoundError:
        return None


def files_with(token, *roots):
    """The regular files below `roots` that hold the token, on the file systems of the roots."""
    found = []
    for root in roots:
        device = os.stat(root).st_dev
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if device_of(Path(folder, name)) == device]
            for path in (Path(folder) / name for name in names):
                # A network namespace is a file, too, on a file system of its own, that can't be read.
                if path.is_symlink() or not path.is_file() or device_of(path) != device:
                    continue
                try:
                    with open(path, "rb") as file:
                        if find_in_stream(file, token):
                            found.append(str(path))
                except FileNotFoundError:  # gone since
                    pass
    return found


def memory_with(token, pid):
    """The places in a process's writable memory that hold the token."""
    found = []
    wanted = forms(token)
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            first, last, mode = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            if "w" not in mode or "[v" in line:
                continue
            memory.seek(int(first, 16))
            try:
                held = memory.read(int(last, 16) - int(first, 16))
            except OSError:
                continue
            if any(form in held for form in wanted):
                found.append(line.strip())
    return found
