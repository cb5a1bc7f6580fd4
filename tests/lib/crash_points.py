"""Death of a process before a system call of its own, by strace(1): it needs no code of ours in it."""

import contextlib
import subprocess
import tempfile
from pathlib import Path

from waiting import until


@contextlib.contextmanager
def killed_before(pid, number, calls):
    """The daemon dies before the `number`th of `calls` that one of its threads makes from here on."""
    with tempfile.TemporaryFile() as log:
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-p", str(pid), "-e", f"trace={calls}",
             "-e", f"inject={calls}:signal=KILL:when={number}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
        try:
            until(lambda: traced(pid) or tracer.poll() is not None, "strace has attached")
            yield
        finally:
            tracer.terminate()
            tracer.wait(10)


def traced(pid):
    """All threads of the process."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            if "TracerPid:\t0\n" in (task / "status").read_text():
                return False
    return True
