"""What a container leaves behind to be removed: nothing outside goes with it (CVE-2024-23652)."""

from ground import attack
from waiting import until


def gone(ground):
    """What is removed in the background is removed, or something else is."""
    root = ground.engine.data_root

    def left():
        trash = [entry for entry in (root / "trash").iterdir() if "reserve" not in entry.name]
        return trash + list((root / "containers").glob(".removed-*"))

    until(lambda: not left() or ground.canary.changes(), lambda: f"what was removed is gone; left: {left()}", 20)


@attack
def test_parents_of_a_mount_replaced(ground):
    volume = ground.volume()
    climb = "../" * 24 + str(ground.out).lstrip("/")
    script = f"""mv /a /old; ln -s {ground.out} /a; mkdir -p /x/y; ln -s {climb} /x/b; rm -rf /etc; ln -s {ground.out} /etc;
                 ln -s {ground.out} /work; ln -s {ground.out}/inner /y; true"""
    binds = {"Binds": [f"{volume}:/a/b/c"]}
    for parts in ({}, {"AutoRemove": True}):
        identity = ground.start(script, HostConfig={**binds, **parts})
        ground.api.post(f"/containers/{identity}/wait")
        ground.api.post(f"/containers/{identity}/start")
        ground.api.post(f"/containers/{identity}/wait")
        ground.api.delete(f"/containers/{identity}", force=1, v=1)
        gone(ground)
        yield from ground.canary.changes()


@attack
def test_volume_full_of_links(ground):
    volume = ground.volume()
    climb = "../" * 24 + str(ground.out).lstrip("/")
    script = f"cd /d; ln -s {ground.out} out; ln -s {ground.out}/inner in; ln -s {climb} up; ln -s {ground.out}/secret file"
    ground.run(script, HostConfig={"Binds": [f"{volume}:/d"]})
    ground.run(script, Volumes={"/d": {}})
    ground.api.delete(f"/volumes/{volume}")
    ground.api.post("/volumes/prune")
    gone(ground)
    yield from ground.canary.changes()
