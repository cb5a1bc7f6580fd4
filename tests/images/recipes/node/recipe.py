"""node: Debian's Node.js with npm, on the debian image whatever the tag says.

npm is its own package from the npm registry, which brings all it needs along: Debian's npm
depends on some four hundred packages.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import debian
import oci

BASES = ("debian",)
MODULES = (debian,)
NPM = "npm@10.8.2"
MODULE = "usr/lib/node_modules/npm"


def npm():
    """npm as `npm install -g` would lay it out."""

    def place(path):
        path = path.removeprefix("package/")
        return None if path.startswith(("docs/", "man/")) else f"{MODULE}/{path}"

    if not shutil.which("npm"):
        raise SystemExit("node: npm is missing; it comes with Node.js or as Debian's npm")
    tree = oci.Tree()
    with tempfile.TemporaryDirectory() as directory:
        command = ["npm", "pack", "--silent", "--pack-destination", directory, NPM]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=directory)
        (archive,) = Path(directory).glob("*.tgz")
        with open(archive, "rb") as stream:
            tree.add_tar(stream, place)
    for path in {str(parent) for file in tree.entries for parent in Path(file).parents}:
        if path.startswith("usr/lib/node_modules"):  # npm's archives name no directories
            tree.directory(path)
    for name in ("npm", "npx"):
        script = f"{MODULE}/bin/{name}-cli.js"
        tree.entries[script][0].mode = 0o755
        tree.symlink(f"usr/bin/{name}", f"../../{script}")
    return tree


def build(context):
    image, layout = context.base("debian"), context.layout
    base = oci.read_tree(image.layers[0])
    image = image.derive(
        layout.layer(debian.unpack(context.cache, ["nodejs"], base), "nodejs"),
        layout.layer(npm(), NPM),
        Cmd=["node"],
    )
    layout.add(image, "20-alpine", "latest")
