"""Where an attack takes place: an engine, a canary beside it, and containers to attack from.

An attack is a function that yields what shows a breach, one text each; against an engine that holds it yields
nothing. @attack makes a test of it that runs against holdfastd, which must hold, and against holdfastd-weak,
which must fall: an attack that the weakened build withstands proves nothing of the strong one.
"""

import functools
import itertools
import json
import time
from dataclasses import dataclass

from canary import Canary
from engine import BIN, Engine
from hostile_image import HostileImage
from probe import demultiplex

# Below build/<preset>, beside the bin/ in which holdfastd is.
WEAK = (BIN / "holdfastd").resolve().parents[1] / "tests/weak/holdfastd-weak"
# The weakened daemon sees a host that is read-only but for the folder given first: it does do damage.
ENCLOSE = """
mount --bind "$1" "$1"; shift
for place in / /dev /dev/shm /sys; do mount -o remount,bind,ro $place; done
exec "$@"
"""

_numbers = itertools.count(1)


@dataclass
class Outcome:
    """How the start of a container went."""

    refusal: str = ""
    output: str = ""
    code: int = 0

    @property
    def started(self):
        return not self.refusal

    @property
    def left_to_the_runtime(self):
        """The engine has let it pass, and crun or runc has not."""
        return "OCI runtime" in self.refusal


class Ground:
    def __init__(self, weak=False, environment=None, **flags):
        self.weak = weak
        self.engine = Engine(environment=environment, **flags)
        self.canary = Canary(self.engine.dir)
        if weak:
            self.engine.program = ["unshare", "--mount", "--propagation", "slave", "sh", "-euc", ENCLOSE, "sh", self.engine.dir, WEAK]
            self.engine.environment = {"TMPDIR": str(self.engine.dir)}
        self.images = {}

    def __str__(self):
        return "holdfastd-weak" if self.weak else "holdfastd"

    def configure(self, settings):
        file = self.engine.dir / "daemon.json"
        file.write_text(json.dumps(settings))
        self.engine.flags["config-file"] = file

    def open(self):
        self.engine.start()
        self.image("attacker", HostileImage())
        return self

    def close(self):
        self.engine.close()

    @property
    def api(self):
        return self.engine.api

    @property
    def out(self):
        return self.canary.directory

    # What an attacker does.

    def image(self, name, made):
        self.images[name] = made
        return made.load(self.api, name)

    def create(self, script="true", image="attacker", **parts):
        """The answer to the creation of a container; HostConfig's fields may stand beside Config's."""
        host = {"NetworkMode": "none", **parts.pop("HostConfig", {})}
        body = {"Image": image, "Cmd": ["sh", "-c", script], **parts, "HostConfig": host}
        return self.api.post("/containers/create", body)

    def run(self, script="true", **parts):
        """Starts a container with that script and waits for its end; removes it."""
        made = self.create(script, **parts)
        if made.status != 201:
            return Outcome(refusal=made.message or f"status {made.status}")
        url = f"/containers/{made.json['Id']}"
        try:
            started = self.api.post(f"{url}/start")
            if started.status != 204:
                return Outcome(refusal=started.message or f"status {started.status}")
            code = self.api.post(f"{url}/wait").json["StatusCode"]
            logs = self.api.get(f"{url}/logs", stdout=1, stderr=1).body
            return Outcome(output=demultiplex(logs), code=code)
        finally:
            self.api.delete(url, force=1, v=1)

    def start(self, script="sleep 60", **parts):
        """A container that runs: its id."""
        made = self.create(script, **parts)
        assert made.status == 201, made.body
        started = self.api.post(f"/containers/{made.json['Id']}/start")
        assert started.status == 204, started.body
        return made.json["Id"]

    def execute(self, identity, script, **parts):
        """What an exec session prints, or its refusal."""
        body = {"Cmd": ["sh", "-c", script], "AttachStdout": True, "AttachStderr": True, **parts}
        made = self.api.post(f"/containers/{identity}/exec", body)
        if made.status != 201:
            return made.message
        answer = self.api.post(f"/exec/{made.json['Id']}/start", {"Detach": False})
        return demultiplex(answer.body) if answer.status == 200 else answer.message

    def root_of(self, identity):
        """A running container's root directory, by the eyes of its processes."""
        return f"/proc/{self.api.container(identity)['State']['Pid']}/root"

    def volume(self, name=None, **fields):
        name = name or f"v{next(_numbers)}"
        answer = self.api.post("/volumes/create", {"Name": name, **fields})
        assert answer.status == 201, answer.body
        return name

    def files_of(self, volume):
        return self.engine.data_root / "volumes" / volume / "_data"

    def race(self, enough):
        """Rounds of a race, numbered, until `enough` says yes to the number of those that were; the weakened build's go
        on until it falls. Fifty seconds at most, less than an `Exchange` lives."""
        end = time.monotonic() + 50
        for number in itertools.count():
            if time.monotonic() > end or not self.weak and enough(number):
                return
            yield number

    # What shows a breach.

    def reads_canary(self, text):
        text = text if isinstance(text, str) else text.decode(errors="replace")
        return self.canary.token in text

    def volumes_with_canary(self):
        """Volumes into which a secret has been copied, whether or not a container got to see it."""
        for path in (self.engine.data_root / "volumes").rglob("*"):
            if path.is_file() and not path.is_symlink() and self.reads_canary(path.read_bytes()):
                yield f"copied to {path}"

    def aftermath(self):
        """After every attack: the canary as it was, and a daemon that lives and serves."""
        yield from self.canary.changes()
        if not self.engine.alive():
            yield f"the daemon has ended:\n{self.engine.log_tail()}"
            return
        answer = self.create()
        if answer.status != 201:
            yield f"the daemon does not serve any more: {answer.body}"

    def restore(self):
        if not self.engine.alive():
            self.engine.spawn().wait_ready()
        self.engine.remove_everything()
        self.canary.make()


def attack(function):
    """The test of an attack: see above."""

    @functools.wraps(function)
    def test(ground, *arguments, **named):
        begin = time.monotonic()
        # What the weakened build does after its first fall proves nothing more.
        course = function(ground, *arguments, **named)
        evidence = list(itertools.islice(itertools.chain(course, ground.aftermath()), 1 if ground.weak else 20))
        course.close()
        spent = f"after {time.monotonic() - begin:.1f} s"
        ground.restore()
        print(f"{ground} {spent}", *evidence, sep="\n  ")
        if ground.weak:
            assert evidence, "the weakened build withstands it: the attack proves nothing"
        else:
            assert not evidence, "breached:\n" + "\n".join(evidence)

    return test
