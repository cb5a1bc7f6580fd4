"""Builds the test images named on the command line (all by default) into a cache.

Each directory of recipes/ is one image repository: its recipe.py has `build(context)`, which
fills an OCI layout. The layout becomes <cache>/<name>; a recipe whose inputs are unchanged is
skipped. See README.md.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import oci

HERE = Path(__file__).resolve().parent
RECIPES = HERE / "recipes"
KEY_FILE = "holdfast-key"
REF = "org.opencontainers.image.ref.name"


class Context:
    """What a recipe works with: its own layout, its own directory and the images below it."""

    def __init__(self, cache, directory, layout):
        self.cache, self.directory, self.layout = cache, directory, layout

    def base(self, name, tag="latest"):
        """An image of another repository; that repository must be in the recipe's BASES."""
        return oci.load_image(self.cache / name, tag)

    def text(self, name):
        """A file beside the recipe."""
        return (self.directory / name).read_text()


class Builder:
    """Builds recipes, bases first, each at most once."""

    def __init__(self, cache, force):
        self.cache, self.force = cache, force
        self.keys = {}

    def build(self, name):
        """Brings <cache>/<name> up to date and returns the key of its inputs."""
        if name in self.keys:
            return self.keys[name]
        recipe = load_recipe(name)
        key = self.keys[name] = self._key(name, recipe)
        if self.force or current_key(self.cache / name) != key:
            self._replace(name, recipe, key)
        else:
            print(f"{name}: up to date")
        return key

    def _key(self, name, recipe):
        hashed = hashlib.sha256((HERE / "oci.py").read_bytes())
        for path in sorted((RECIPES / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                hashed.update(path.name.encode() + b"\0" + path.read_bytes())
        for module in getattr(recipe, "MODULES", ()):
            hashed.update(Path(module.__file__).read_bytes())
        for base in getattr(recipe, "BASES", ()):
            hashed.update(self.build(base).encode())
        for path in getattr(recipe, "HOST_FILES", ()):
            hashed.update(Path(path).read_bytes())
        return hashed.hexdigest()

    def _replace(self, name, recipe, key):
        print(f"{name}: building", flush=True)
        start = time.monotonic()
        staging = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=self.cache))
        try:
            staging.chmod(0o755)
            layout = oci.Layout(staging / "new")
            recipe.build(Context(self.cache, RECIPES / name, layout))
            layout.finish()
            (staging / "new" / KEY_FILE).write_text(key)
            target = self.cache / name
            if target.exists():
                target.rename(staging / "old")
            (staging / "new").rename(target)
        finally:
            shutil.rmtree(staging)
        print(f"{name}: {describe(self.cache / name)} in {time.monotonic() - start:.1f} s")


def load_recipe(name):
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", RECIPES / name / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def current_key(layout):
    try:
        return (layout / KEY_FILE).read_text()
    except FileNotFoundError:
        return None


def tags_of(layout):
    index = json.loads((layout / "index.json").read_text())
    return [manifest["annotations"][REF] for manifest in index["manifests"]]


def print_references(cache, images):
    for image in images:
        name, _, tag = image.partition(":")
        if (cache / name).exists():
            for each in [tag] if tag else tags_of(cache / name):
                print(f"{name}:{each}")


def describe(layout):
    size = sum(path.stat().st_size for path in layout.rglob("*") if path.is_file())
    return f"{', '.join(tags_of(layout))} ({size / 1e6:.1f} MB)"


def archive(cache, directory, name, tag):
    """Writes <directory>/<name>.tar, or <name>-<tag>.tar for another tag than the default."""
    tags = tags_of(cache / name)
    default = "latest" if "latest" in tags else tags[0]
    tag = tag or default
    if tag not in tags:
        sys.exit(f'no tag "{tag}" of "{name}": there are {", ".join(tags)}')
    target = directory / (f"{name}.tar" if tag == default else f"{name}-{tag}.tar")
    target.unlink(missing_ok=True)  # skopeo won't write over an archive
    source = f"oci:{cache / name}:{tag}"
    subprocess.run(
        ["skopeo", "--insecure-policy", "copy", "--quiet", source]
        + [f"docker-archive:{target}:{name}:{tag}"],
        check=True,
    )
    print(f"{target}: {name}:{tag}")


def lock(cache):
    """Held until exit: several test runs may ask for images at the same time."""
    handle = os.open(cache / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for another build", file=sys.stderr)
        fcntl.flock(handle, fcntl.LOCK_EX)


def parse_arguments(known):
    parser = argparse.ArgumentParser(prog="build.sh", description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", metavar="NAME[:TAG]", help=", ".join(known))
    parser.add_argument("--archive", metavar="DIR", type=Path, help="write docker archives too")
    parser.add_argument("--force", action="store_true", help="build even what is up to date")
    parser.add_argument("--list", action="store_true", help="print NAME:TAG of what is built")
    parser.add_argument("--where", action="store_true", help="print the cache directory and exit")
    arguments = parser.parse_args()
    for image in arguments.images:
        if image.partition(":")[0] not in known:
            parser.error(f'no image "{image}": there are {", ".join(known)}')
    return arguments


def cache_directory():
    fallback = os.environ.get("XDG_CACHE_HOME") or "/var/cache"
    default = Path(fallback) / "holdfast-test-images"
    return Path(os.environ.get("HOLDFAST_TEST_IMAGES") or default).absolute()


def main():
    known = sorted(path.parent.name for path in RECIPES.glob("*/recipe.py"))
    arguments = parse_arguments(known)
    cache = cache_directory()
    if arguments.where:
        print(cache)
        return
    cache.mkdir(parents=True, exist_ok=True)
    lock(cache)
    images = arguments.images or known
    if arguments.list:
        print_references(cache, images)
        return
    builder = Builder(cache, arguments.force)
    for image in images:
        builder.build(image.partition(":")[0])
    if arguments.archive:
        arguments.archive.mkdir(parents=True, exist_ok=True)
        for image in images:
            name, _, tag = image.partition(":")
            archive(cache, arguments.archive, name, tag)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"build.sh: {shlex.join(map(str, error.cmd))}: exit code {error.returncode}")
