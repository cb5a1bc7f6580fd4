"""OCI images from plain Python: file trees, layers, configs, manifests and layouts.

Everything written here is deterministic: entries are sorted, times are fixed, and equal
inputs give equal digests on every machine with the same zlib.
"""

import dataclasses
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

EPOCH = 1735689600  # 2025-01-01, the time of every file and image
CREATED = "2025-01-01T00:00:00Z"

OCI = "application/vnd.oci.image."
LAYER_TYPES = {
    "none": OCI + "layer.v1.tar",
    "gzip": OCI + "layer.v1.tar+gzip",
    "zstd": OCI + "layer.v1.tar+zstd",
}


class Tree:
    """The files of one layer, held in memory, keyed by path without a leading slash."""

    def __init__(self):
        self.entries = {}  # path -> (TarInfo, bytes)

    def add(self, path, type_, mode, data=b"", link="", uid=0, gid=0, xattrs=None):
        info = tarfile.TarInfo(path.strip("/"))
        info.type, info.mode, info.linkname = type_, mode, link
        info.uid, info.gid, info.size = uid, gid, len(data)
        info.pax_headers = {"SCHILY.xattr." + k: v for k, v in (xattrs or {}).items()}
        self.entries[info.name] = (info, data)

    def directory(self, path, mode=0o755, **owner):
        self.add(path, tarfile.DIRTYPE, mode, **owner)

    def file(self, path, data, mode=0o644, **owner):
        data = data.encode() if isinstance(data, str) else data
        self.add(path, tarfile.REGTYPE, mode, data, **owner)

    def symlink(self, path, target, **owner):
        self.add(path, tarfile.SYMTYPE, 0o777, link=target, **owner)

    def hardlink(self, path, target):
        """`target` is a path in this same tree. Its owner and mode are repeated, as tar does."""
        target = target.strip("/")
        info = self.entries[target][0]
        self.add(path, tarfile.LNKTYPE, info.mode, link=target, uid=info.uid, gid=info.gid)

    def fifo(self, path, mode=0o644, **owner):
        self.add(path, tarfile.FIFOTYPE, mode, **owner)

    def whiteout(self, path):
        """Hides `path` of the layers below."""
        head, _, tail = path.strip("/").rpartition("/")
        self.file(f"{head}/.wh.{tail}", b"", 0)

    def opaque(self, path):
        """Hides all that the layers below have in the directory `path`."""
        self.file(f"{path}/.wh..wh..opq", b"", 0)

    def read(self, path):
        return self.entries[path.strip("/")][1]

    def add_tar(self, stream, rename=lambda name: name):
        """Adds a tar stream's members; `rename` gives the path to store, None to leave out."""
        with tarfile.open(fileobj=stream, mode="r|*") as tar:
            for info in tar:
                name = rename(info.name.removeprefix("./").strip("/"))
                if not name or name == ".":
                    continue
                data = tar.extractfile(info).read() if info.isreg() else b""
                info.name = name
                if info.islnk():
                    info.linkname = rename(info.linkname.removeprefix("./")) or info.linkname
                info.pax_headers = {
                    k: v for k, v in info.pax_headers.items() if k.startswith("SCHILY.xattr.")
                }
                self.entries[name] = (info, data)

    def write(self, stream):
        """Writes a tar: parents before children, hard links after all they may name."""

        def order(item):
            return item[1][0].islnk(), item[0].encode()

        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for _, (info, data) in sorted(self.entries.items(), key=order):
                info.mtime, info.uname, info.gname = EPOCH, "", ""
                tar.addfile(info, io.BytesIO(data))


