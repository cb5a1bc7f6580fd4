"""Mounts that would cover /proc, /sys or /dev, by name or by a symlink (CVE-2019-16884, CVE-2019-19921)."""

import os
import time

import pytest

from exchange import Exchange
from ground import attack
from hostile_image import HostileImage
from probe import Mount

MATTERS = "runtimes"
SHOW = "while read -r line; do echo mount $line; done </proc/self/mountinfo; ls -ld /proc /sys /dev"
# What a container has there by the engine's own wish.
OF_THE_ENGINE = {"proc", "sysfs", "tmpfs", "cgroup", "cgroup2", "devpts", "mqueue", "devtmpfs"}


def covered(outcome):
    """What shows that something covers one of the kernel's directories, or that they are not there."""
    if not outcome.started:
        if outcome.left_to_the_runtime:
            yield f"left to the runtime: {outcome.refusal}"
        return
    lines = outcome.output.splitlines()
    mounts = [Mount.parse(line[6:]) for line in lines if line.startswith("mount ")]
    if not mounts:
        yield f"/proc is not what it should be: {outcome}"
    for mount in mounts:
        inside = any(f"{mount.target}/".startswith(f"/{name}/") for name in ("proc", "sys", "dev"))
        if inside and mount.type not in OF_THE_ENGINE:
            yield f"{mount.type} {mount.root} on {mount.target}"
    for name, kind in (("/proc", "proc"), ("/sys", "sysfs"), ("/dev", "tmpfs")):
        there = [mount.type for mount in mounts if mount.target == name]
        if mounts and there != [kind]:
            yield f"{name} has {there or 'nothing'}"
    yield from (f"no directory: {line}" for line in lines if line.startswith("l"))


TARGETS = ("/proc", "/proc/", "//proc", "/x/../proc", "/proc/self", "/proc/1/attr", "/proc/sys/kernel", "/proc/thread-self")


def entries(ground, volume, target):
    """The same mount by every field that can ask for it."""
    yield {"HostConfig": {"Binds": [f"{volume}:{target}"]}}
    yield {"HostConfig": {"Binds": [f"{ground.out}:{target}"]}}
    for mount in ({"Type": "volume", "Source": volume}, {"Type": "bind", "Source": str(ground.out)},
                  {"Type": "tmpfs"}, {"Type": "image", "Source": "attacker"}, {"Type": "ramfs"}):
        yield {"HostConfig": {"Mounts": [{**mount, "Target": target}]}}
    yield {"HostConfig": {"Tmpfs": {target: ""}}}
    yield {"Volumes": {target: {}}}


@attack
def test_target_in_proc_through_every_field(ground):
    volume = ground.volume()
    for target in TARGETS:
        for entry in entries(ground, volume, target):
            yield from covered(ground.run(SHOW, **entry))


@attack
def test_symlink_of_the_image(ground):
    image = HostileImage().symlink("p", "/proc").symlink("s", "proc/self").directory("d")
    image.symlink("d/p", "../proc").symlink("n", "/dev/null").symlink("v", "/dev").symlink("t", "/d/pts")
    image.symlink("d/pts", "/dev/pts").symlink("hop", "p")
    name = ground.image("links", image)
    volume = ground.volume()
    for target in ("/p", "/p/self", "/s/attr", "/d/p", "/n", "/v", "/v/shm/../null", "/t", "/hop/1"):
        for entry in ({"HostConfig": {"Binds": [f"{volume}:{target}"]}}, {"HostConfig": {"Tmpfs": {target: ""}}}):
            yield from covered(ground.run(SHOW, image=name, **entry))


@attack
def test_volume_of_the_image(ground):
    for volume in ("/proc", "/proc/self/attr", "/sys", "/sys/kernel", "/dev", "/dev/pts", "/p", "/s", "/v", "/v/null",
                   "/v/console", "/x/../../p"):
        image = HostileImage(Volumes={volume: {}})
        image.symlink("p", "/proc").symlink("s", "/sys").symlink("v", "/dev").directory("x")
        yield from covered(ground.run(SHOW, image=ground.image("volumes", image)))


