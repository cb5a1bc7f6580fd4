"""Sub-paths of volumes and images that lead out of them (CVE-2017-1002101, CVE-2021-25741)."""

import os
import time

from exchange import Exchange
from ground import attack
from hostile_image import HostileImage

MATTERS = "paths"
LOOK = "cat /d/secret; cat /d/inner/secret; echo planted >/d/planted"


def mounted(volume, subpath):
    return {"Type": "volume", "Source": volume, "Target": "/d", "VolumeOptions": {"Subpath": subpath}}


def up_and_down(ground, depth=24):
    return "../" * depth + str(ground.out).lstrip("/")


@attack
def test_symlink_in_a_volume(ground):
    volume = ground.volume()
    files = ground.files_of(volume)
    links = {"absolute": ground.out, "upwards": up_and_down(ground), "own": f"/proc/self/root{ground.out}",
             "first": f"/proc/1/root{ground.out}", "descriptor": f"/proc/self/cwd/{up_and_down(ground)}",
             "hops": "absolute"}
    for name, target in links.items():
        (files / name).symlink_to(target)
    (files / "folder").mkdir()
    (files / "folder/hop").symlink_to("../absolute")
    for subpath in (*links, "absolute/inner", "folder/hop", "folder/hop/inner"):
        outcome = ground.run(LOOK, HostConfig={"Mounts": [mounted(volume, subpath)]})
        if ground.reads_canary(outcome.output) or outcome.started:
            yield f"sub-path {subpath}: {outcome}"


@attack
def test_path_that_climbs(ground):
    volume = ground.volume()
    for subpath in (up_and_down(ground), f"x/../{up_and_down(ground)}", str(ground.out), f"/{up_and_down(ground)}",
                    "..", "../..", "../volume.json", ".../../..", "..\\..", "%2e%2e/%2e%2e"):
        outcome = ground.run(LOOK, HostConfig={"Mounts": [mounted(volume, subpath)]})
        if outcome.started:
            yield f"sub-path {subpath}: {outcome}"
    # What checks of the text alone would let pass.
    (ground.files_of(volume) / "up").symlink_to("..")
    outcome = ground.run("cat /d/volume.json", HostConfig={"Mounts": [mounted(volume, "up")]})
    if outcome.started:
        yield f"a link upwards: {outcome}"


def race(ground, volume, subpath, seconds=1.2):
    """Looks through the sub-path for some seconds, as a container that starts and as a cp from one that doesn't: what
    was found. Both must have met the one and the other, or it was no race."""
    mounts = {"Mounts": [mounted(volume, subpath)]}
    stopped = ground.create(HostConfig=mounts).json["Id"]
    begin = time.monotonic()
    met = {"started": set(), "looked": set()}
    both = {"started": {True, False}, "looked": {True, False}}
    for _ in ground.race(lambda rounds: time.monotonic() > begin + seconds and met == both):
        outcome = ground.run(LOOK, HostConfig=mounts)
        met["started"].add(outcome.started)
        if ground.reads_canary(outcome.output):
            yield f"{subpath}: read {outcome.output!r}"
        for path in ("/d/secret", "/d/inner/secret") * 5:
            answer = ground.api.get(f"/containers/{stopped}/archive", path=path)
            met["looked"].add(answer.status == 404 and "Could not find" in answer.message)
            if ground.reads_canary(answer.body):
                yield f"{subpath}: copied {path}"
        yield from ground.canary.changes()
    assert met == both, f"no race: {met}"


@attack
def test_directory_exchanged_by_another_container(ground):
    """Two containers share a volume: one exchanges a directory for a symlink while the other starts."""
    volume = ground.volume()
    attacker = ground.start(HostConfig={"Binds": [f"{volume}:/v"]})
    files = f"{ground.root_of(attacker)}/v"
    os.mkdir(f"{files}/sub")
    os.mkdir(f"{files}/sub/inner")
    os.symlink(ground.out, f"{files}/link")
    with Exchange(files, "sub", "link"):
        yield from race(ground, volume, "sub")
    with Exchange(files, "sub", "link"):
        yield from race(ground, volume, "sub/inner")


@attack
def test_directory_moved_away_under_the_path(ground):
    """".." of a directory that is moved upwards while it is passed through."""
    volume = ground.volume()
    files = ground.files_of(volume)
    (files / "a/b/c").mkdir(parents=True)
    (files / "a/b/c/back").symlink_to("../../../" + up_and_down(ground))
    (files / "flat").mkdir()
    refusals = ""
    with Exchange(files, "a/b", "flat"):
        # Most rounds find the directory elsewhere, and then no link in it.
        for _ in ground.race(lambda rounds: rounds > 5 and "leads out" in refusals):
            outcome = ground.run(LOOK, HostConfig={"Mounts": [mounted(volume, "a/b/c/back")]})
            refusals += outcome.refusal
            if outcome.started:
                yield f"got out: {outcome}"
    assert "leads out" in refusals or ground.weak, f"the link was never met: {refusals}"


@attack
def test_symlink_in_an_image(ground):
    image = HostileImage()
    image.symlink("absolute", ground.out).symlink("upwards", up_and_down(ground))
    image.symlink("own", f"/proc/self/root{ground.out}").directory("folder").symlink("folder/hop", "../absolute")
    name = ground.image("links", image)
    for subpath in ("absolute", "upwards", "own", "folder/hop", "absolute/inner"):
        mount = {"Type": "image", "Source": name, "Target": "/d", "ImageOptions": {"Subpath": subpath}}
        outcome = ground.run(LOOK, HostConfig={"Mounts": [mount]})
        if outcome.started:
            yield f"sub-path {subpath} of an image: {outcome}"
