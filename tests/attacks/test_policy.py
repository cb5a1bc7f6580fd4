"""allowed-bind-roots: ways to a path outside, through every field that can name one (CVE-2026-44850)."""

import subprocess

import pytest

from exchange import Exchange
from ground import Ground, attack

LOOK = "cat /d/secret /d/inner/secret /d/link/secret; echo planted >/d/planted; true"


def limited(weak):
    """An engine that lets containers have allowed/ alone, which others write to."""
    ground = Ground(weak=weak)
    ground.allowed = ground.engine.dir / "allowed"
    ground.allowed.mkdir()
    ground.configure({"allowed-bind-roots": [str(ground.allowed)]})
    try:
        yield ground.open()
    finally:
        ground.close()


@pytest.fixture(scope="module")
def strong_ground():
    yield from limited(weak=False)


@pytest.fixture(scope="module")
def weak_ground():
    yield from limited(weak=True)


def by_every_field(path):
    """HostConfigs that mount the path on /d, or what a container writes there."""
    yield {"Binds": [f"{path}:/d"]}
    yield {"Binds": [f"{path}/:/d:ro"]}
    yield {"Binds": [f"{path}:/d:O"]}
    yield {"Binds": [f"{path}:/d:copy"]}
    yield {"Mounts": [{"Type": "bind", "Source": str(path), "Target": "/d"}]}
    yield {"Mounts": [{"Type": "bind", "Source": f"{path}/.", "Target": "/d", "BindOptions": {"CreateMountpoint": True}}]}
    yield {"Mounts": [{"Type": "glob", "Source": f"{path}*", "Target": "/d"}]}
    yield {"Mounts": [{"Type": "glob", "Source": f"{path}/*", "Target": "/d"}]}


@attack
def test_path_that_leads_outside(ground):
    source = ground.allowed / "source"
    source.mkdir(exist_ok=True)
    link = ground.allowed / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(ground.out)
    paths = [ground.out, link, link / "inner", f"{ground.allowed}/../{ground.out.name}", f"{ground.allowed}/source/../../{ground.out.name}",
             f"/proc/1/root{ground.out}", f"/proc/self/root{ground.out}", f"{ground.allowed}-not/../{ground.out.name}",
             f"//{ground.out}", f"{ground.allowed}/./link/."]
    for path in paths:
        for entry in by_every_field(path):
            outcome = ground.run(LOOK, HostConfig=entry)
            if ground.reads_canary(outcome.output) or outcome.started and outcome.code == 0:
                yield f"{entry}: {outcome}"
        for upper, work in ((path, source), (f"{path}/inner", f"{path}/inner/deep"), (f"{path}/inner", source)):
            entry = {"Binds": [f"{source}:/d:O,upperdir={upper},workdir={work}"]}
            outcome = ground.run(LOOK, HostConfig=entry)
            if outcome.started:
                yield f"{entry}: {outcome}"
        yield from ground.canary.changes()


@attack
def test_volumes_from_and_volumes(ground):
    """What another field has let in, or takes for something else."""
    for volume in (f"{ground.out}:/d", f"{ground.out}", str(ground.out / "inner")):
        for field in ({"Volumes": {volume: {}}}, {"HostConfig": {"Tmpfs": {volume: ""}}}):
            outcome = ground.run(f"cat /d/secret {ground.out}/secret; true", **field)
            if ground.reads_canary(outcome.output):
                yield f"{field}: {outcome}"
    link = ground.allowed / "changing"
    link.mkdir(exist_ok=True)
    giver = ground.create("sleep 1", HostConfig={"Binds": [f"{link}:/d"]}).json["Id"]
    link.rmdir()
    link.symlink_to(ground.out)
    try:
        outcome = ground.run(LOOK, HostConfig={"VolumesFrom": [giver]})
        if ground.reads_canary(outcome.output):
            yield f"VolumesFrom: {outcome}"
        answer = ground.api.get(f"/containers/{giver}/archive", path="/d/secret")
        if ground.reads_canary(answer.body):
            yield "cp from a container whose source has changed"
    finally:
        link.unlink()


@attack
def test_source_exchanged_while_it_is_opened(ground):
    for name in ("real", "real/inner"):
        (ground.allowed / name).mkdir(exist_ok=True)
    link = ground.allowed / "other"
    link.unlink(missing_ok=True)
    link.symlink_to(ground.out)
    met = set()
    with Exchange(ground.allowed, "real", "other"):
        for _ in ground.race(lambda rounds: rounds > 15 and met == {201, 403}):
            for path in ("real", "real/inner"):
                answer = ground.create(HostConfig={"Binds": [f"{ground.allowed}/{path}:/d", f"{ground.allowed}/{path}/new:/new"]})
                met.add(answer.status)
            outcome = ground.run(LOOK, HostConfig={"Binds": [f"{ground.allowed}/real:/d"]})
            if ground.reads_canary(outcome.output):
                yield f"raced: {outcome}"
            yield from ground.canary.changes()
    assert met == {201, 403}, f"no race: {met}"