@attack
def test_symlink_in_another_mount(ground):
    """Of two mounts one lies in the other, where another container has put a symlink."""
    parent, child = ground.volume(), ground.volume()
    (ground.files_of(child) / "null").touch()
    for target in ("/proc", "../proc", "/proc/1/attr", "/sys", "/sys/fs/cgroup", "/dev", "/dev/pts", "/dev/null", "/"):
        link = ground.files_of(parent) / "link"
        link.symlink_to(target)
        for entry in ({"Binds": [f"{parent}:/shared", f"{child}:/shared/link"]},
                      {"Binds": [f"{parent}:/shared"], "Tmpfs": {"/shared/link": ""}}):
            yield from covered(ground.run(SHOW, HostConfig=entry))
        link.unlink()


@attack
def test_symlink_exchanged_while_the_container_starts(ground):
    parent, child = ground.volume(), ground.volume()
    attacker = ground.start(HostConfig={"Binds": [f"{parent}:/v"]})
    files = f"{ground.root_of(attacker)}/v"
    os.mkdir(f"{files}/sub")
    os.symlink("/proc", f"{files}/link")
    binds = {"Binds": [f"{parent}:/shared", f"{child}:/shared/sub"]}
    begin = time.monotonic()
    started = 0
    with Exchange(files, "sub", "link"):
        for _ in ground.race(lambda rounds: time.monotonic() > begin + 2 and started):
            outcome = ground.run(SHOW, HostConfig=binds)
            started += outcome.started
            # That runc refuses it by itself is no breach here: the moment passed the engine by.
            if outcome.started:
                yield from covered(outcome)
    assert started or ground.weak, "the race was never won"


@attack
def test_files_the_engine_mounts_itself(ground):
    """/etc/hosts and its kin, and docker-init, where the image has symlinks."""
    for name, target in (
        ("etc", "/proc"), ("etc", "/proc/self"), ("etc", "/dev"), ("etc/hosts", "/proc/uptime"),
        ("etc/hostname", "/proc/self/attr/current"), ("etc/resolv.conf", "/proc/sys/kernel/core_pattern"),
        ("etc/hosts", "/dev/null"), ("etc/hosts", "/sys/kernel/uevent_seqnum"), ("sbin", "/proc/self"), ("sbin", "/dev"),
    ):
        image = HostileImage()
        if "/" in name:
            image.directory("etc")
        image.symlink(name, target)
        yield from covered(ground.run(SHOW, image=ground.image("etc", image), HostConfig={"Init": True}))


@attack
def test_kernel_directories_that_are_symlinks(ground):
    for name, target in (("dev", "/fake"), ("proc", "/fake"), ("sys", "/fake"), ("dev", "/"), ("proc", ".."), ("sys", "/proc"),
                         ("proc", "/proc/self")):
        image = HostileImage().directory("fake").symlink(name, target)
        yield from covered(ground.run(SHOW, image=ground.image("kernel", image)))


@attack
def test_devices_of_the_image(ground):
    """/dev is always a fresh tmpfs, whatever the image has there (CVE-2025-31133, CVE-2025-52565)."""
    image = HostileImage().directory("dev")
    for name in ("console", "null", "ptmx", "pts", "shm", "mqueue", "fd", "stdout", "tty"):
        image.symlink(f"dev/{name}", ground.out / "owned")
    name = ground.image("devices", image)
    for entry in ({}, {"Tty": True}, {"HostConfig": {"ReadonlyRootfs": True}}):
        outcome = ground.run(f"{SHOW}; echo x >/dev/null; echo y >/dev/console; cat /dev/null", image=name, **entry)
        if not entry.get("Tty"):
            yield from covered(outcome)
        if ground.reads_canary(outcome.output):
            yield f"a device of the image leads to the host: {outcome}"
    if ground.weak:
        yield from covered(ground.run(SHOW, HostConfig={"Binds": [f"{ground.volume()}:/proc"]}))
