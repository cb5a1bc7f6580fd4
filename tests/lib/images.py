"""The test images on a registry of the session, and in the engine under their plain names."""

import subprocess
import tempfile
from pathlib import Path

from engine import SOURCE

REGISTRY_SH = SOURCE / "tests/images/registry.sh"


class Registry:
    """A docker-registry on loopback; close() ends it and removes its storage."""

    def __init__(self, auth=None):
        self.dir = tempfile.TemporaryDirectory(prefix="holdfast-registry-")
        self.pidfile = Path(self.dir.name) / "pid"
        self.auth = auth
        self.pushed = set()
        words = ["--auth", auth] if auth else []
        self.address = self._run("start", "--pidfile", self.pidfile, *words).strip()

    def _run(self, *words):
        done = subprocess.run(
            ["bash", REGISTRY_SH, *map(str, words)], capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"registry.sh {words}: {done.stderr}"
        return done.stdout

    @property
    def pid(self):
        return int(self.pidfile.read_text())

    def push(self, image):
        """Makes the image available, and returns the name to pull it by."""
        image = image if ":" in image else f"{image}:latest"
        if image not in self.pushed:
            words = ["--creds", self.auth] if self.auth else []
            self._run("push", "--to", self.address, *words, image)
            self.pushed.add(image)
        return f"{self.address}/library/{image}"

    def close(self):
        self._run("stop", "--pidfile", self.pidfile)
        self.dir.cleanup()


class Images:
    """What the engine has been given of the test images."""

    def __init__(self, engine, registry):
        self.engine = engine
        self.registry = registry
        self.names = set()

    def have(self, *images):
        for image in images:
            image = image if ":" in image else f"{image}:latest"
            if image not in self.names:
                self._fetch(image)
                self.names.add(image)

    def _fetch(self, image):
        reference = self.registry.push(image)
        api = self.engine.api
        repository, tag = reference.rsplit(":", 1)
        answer = api.post("/images/create", fromImage=repository, tag=tag)
        assert answer.status == 200 and b'"error"' not in answer.body, answer.body
        repo, tag = image.split(":")
        answer = api.post(f"/images/{reference}/tag", repo=repo, tag=tag)
        assert answer.status == 201, answer.body

    @property
    def kept_tags(self):
        return self.names | {f"{self.registry.address}/library/{name}" for name in self.names}

    def restore(self):
        """After a test: only the images that were asked for, and all of those."""
        tags = self.engine.api.tags()
        for tag in tags - self.kept_tags:
            self.engine.api.delete(f"/images/{tag}", force=1)
        for image in self.engine.api.images():
            if not image.get("RepoTags") or image["RepoTags"] == ["<none>:<none>"]:
                self.engine.api.delete(f"/images/{image['Id']}", force=1)
        self.names = {name for name in self.names if name in tags}
