"""The power is cut at random moments, on ext4 and on XFS, while volumes are made, changed, renamed and removed.

The data root is a file system of its own, and the cut is that file system's shutdown by
ioctl(2): what the journal doesn't have on the disk by then is lost. The oracle: what was
acknowledged before the cut is there afterwards; of what was under way either will do; nothing
else is there. HOLDFAST_POWER_SEED sets the seed, HOLDFAST_POWER_ROUNDS the number of cuts.
"""

import fcntl
import http.client
import os
import random
import struct
import threading
import time

import host_state
import pytest
from engine import KIND, Engine, run
from waiting import until

ROUNDS = int(os.environ.get("HOLDFAST_POWER_ROUNDS", 12))
SEED = int(os.environ.get("HOLDFAST_POWER_SEED", random.randrange(1 << 32)))

SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
LOSE_THE_LOG = 2  # neither data nor journal are written out first

pytestmark = pytest.mark.skipif(KIND == "dockerd", reason="dockerd does not promise this")


class Machine:
    """An engine whose data root is a disk that can lose its power."""

    def __init__(self, directory, kind):
        self.kind = kind
        self.disk = directory / "disk"
        run("truncate", "-s", "512M", self.disk)
        run(f"mkfs.{kind}", "-q", self.disk)
        self.engine = Engine()
        self.mounted = self.engine.dir / "mounted"
        self.mounted.mkdir()
        self.engine.data_root = self.mounted / "data"
        self.cut = threading.Event()
        self.switch_on()

    @property
    def api(self):
        return self.engine.api

    def switch_on(self):
        run("mount", "-o", "loop", "-t", self.kind, self.disk, self.mounted)
        self.cut.clear()
        self.engine.start()

    def cut_the_power(self):
        top = os.open(self.mounted, os.O_RDONLY)
        try:
            self.cut.set()
            fcntl.ioctl(top, SHUTDOWN, struct.pack("I", LOSE_THE_LOG))
        finally:
            os.close(top)

    def clear_away(self):
        if self.engine.alive():
            self.engine.kill()
        run("umount", self.mounted)
        # A mount namespace that was made meanwhile may have it for a moment longer.
        until(lambda: str(self.disk) not in host_state.loops(), "the kernel lets go of the disk")

    def close(self):
        if self.engine.alive():
            self.engine.kill()
        run("umount", "-l", self.mounted, check=False)
        self.engine.close()


class User(threading.Thread):
    """Works on names of its own. `allowed` has what each may be: a label's value, or None for no such volume."""

    def __init__(self, machine, number, seed, allowed):
        super().__init__(daemon=True)
        self.machine, self.number = machine, number
        self.random = random.Random(seed)
        self.allowed = allowed  # name → set
        self.moving = None  # (from, to): one of the two has it
        self.acknowledged = 0
        self.wrong = []

    def run(self):
        try:
            while not self.machine.cut.is_set():
                self.step()
        except (OSError, http.client.HTTPException):
            pass  # the daemon is gone

    def ask(self, changes, *call):
        """A request that makes names be what `changes` says. Only what answered before the cut counts."""
        for name, value in changes.items():
            self.allowed[name].add(value)
        answer = self.machine.api.call(*call)
        if self.machine.cut.is_set():
            return False
        if answer.status >= 300:
            self.wrong.append(f"{call}: {answer.status} {answer.message}")
            self.machine.cut.set()
            return False
        self.acknowledged += 1
        for name, value in changes.items():
            self.allowed[name] = {value}
        return True

    def step(self):
        names = {True: [], False: []}
        for name, values in self.allowed.items():
            names[None not in values].append(name)
        value = f"{self.random.randrange(1 << 32):x}"
        there, free = names[True], names[False]
        choice = self.random.choice(["create", "create", "change", "rename", "remove"])
        if choice == "create" and free or not there:
            name = self.random.choice(free)
            self.ask({name: value}, "POST", "/volumes/create", {"Name": name, "Labels": {"n": value}})
            return
        name = self.random.choice(there)
        if choice == "remove":
            self.ask({name: None}, "DELETE", f"/volumes/{name}")
        elif choice == "rename" and free:
            other = self.random.choice(free)
            (kept,) = self.allowed[name]
            self.moving = (name, other)
            if self.ask({name: None, other: kept}, "POST", f"/holdfast/v1/volumes/{name}/rename", {"Name": other}):
                self.moving = None
        else:
            self.ask({name: value}, "PATCH", f"/holdfast/v1/volumes/{name}", {"Labels": {"n": value}})


def found(machine):
    """What the daemon has, once nothing half-made or half-removed is on the disk any more."""
    root = machine.engine.data_root

    def leftovers():
        trash = [path.name for path in (root / "trash").iterdir() if "reserve" not in path.name]
        return trash + [path.name for path in (root / "staging").iterdir()]

    until(lambda: not leftovers(), lambda: f"left over: {leftovers()}\n{machine.engine.log_tail()}")
    volumes = {entry["Name"]: entry["Labels"]["n"] for entry in machine.api.get("/volumes").json["Volumes"]}
    unknown = [path for path in (root / "volumes").iterdir() if path.name not in volumes]
    assert not unknown, f"{run('ls', '-lR', *unknown).stdout}\n{machine.engine.log_tail()}"
    for name in volumes:
        assert (root / "volumes" / name / "_data").is_dir()
    return volumes


def check(users, volumes, where):
    wrong = []
    for user in users:
        for name, values in user.allowed.items():
            if volumes.get(name) not in values:
                wrong.append(f"{name}: {volumes.get(name)}, may be {values}")
        if user.moving and (user.moving[0] in volumes) == (user.moving[1] in volumes):
            wrong.append(f"renamed {user.moving}: both or neither")
    assert not wrong, f"{where}: {wrong}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_power_cuts(tmp_path, kind):
    print(f"seed {SEED}")
    chance = random.Random(f"{SEED} {kind}")
    machine = Machine(tmp_path, kind)
    try:
        names = {number: [f"user{number}-{letter}" for letter in "abcdef"] for number in range(4)}
        volumes, acknowledged = {}, 0
        for number in range(ROUNDS):
            users = [
                User(machine, user, chance.random(), {name: {volumes.get(name)} for name in own})
                for user, own in names.items()
            ]
            for user in users:
                user.start()
            # The moment itself is what is random here; nothing is waited for.
            time.sleep(chance.uniform(0.05, 0.6))
            machine.cut_the_power()
            machine.engine.kill()
            for user in users:
                user.join(30)
                assert not user.is_alive() and not user.wrong, (SEED, number, user.wrong)
            machine.clear_away()
            machine.switch_on()
            volumes = found(machine)
            check(users, volumes, f"seed {SEED}, {kind}, cut {number}")
            acknowledged += sum(user.acknowledged for user in users)
        # Otherwise nothing was tried.
        assert acknowledged > 10 * ROUNDS
        print(f"{acknowledged} operations were acknowledged over {ROUNDS} cuts")
    finally:
        machine.close()
