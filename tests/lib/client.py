"""Docker's own client and Holdfast's, run as a user would run them against the engine."""

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engine import BIN
from terminal import Terminal

TIMEOUT = 60


@dataclass
class Output:
    """What a command said. Text of the two streams is decoded, undecodable bytes replaced."""

    command: list
    code: int
    raw_out: bytes
    raw_err: bytes

    @property
    def out(self):
        return self.raw_out.decode(errors="replace")

    @property
    def err(self):
        return self.raw_err.decode(errors="replace")

    @property
    def lines(self):
        return self.out.splitlines()

    def __str__(self):
        return f"{shlex.join(self.command)}\nexit {self.code}\n{self.out}{self.err}"


class Client:
    """`docker` or `holdfast`, of one engine, with an empty configuration."""

    def __init__(self, program, engine, home):
        self.program = program
        self.engine = engine
        self.home = Path(home)
        self.home.mkdir(parents=True, exist_ok=True)

    def __str__(self):
        return self.program

    def environment(self, extra=None):
        kept = {name: os.environ[name] for name in ("TMPDIR",) if name in os.environ}
        return {
            **kept,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "DOCKER_CONFIG": str(self.home / ".docker"),
            "DOCKER_HOST": f"unix://{self.engine.socket}",
            "HOLDFAST_HOST": f"unix://{self.engine.socket}",
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
            **(extra or {}),
        }

    def __call__(self, *words, code=0, input=b"", cwd=None, env=None, timeout=TIMEOUT):
        """Runs it to its end. `code` is the exit code it must have; None takes any."""
        return self._run([self.program, *map(str, words)], code, input, cwd, env, timeout)

    def shell(self, text, code=0, input=b"", cwd=None, env=None, timeout=TIMEOUT):
        """Runs lines of a document as they stand, with `docker` read as this client's name."""
        command = ["bash", "-euo", "pipefail", "-c", self.verbatim(text)]
        return self._run(command, code, input, cwd, env, timeout)

    def verbatim(self, text):
        words = ("docker ", "nerdctl ")
        for word in words:
            text = text.replace(word, f"{self.program} ")
        return text

    def _run(self, command, code, input, cwd, env, timeout):
        done = subprocess.run(
            command,
            input=input.encode() if isinstance(input, str) else input,
            capture_output=True,
            cwd=cwd or self.home,
            env=self.environment(env),
            timeout=timeout,
        )
        output = Output(command, done.returncode, done.stdout, done.stderr)
        assert code is None or output.code == code, f"expected exit {code}: {output}"
        return output

    def start(self, *words, cwd=None, env=None, **pipes):
        """Starts it and returns the process; the caller ends it."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [self.program, *map(str, words)],
            cwd=cwd or self.home,
            env=self.environment(env),
            **{**options, **pipes},
        )

    def terminal(self, *words, cwd=None, env=None, **size):
        """Starts it in a pseudo-terminal of its own."""
        command = [self.program, *map(str, words)]
        return Terminal(command, cwd or self.home, self.environment(env), **size)

    def shell_terminal(self, text, cwd=None, env=None, **size):
        command = ["bash", "-c", self.verbatim(text)]
        return Terminal(command, cwd or self.home, self.environment(env), **size)

    def fails(self, *words, code=None, says=None, **options):
        """It must end with an error and print `says`, or one of several such texts.

        On either stream: the error of a started exec comes on its standard output.
        """
        output = self(*words, code=None, **options)
        assert output.code != 0 if code is None else output.code == code, f"exit {code}: {output}"
        if says is not None:
            texts = (says,) if isinstance(says, str) else says
            assert any(text in output.err + output.out for text in texts), f"not {says!r}: {output}"
        return output