def volumes_that_name(path):
    """Options of the local driver that show the path, or what they can reach of it."""
    path = str(path)
    yield {"type": "none", "o": "bind", "device": path}
    yield {"type": "bind", "o": "ro", "device": f"{path}/."}
    yield {"type": "", "o": "rbind", "device": f"//{path}"}
    yield {"type": "overlay", "o": f"lowerdir={path}", "device": "overlay"}
    yield {"type": "overlay", "o": f"lowerdir={path}/inner:{path}", "device": ""}
    yield {"type": "overlay", "o": f"lowerdir={path}/inner/deep,upperdir={path},workdir={path}/inner", "device": "x"}


def volume_mount(options):
    driver = {"Name": "local", "Options": options}
    return {"Mounts": [{"Type": "volume", "Target": "/d", "VolumeOptions": {"NoCopy": True, "DriverConfig": driver}}]}


@attack
def test_volume_whose_options_lead_outside(ground):
    link = ground.allowed / "volume"
    link.unlink(missing_ok=True)
    link.symlink_to(ground.out)
    for path in (ground.out, link, f"{ground.allowed}/../{ground.out.name}", f"/proc/self/root{ground.out}"):
        for options in volumes_that_name(path):
            outcome = ground.run(LOOK, HostConfig=volume_mount(options))
            if ground.reads_canary(outcome.output):
                yield f"{options}: {outcome}"
            yield from ground.canary.changes()
    # Made while it is harmless, mounted when it no longer is; also by the first use's filling.
    link.unlink()
    link.mkdir()
    names = [ground.volume(Driver="local", DriverOpts=options) for options in volumes_that_name(link)]
    link.rmdir()
    link.symlink_to(ground.out)
    for name in names:
        for entry in (f"{name}:/d", f"{name}:/d:nocopy", f"{name}:/etc"):
            outcome = ground.run(LOOK + "; cat /etc/secret", HostConfig={"Binds": [entry]})
            if ground.reads_canary(outcome.output):
                yield f"{entry}: {outcome}"
            yield from ground.canary.changes()


@attack
def test_volume_of_a_program_that_nobody_can_judge(ground):
    """mount.fuse would start it, and it opens the path by itself."""
    link = ground.allowed / "program"
    link.unlink(missing_ok=True)
    link.symlink_to(ground.out)
    for type, device in (("fuse.bindfs", ground.out), ("fuse.bindfs", link), ("fuse.rclone", f":local:{link}"),
                         ("proc", link), ("devtmpfs", link)):
        outcome = ground.run(LOOK, HostConfig=volume_mount({"type": type, "o": "", "device": str(device)}))
        if outcome.started:
            yield f"{type}, {device}: {outcome}"
        yield from ground.canary.changes()


@attack
def test_device_of_a_volume_exchanged_while_it_is_opened(ground):
    (ground.allowed / "kept").mkdir(exist_ok=True)
    link = ground.allowed / "changing-volume"
    link.unlink(missing_ok=True)
    link.symlink_to(ground.out)
    path = ground.allowed / "kept"
    names = [ground.volume(Driver="local", DriverOpts={"type": "none", "o": "bind", "device": str(path)}) for _ in range(2)]
    met = set()
    with Exchange(ground.allowed, "kept", "changing-volume"):
        for round in ground.race(lambda rounds: rounds > 15 and met == {True, False}):
            outcome = ground.run(LOOK, HostConfig={"Binds": [f"{names[round % 2]}:/d:nocopy"]})
            met.add(outcome.started)
            if ground.reads_canary(outcome.output):
                yield f"raced: {outcome}"
            yield from ground.canary.changes()
    assert met == {True, False}, f"no race: {met}"


def in_a_namespace_of_their_own(ground):
    """A user without privilege binds what they like over what they may have: in a user namespace of their own."""
    inside, link = ground.allowed / "bound", ground.allowed / "link"
    inside.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    script = f"mount --rbind {ground.out} {inside} && echo bound && exec sleep 60"
    process = subprocess.Popen(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"bound\n"
    link.symlink_to(f"/proc/{process.pid}/root{inside}")
    return process, link


@attack
def test_a_path_of_another_mount_namespace(ground):
    """Its name there tells nothing of what it is here."""
    process, path = in_a_namespace_of_their_own(ground)
    try:
        for entry in (*by_every_field(path), {"Binds": [f"{path}:/d:U"]}, {"Binds": [f"{path}/new:/d"]}):
            outcome = ground.run(LOOK, User="33", HostConfig=entry)
            if outcome.started:
                yield f"{entry}: {outcome}"
            yield from ground.canary.changes()
        source = ground.allowed / "below"
        source.mkdir(exist_ok=True)
        entry = {"Binds": [f"{source}:/d:O,upperdir={path}/inner,workdir={path}/inner/deep"]}
        outcome = ground.run(LOOK, HostConfig=entry)
        if outcome.started:
            yield f"{entry}: {outcome}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
