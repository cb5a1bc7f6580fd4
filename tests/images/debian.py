"""Layers from Debian packages: a bootstrapped root, and packages unpacked on top of it.

Both take the Debian sources that apt on this host has, so `apt-get update` must have run.
"""

import fnmatch
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import oci

SUITE = "bookworm"
# Never of use in a test, or different at each build, or the host's own.
LEFT_OUT = """
dev/* etc/*- etc/apt/sources.list etc/hostname etc/machine-id etc/resolv.conf run/* tmp/*
usr/share/bug/* usr/share/doc/* usr/share/doc-base/* usr/share/info/* usr/share/lintian/*
usr/share/locale/* usr/share/man/* var/cache/*/* var/lib/apt/lists/* var/lib/dpkg/*-old
var/log/*
""".split()
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Else the usrmerge package comes in to merge directories, and all of Perl with it.
MERGED_FROM_THE_START = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"


def wanted(path, left_out=()):
    return not any(fnmatch.fnmatchcase(path, glob) for glob in (*LEFT_OUT, *left_out))


def sources():
    """This host's Debian sources as lines of sources.list; other vendors' are left alone."""
    line = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    command = ["apt-get", "indextargets", "--format", line]
    lines = run(*command, "Created-By: Packages", "Origin: Debian").decode()
    if not lines:
        raise SystemExit("apt has no index of a Debian source: run apt-get update")
    return lines


def run(*command):
    """Standard output of a command, which speaks on standard error only if it fails."""
    done = subprocess.run(command, capture_output=True)
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stderr)
        done.check_returncode()
    return done.stdout


def bootstrap():
    """The essential packages, installed and configured, as a tree."""
    with tempfile.TemporaryDirectory() as directory:
        listing, archive = Path(directory, "sources.list"), Path(directory, "root.tar")
        listing.write_text(sources())
        options = ["--variant=essential", MERGED_FROM_THE_START]
        run("mmdebstrap", *options, SUITE, archive, listing)
        tree = oci.Tree()
        with open(archive, "rb") as stream:
            tree.add_tar(stream, lambda path: path if wanted(path) else None)
    return tree


def unpack(cache, names, base, without=(), left_out=()):
    """The files of packages and what they depend on beyond `base`, the tree they will lie on.

    Nothing is configured: no maintainer script runs, so this takes seconds and needs no root,
    and the recipe makes what it needs (accounts, directories). `without` names dependencies
    that the image can do without, `left_out` has patterns of paths.
    """

    def place(path):
        first, slash, rest = path.partition("/")
        if first in MERGED:  # directories there, but links to usr/* in a merged root
            path = "usr/" + first + slash + rest
        return path if wanted(path, left_out) else None

    tree = oci.Tree()
    for deb in download(cache, names, base.read("var/lib/dpkg/status")):
        if deb.name.partition("_")[0] not in without:
            tree.add_tar(io.BytesIO(run("dpkg-deb", "--fsys-tarfile", deb)), place)
    for path in [path for path, (info, _) in tree.entries.items() if info.isdir()]:
        if path in base.entries:
            del tree.entries[path]
    return tree


def download(cache, names, status):
    """Paths of the .deb files that installing `names` onto a root with `status` would take."""
    archives = cache / ".debs"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "status").write_bytes(status)
        Path(directory, "sources.list").write_text(sources())
        empty = Path(directory, "archives")
        (empty / "partial").mkdir(parents=True)
        options = [
            f"Dir::State::status={directory}/status",
            f"Dir::Etc::SourceList={directory}/sources.list",
            "Dir::Etc::SourceParts=/dev/null",
            "Dir::Etc::PreferencesParts=/dev/null",
            "Dir::Cache::pkgcache=",
            "Dir::Cache::srcpkgcache=",
            "APT::Install-Recommends=false",
            "APT::Sandbox::User=root",
            "Debug::NoLocking=true",
        ]
        apt = ["apt-get", "-qq", *(f"-o{option}" for option in options), "install", *names]
        # apt names only what is not in its archives yet: show it empty ones.
        uris = run(*apt, f"-oDir::Cache::archives={empty}", "--print-uris").decode()
        files = [archives / line.split()[1] for line in uris.splitlines()]
        if not all(file.exists() for file in files):
            run(*apt, f"-oDir::Cache::archives={archives}", "--yes", "--download-only")
    return files


def add_account(tree, base, name, number, home, shell):
    """Adds a system user and its group to the accounts of `base`."""
    lines = {
        "etc/passwd": f"{name}:x:{number}:{number}::{home}:{shell}\n",
        "etc/group": f"{name}:x:{number}:\n",
    }
    for path, line in lines.items():
        tree.file(path, base.read(path).decode() + line)
