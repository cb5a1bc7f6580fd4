"""A reboot: every process ends at once, every mount goes, and with it the exec root; then a daemon
starts on the same data root.

The daemon lives in mount and network namespaces of its own, which end with it and its containers,
as a machine's do. So the disk beneath its mounts is always in view from here: nothing may ever be
written there.
"""

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path

import host_state
import pytest
from client import Client
from engine import BIN, KIND, Engine, run
from images import Images
from sample_plugin import SamplePlugin
from waiting import until

pytestmark = pytest.mark.skipif(KIND == "dockerd", reason="its namespaces are not one process's to end")

PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")

# What is done before the daemon starts, as by fstab: a mount that shares what is mounted below it.
BOOT = 'ip link set lo up && mount --bind "$0" "$0" && mount --make-shared "$0" && exec "$@"'


class Machine:
    """A daemon with a disk, and what a boot script and a power switch do."""

    def __init__(self, directory):
        self.directory = directory
        self.plugins = directory / "plugins"
        self.plugins.mkdir()
        config = directory / "daemon.json"
        config.write_text(json.dumps({"plugin-directories": [str(self.plugins)]}))
        self.engine = Engine(**{"config-file": config})
        self.plugin = SamplePlugin(directory / "sample", socket=self.plugins / "sample.sock")
        self.shared = directory / "shared"
        (self.shared / "host").mkdir(parents=True)
        self.docker = Client("docker", self.engine, directory / "home")

    def install(self, registry):
        """The image, while there is still a network that has the registry."""
        self.engine.start()
        Images(self.engine, registry).have("busybox")
        self.engine.stop()
        self.engine.program = ["unshare", "--mount", "--propagation", "private", "--net", "sh", "-c", BOOT,
                               self.shared, BIN / "holdfastd"]

    def boot(self):
        self.plugin.start()
        self.engine.start()
        return self

    def power_off(self):
        """Without a word to anybody."""
        machine = os.readlink(f"/proc/{self.engine.pid}/ns/net"), os.readlink(f"/proc/{self.engine.pid}/ns/mnt")
        containers = [self.engine.api.container(entry["Id"])["State"]["Pid"]
                      for entry in self.engine.api.containers(all=False)]
        self.engine.kill()
        for pid in [*self.engine.processes(), *containers]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.plugin.kill()
        # Its volumes last, but who had them mounted it knows no more.
        self.plugin.set_volumes({name: {**volume, "mounts": []} for name, volume in self.plugin.volumes().items()})
        until(lambda: not inhabited(machine), "all of the machine's processes are gone")
        until(lambda: not self.loops(), lambda: f"the kernel lets go of {self.loops()}")
        shutil.rmtree(self.engine.exec_root)

    def loops(self):
        return [path for path in host_state.loops() if path.startswith((str(self.engine.dir), str(self.directory)))]

    def mounts(self):
        """(mount point, type, source) of all below the data root, as the daemon sees them."""
        found = []
        for line in Path(f"/proc/{self.engine.pid}/mountinfo").read_text().splitlines():
            left, right = line.split(" - ")
            if left.split()[4].startswith(f"{self.engine.data_root}/"):
                found.append((left.split()[4], *right.split()[:2]))
        return sorted(found)

    def inside(self, *words):
        """Something the host's administrator does."""
        return run("nsenter", "-m", "-n", "-t", str(self.engine.pid), *map(str, words))

    def close(self):
        if not self.engine.alive():
            shutil.rmtree(self.engine.exec_root, ignore_errors=True)
            self.engine.start()
        self.plugin.behave()
        self.engine.close()
        self.plugin.close()


def inhabited(namespaces):
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if {os.readlink(entry / "ns/net"), os.readlink(entry / "ns/mnt")} & set(namespaces):
                found.append(entry.name)
    return found


@pytest.fixture
def machine(registry, tmp_path):
    machine = Machine(tmp_path)
    try:
        machine.install(registry)
        yield machine.boot()
    finally:
        machine.close()
        shutil.rmtree(tmp_path, ignore_errors=True)


def file_system(path, kind, size="128M"):
    run("truncate", "-s", size, path)
    run(f"mkfs.{kind}", "-q", path)
    return path


def overlay_options(directory):
    folders = {name: directory / f"overlay-{name}" for name in ("lower", "upper", "work")}
    for folder in folders.values():
        folder.mkdir()
    (folders["lower"] / "of-the-lower").touch()
    return "lowerdir={lower},upperdir={upper},workdir={work}".format(**folders)


