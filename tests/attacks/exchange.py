"""Exchanges two names of a directory for as long as it lives: the other side of a race.

    with Exchange(directory, "folder", "link"): ...

A process of its own, so that it runs beside the test. It ends with the block, with its parent, and by itself
after a minute at the latest.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time

AT_FDCWD, RENAME_EXCHANGE, PR_SET_PDEATHSIG = -100, 2, 1
LONGEST = 60


class Exchange:
    def __init__(self, directory, one, other, pause=0.0):
        self.words = [sys.executable, "-B", __file__, str(directory), one, other, str(pause)]

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"on\n"
        return self

    def __exit__(self, *failure):
        ended = self.process.poll()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        assert ended is None, f"the exchange ended by itself with {ended}"


def main(directory, one, other, pause):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir(directory)
    one, other, pause = os.fsencode(one), os.fsencode(other), float(pause)
    end = time.monotonic() + LONGEST
    print("on", flush=True)
    while time.monotonic() < end:
        for _ in range(1 if pause else 100):
            if libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE):
                sys.exit(f"exchange {one} and {other}: {os.strerror(ctypes.get_errno())}")
        if pause:
            time.sleep(pause)


if __name__ == "__main__":
    main(*sys.argv[1:])
