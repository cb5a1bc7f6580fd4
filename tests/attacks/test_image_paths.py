"""What the engine reads in an image stays in the image, whatever symlinks it has (CVE-2022-23648, CVE-2019-14271)."""

from ground import attack
from hostile_image import HostileImage

MATTERS = "paths"


def climbing(ground):
    return "../" * 24 + str(ground.out).lstrip("/")


@attack
def test_volume_path_that_leads_to_the_host(ground):
    """What is copied into a new volume comes from the image, not from where its symlink leads on the host."""
    targets = {"absolute": ground.out, "climbing": climbing(ground), "own": f"/proc/self/root{ground.out}",
               "first": f"/proc/1/root{ground.out}"}
    for how, target in targets.items():
        for path, volume in (("data", "/data"), ("data", "/data/inner"), ("x/data", "/x/data")):
            image = HostileImage(Volumes={volume: {}}).directory("x").symlink(path, target)
            name = ground.image("volume-link", image)
            for entry in ({}, {"HostConfig": {"Binds": [f"{ground.volume()}:{volume}"]}}):
                identity = ground.create(image=name, **entry).json["Id"]
                yield from (f"{how} {volume}: {copy}" for copy in ground.volumes_with_canary())
                ground.api.delete(f"/containers/{identity}", v=1)


@attack
def test_volume_path_that_climbs(ground):
    """A path of text alone: it is cleaned, as any path of a container."""
    for volume in (f"/{climbing(ground)}", f"/x/../{climbing(ground)}", climbing(ground), "..", "/..", "/x/../.."):
        name = ground.image("climbing", HostileImage(Volumes={volume: {}}).directory("x"))
        ground.create(image=name)
        yield from (f"{volume}: {copy}" for copy in ground.volumes_with_canary())
    image = HostileImage(Volumes={"/x/up/inner": {}}).directory("x").symlink("x/up", climbing(ground))
    ground.create(image=ground.image("climbing", image))
    yield from ground.volumes_with_canary()


@attack
def test_target_that_leads_to_the_host(ground):
    """Nothing is made on the host for a mount's target, neither at the start nor for a cp before it."""
    image = HostileImage().symlink("out", ground.out).symlink("up", climbing(ground)).symlink("new", ground.out / "new")
    name = ground.image("targets", image)
    for target in ("/out/stub", "/up/stub", "/new", "/new/deep", "/out/inner/stub/deep"):
        bind = {"Binds": [f"{ground.volume()}:{target}"]}
        ground.run("true", image=name, HostConfig=bind)
        made = ground.create(image=name, HostConfig=bind).json
        ground.api.get(f"/containers/{made['Id']}/archive", path="/bin/true")
        yield from ground.canary.changes()


@attack
def test_users_are_those_of_the_image(ground):
    """/etc/passwd that leads to the host's is no way to a user of the host."""
    for target in (ground.out / "passwd", f"{climbing(ground)}/passwd", f"/proc/1/root{ground.out}/passwd"):
        image = HostileImage(User="canary").directory("etc").symlink("etc/passwd", target)
        outcome = ground.run("id -u", image=ground.image("users", image))
        if outcome.started:
            yield f"{target}: {outcome}"


@attack
def test_cp_out_of_a_stopped_container(ground):
    image = HostileImage().symlink("out", ground.out).symlink("up", climbing(ground))
    image.symlink("own", f"/proc/self/root{ground.out}").directory("d").symlink("d/secret", ground.out / "secret")
    identity = ground.create(image=ground.image("cp", image)).json["Id"]
    for path in ("/out/secret", "/out/.", "/out/", "/up/secret", "/own/secret", "/up/inner", "/d/secret/",
                 f"/{climbing(ground)}/secret", "/d/../../../../../../.." + str(ground.out) + "/secret"):
        answer = ground.api.get(f"/containers/{identity}/archive", path=path)
        if ground.reads_canary(answer.body):
            yield f"cp from {path}"
