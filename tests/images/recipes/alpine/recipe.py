"""alpine: laid out as Alpine is (applets as symbolic links, os-release), with Debian's busybox."""

import subprocess

import oci

BASES = ("busybox",)
BUSYBOX = "/bin/busybox"
HOST_FILES = (BUSYBOX,)

OS_RELEASE = """\
NAME="Alpine-like test image"
ID=alpine
VERSION_ID=3.20.0
PRETTY_NAME="Alpine-like test image (busybox from Debian)"
"""
DIRECTORIES = """
bin dev etc home lib media mnt opt proc root run sbin srv sys tmp usr usr/bin usr/lib
usr/local usr/local/bin usr/sbin usr/share var var/cache var/lib var/lock var/log var/tmp
""".split()


def files(busybox):
    """`busybox` is the tree of the busybox image, whose binary and accounts are taken over."""
    tree = oci.Tree()
    for path in DIRECTORIES:
        tree.directory(path, {"root": 0o700, "tmp": 0o1777, "var/tmp": 0o1777}.get(path, 0o755))
    for path in ("etc/passwd", "etc/group"):
        tree.file(path, busybox.read(path))
    tree.file("etc/shadow", busybox.read("etc/shadow"), 0o640, gid=42)
    tree.file("etc/os-release", OS_RELEASE)
    tree.file("etc/alpine-release", "3.20.0\n")
    tree.file("etc/hostname", "localhost\n")
    tree.file("etc/hosts", "127.0.0.1\tlocalhost localhost.localdomain\n")
    tree.file("bin/busybox", busybox.read("bin/busybox"), 0o755)
    listed = subprocess.run(
        [BUSYBOX, "--list-full"], stdout=subprocess.PIPE, check=True, text=True
    )
    for path in listed.stdout.split():
        if path != "bin/busybox":
            tree.symlink(path, "/bin/busybox")
    return tree


def build(context):
    busybox = oci.read_tree(context.base("busybox").layers[0])
    layer = context.layout.layer(files(busybox), "alpine-like root")
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    context.layout.add(oci.Image((layer,), {"Env": [path], "Cmd": ["/bin/sh"]}), "latest", "3.20")