class HashingWriter:
    """Passes bytes on while it counts and hashes them."""

    def __init__(self, stream):
        self.stream, self.hash, self.size = stream, hashlib.sha256(), 0

    def write(self, data):
        self.hash.update(data)
        self.size += len(data)
        return self.stream.write(data)

    def flush(self):
        self.stream.flush()

    @property
    def digest(self):
        return "sha256:" + self.hash.hexdigest()


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer blob, complete on disk at `path`."""

    path: Path
    digest: str
    size: int
    diff_id: str
    compression: str
    comment: str


@dataclasses.dataclass(frozen=True)
class Image:
    """Layers and the settings a container gets from them (`config` in Docker's names)."""

    layers: tuple
    config: dict
    architecture: str = "amd64"

    def derive(self, *layers, **config):
        """A child image: more layers on top, given settings replaced, others inherited."""
        merged = {**self.config, **config}
        return dataclasses.replace(self, layers=self.layers + layers, config=merged)

    def config_json(self):
        history = [{"created": CREATED, "created_by": layer.comment} for layer in self.layers]
        for key in ("Entrypoint", "Cmd"):
            if key in self.config:
                created_by = f"{key.upper()} {json.dumps(self.config[key])}"
                history.append(
                    {"created": CREATED, "created_by": created_by, "empty_layer": True}
                )
        return {
            "created": CREATED,
            "architecture": self.architecture,
            "os": "linux",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": history,
        }


class Layout:
    """An OCI image layout directory. Blobs appear by rename; `finish` writes the index last."""

    def __init__(self, root):
        self.root = Path(root)
        self.blobs = self.root / "blobs" / "sha256"
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.manifests = []

    def layer(self, tree, comment, compression="gzip"):
        """Stores a tree as a layer blob."""
        part = self.blobs / ".part"
        with open(part, "wb") as file:
            if compression == "zstd":
                diff_id, digest, size = write_zstd(tree, file)
            else:
                diff_id, digest, size = write_stream(tree, file, compression)
        path = self.blobs / digest.removeprefix("sha256:")
        part.rename(path)
        return Layer(path, digest, size, diff_id, compression, comment)

    def add(self, image, *tags):
        """Stores an image under the tags given and returns its descriptor."""
        for layer in image.layers:
            self._adopt(layer)
        descriptor = self._store_image(image)
        self._tag(descriptor, tags)
        return descriptor

    def add_index(self, images, *tags):
        """Stores a multi-platform index of images under the tags given."""
        manifests = [
            {
                **self.add(image),
                "platform": {"architecture": image.architecture, "os": "linux"},
            }
            for image in images
        ]
        media_type = OCI + "index.v1+json"
        index = {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}
        self._tag(self._json(index, media_type), tags)

    def finish(self):
        (self.root / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        index = {"schemaVersion": 2, "manifests": self.manifests}
        (self.root / "index.json").write_text(json.dumps(index, indent=1))

    def _tag(self, descriptor, tags):
        for tag in tags:
            annotations = {"org.opencontainers.image.ref.name": tag}
            self.manifests.append({**descriptor, "annotations": annotations})

    def _store_image(self, image):
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI + "manifest.v1+json",
            "config": self._json(image.config_json(), OCI + "config.v1+json"),
            "layers": [
                {
                    "mediaType": LAYER_TYPES[layer.compression],
                    "digest": layer.digest,
                    "size": layer.size,
                }
                for layer in image.layers
            ],
        }
        return self._json(manifest, OCI + "manifest.v1+json")

    def _json(self, value, media_type):
        data = json.dumps(value, indent=1).encode()
        name = hashlib.sha256(data).hexdigest()
        (self.blobs / name).write_bytes(data)
        return {"mediaType": media_type, "digest": "sha256:" + name, "size": len(data)}

    def _adopt(self, layer):
        """Links a base image's layer into this layout, so that it takes no more room."""
        path = self.blobs / layer.digest.removeprefix("sha256:")
        if not path.exists():
            os.link(layer.path, path)


def write_stream(tree, file, compression):
    outer = HashingWriter(file)
    if compression == "none":
        tree.write(outer)
        return outer.digest, outer.digest, outer.size
    with gzip.GzipFile("", "wb", 6, outer, mtime=0) as packer:
        inner = HashingWriter(packer)
        tree.write(inner)
    return inner.digest, outer.digest, outer.size


def write_zstd(tree, file):
    raw = io.BytesIO()
    inner = HashingWriter(raw)
    tree.write(inner)
    packed = subprocess.run(
        ["zstd", "-q", "-6", "-c"], input=raw.getvalue(), stdout=subprocess.PIPE, check=True
    ).stdout
    outer = HashingWriter(file)
    outer.write(packed)
    return inner.digest, outer.digest, outer.size


def load_image(root, tag):
    """Reads an image back from a finished layout, to derive others from it."""
    blobs = Path(root) / "blobs" / "sha256"

    def blob(descriptor):
        return json.loads((blobs / descriptor["digest"].removeprefix("sha256:")).read_text())

    index = json.loads((Path(root) / "index.json").read_text())
    ref = "org.opencontainers.image.ref.name"
    found = [m for m in index["manifests"] if m["annotations"][ref] == tag]
    manifest = blob(found[0])
    config = blob(manifest["config"])
    compressions = {media_type: key for key, media_type in LAYER_TYPES.items()}
    comments = [h["created_by"] for h in config["history"] if not h.get("empty_layer")]
    layers = [
        Layer(
            blobs / layer["digest"].removeprefix("sha256:"),
            layer["digest"],
            layer["size"],
            diff_id,
            compressions[layer["mediaType"]],
            comment,
        )
        for layer, diff_id, comment in zip(
            manifest["layers"], config["rootfs"]["diff_ids"], comments, strict=True
        )
    ]
    return Image(tuple(layers), config["config"], config["architecture"])


def read_tree(layer):
    """The files of a gzip layer (whiteouts not interpreted)."""
    tree = Tree()
    with gzip.open(layer.path) as stream:
        tree.add_tar(stream)
    return tree