def options_of_each_kind(directory):
    """volume → how it is made: one of each kind that there is."""
    (directory / "bound").mkdir()
    image = {kind: file_system(directory / f"{kind}.img", kind) for kind in ("ext4", "btrfs")}
    return {
        "plain": {},
        "sized": {"DriverOpts": {"size": "64m"}},
        "ram": {"DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "size=5m"}},
        "bound": {"DriverOpts": {"type": "none", "o": "bind", "device": str(directory / "bound")}},
        "ext4": {"DriverOpts": {"type": "ext4", "device": str(image["ext4"])}},
        "btrfs": {"DriverOpts": {"type": "btrfs", "device": str(image["btrfs"])}},
        "overlay": {"DriverOpts": {"type": "overlay", "device": "overlay", "o": overlay_options(directory)}},
        "plugged": {"Driver": "sample", "DriverOpts": {"k": "v"}},
        "born": {"Labels": {"a": "1"}},
    }


MOUNTED = ("sized", "ram", "bound", "ext4", "btrfs", "overlay")  # by the engine, on their _data
# Each start of a container adds a line with its name to each of its volumes.
WORK = 'for v in /v/*; do echo "$0" >>"$v/starts"; done; sync; exec sleep 1d'


def make_volumes(machine):
    api = machine.engine.api
    for name, body in options_of_each_kind(machine.directory).items():
        made = api.post("/volumes/create", {"Name": name, **body})
        assert made.status == 201, made.body


def rename_born(machine):
    """While a container holds it, and with its labels changed before."""
    api = machine.engine.api
    changed = api.call("PATCH", "/holdfast/v1/volumes/born", {"Labels": {"a": "2", "b": "1"}})
    assert changed.status == 200, changed.body
    renamed = api.post("/holdfast/v1/volumes/born/rename", {"Name": "renamed"})
    assert renamed.status == 200, renamed.body


def make_containers(machine):
    """`always` has a volume of each kind, comes back by itself, and knows a secret; `stopped` has the
    same, and an anonymous one; `apart` is in a user namespace; one has a bind of each propagation."""
    names = [*machine.engine.api.volumes()]
    volumes = [word for name in names for word in ("-v", f"{name}:/v/{name}")]
    holdfast = Client("holdfast", machine.engine, machine.directory / "home")
    holdfast("secret", "create", "password", "-", input=b"hush")
    rest = ["--network", "none", "busybox", "sh", "-c", WORK]
    holdfast("create", "--name", "stopped", *volumes, "-v", "/v/anonymous", "--secret", "password", *rest, "stopped")
    rename_born(machine)
    volumes = [word.replace("born", "renamed") for word in volumes]
    always = ["-d", "--restart", "always"]
    holdfast("run", *always, "--name", "always", *volumes, "--secret", "password", *rest, "always")
    holdfast("run", *always, "--name", "apart", "--userns", "auto", "-v", "plain:/v/plain", *rest, "apart")
    for kind in PROPAGATIONS:
        holdfast("run", *always, "--name", kind, "-v", f"{machine.shared}:/d:{kind}", "--network", "none",
                 "busybox", "sleep", "1d")
    return {"always", "apart", *PROPAGATIONS}


def records(machine):
    kept = ("Driver", "Labels", "Options", "CreatedAt", "Scope", "Mountpoint")
    return {
        name: {key: volume[key] for key in kept if name != "plugged" or key != "Mountpoint"}
        for name, volume in machine.engine.api.volumes().items()
    }


def starts(machine, container, volume):
    """The names of the containers that started on it, as `container` reads them."""
    return machine.docker("exec", container, "cat", f"/v/{volume}/starts").out.split()


def holders(machine, volume):
    return {holder["Name"] for holder in machine.engine.api.get(f"/volumes/{volume}").json["Status"]["Holders"]}


def running(machine):
    """Not those about to be restarted, which `docker ps` shows as well."""
    return {entry["Names"][0][1:] for entry in machine.engine.api.containers() if entry["State"] == "running"}


def wait_for_starts(machine, container, count):
    def counted():
        return container in running(machine) and starts(machine, container, "plain").count(container) == count

    until(counted, lambda: f"{container} has started {count} times\n{machine.engine.log_tail()}")


def check_mounts(machine):
    """Each volume that options mount is mounted, once, and nothing lies beneath it on the disk."""
    points = [point for point, *_ in machine.mounts()]
    volumes = machine.engine.data_root / "volumes"
    assert sorted(points) == sorted(str(volumes / name / "_data") for name in MOUNTED)
    inside = machine.docker("exec", "always", "cat", "/proc/mounts").lines
    targets = [line.split()[1] for line in inside]
    for name in machine.engine.api.volumes():
        if anonymous(name):
            continue
        assert targets.count(f"/v/{name}") == 1, inside
    check_beneath(machine)


def anonymous(name):
    return len(name) == 64


def check_beneath(machine):
    for name in MOUNTED:
        below = machine.engine.data_root / "volumes" / name / "_data"
        assert os.listdir(below) == [], f"written beneath the mount of {name}"
        with pytest.raises(PermissionError):
            (below / "file").touch()


def check_holders(machine):
    api = machine.engine.api
    for name in api.volumes():
        held_by = {"stopped"} if anonymous(name) else {"stopped", "always"}
        assert holders(machine, name) == held_by | ({"apart"} if name == "plain" else set())
        for force in (0, 1):
            refused = api.delete(f"/volumes/{name}", force=force)
            assert refused.status == 409 and "volume is in use" in refused.message, refused.body
    assert api.post("/volumes/prune", filters={"all": ["1"]}).json["VolumesDeleted"] in (None, [])


def check_propagation(machine, boots):
    machine.inside("mount", "-t", "tmpfs", f"boot{boots}", machine.shared / "host")
    for kind in PROPAGATIONS:
        seen = f"boot{boots} /d/host" in machine.docker("exec", kind, "cat", "/proc/mounts").out
        assert seen == (kind.removeprefix("r") in ("slave", "shared")), kind


def check_all(machine, before, boots):
    always = ["always"] * boots
    assert records(machine) == before
    wait_for_starts(machine, "always", boots)
    for name in ("plain", "sized", "bound", "ext4", "btrfs", "overlay", "plugged", "renamed"):
        assert [who for who in starts(machine, "always", name) if who == "always"] == always, name
    assert starts(machine, "always", "ram") == ["always"]  # memory does not last
    assert "of-the-lower" in machine.docker("exec", "always", "ls", "/v/overlay").out
    assert machine.docker("exec", "always", "df", "-k", "/v/sized").lines[-1].split()[1] < "65537"
    assert machine.docker("exec", "always", "cat", "/run/secrets/password").out == "hush"
    wait_for_starts(machine, "apart", boots)
    assert machine.docker("exec", "apart", "stat", "-c", "%u", "/v/plain/starts").out == "0\n"
    assert machine.plugin.mounts("plugged") == [machine.engine.api.container("always")["Id"]]
    check_mounts(machine)
    check_holders(machine)
    check_propagation(machine, boots)


@pytest.mark.timeout(300)
def test_every_kind_of_volume_comes_back(machine):
    api = machine.engine.api
    make_volumes(machine)
    come_back = make_containers(machine)
    before = records(machine)
    check_all(machine, before, boots=1)
    for boots in (2, 3):
        machine.power_off()
        assert not machine.loops()
        check_beneath(machine)
        machine.boot()
        until(lambda: running(machine) == come_back,
              lambda: f"{come_back} run, not {running(machine)} alone\n{machine.engine.log_tail()}")
        check_all(machine, before, boots)
        assert api.container("stopped")["State"]["Status"] == ("created" if boots == 2 else "exited")
        machine.docker("start", "stopped")
        until(lambda: starts(machine, "stopped", "anonymous") == ["stopped"] * (boots - 1), "it has started")
        assert starts(machine, "always", "ext4").count("stopped") == boots - 1
        assert machine.docker("exec", "stopped", "cat", "/run/secrets/password").out == "hush"
        if boots == 2:
            continue  # it runs when the power goes
        machine.docker("stop", "-t", "0", "stopped")
    for container in api.containers():
        assert api.delete(f"/containers/{container['Id']}", force=1, v=1).status == 204
    assert machine.mounts() == [] and not machine.loops()
    assert machine.plugin.mounts("plugged") == []
    assert sorted(api.volumes()) == sorted(name for name in before if not anonymous(name))
    check_beneath(machine)
    for name in api.volumes():
        assert api.delete(f"/volumes/{name}").status == 204
    assert list((machine.engine.data_root / "volumes").iterdir()) == []


@pytest.mark.timeout(120)
def test_a_disk_that_is_not_there_after_a_reboot(machine):
    """Its container does not start, and writes nowhere else, until the disk is back."""
    api = machine.engine.api
    disk = file_system(machine.directory / "disk.img", "ext4")
    assert api.post("/volumes/create", {"Name": "ext4", "DriverOpts": {"type": "ext4", "device": str(disk)}}).status == 201
    machine.docker("run", "-d", "--restart", "always", "--name", "user", "-v", "ext4:/v/plain", "--network", "none",
                   "busybox", "sh", "-c", WORK, "user")
    wait_for_starts(machine, "user", 1)
    machine.power_off()
    away = disk.rename(machine.directory / "away.img")
    machine.boot()
    until(lambda: str(disk) in machine.engine.log.read_text().split("listens on")[-1], "the log tells of the disk")
    machine.docker.fails("start", "user", says=str(disk))
    assert running(machine) == set() and machine.mounts() == []
    assert os.listdir(machine.engine.data_root / "volumes/ext4/_data") == []
    machine.docker.fails("volume", "rm", "ext4", says="volume is in use")
    away.rename(disk)
    machine.docker("start", "user")
    wait_for_starts(machine, "user", 2)
