"""A program in a real pseudo-terminal: what is typed, what is shown, its size."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

DEADLINE = 30.0


class Terminal:
    """Owns the pseudo-terminal and the program in it; use it in a with statement."""

    def __init__(self, command, cwd, env, rows=24, columns=80):
        self.master, slave = pty.openpty()
        self.shown = ""
        self.position = 0
        self._size(slave, rows, columns)
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=env,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self.master)

    @staticmethod
    def _size(fd, rows, columns):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self._size(self.master, rows, columns)
        os.kill(self.process.pid, signal.SIGWINCH)

    def type(self, text):
        os.write(self.master, text.encode())

    def line(self, text):
        self.type(text + "\r")

    def _read(self, seconds):
        """Takes what is shown next; False at the end of the program's output."""
        if not select.select([self.master], [], [], max(seconds, 0))[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the last one who had the other side open is gone
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)

    def expect(self, pattern, deadline=DEADLINE):
        """Waits until what was shown since the last match holds the pattern (an expression)."""
        end = time.monotonic() + deadline
        more = True
        while True:
            match = re.compile(pattern).search(self.shown, self.position)
            if match:
                self.position = match.end()
                return match
            assert more, f"ended without {pattern!r}; shown:\n{self.shown}"
            left = end - time.monotonic()
            assert left > 0, f"{pattern!r} not within {deadline} s; shown:\n{self.shown}"
            more = self._read(min(left, 1))

    def wait(self, deadline=DEADLINE):
        """The exit code, once the program has ended; all it showed is in .shown then."""
        end = time.monotonic() + deadline
        while self._read(0.1) and self.process.poll() is None:
            assert time.monotonic() < end, f"still runs after {deadline} s; shown:\n{self.shown}"
        code = self.process.wait(max(end - time.monotonic(), 1))
        while select.select([self.master], [], [], 0)[0] and self._read(0):
            pass
        return code
