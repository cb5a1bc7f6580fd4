"""volumeful: declares VOLUME /data and has there whatever is hard to copy.

/usr/bin/describe DIR lists a directory so that equal trees give equal text; the image's
listing of its own /data is /data.expected, and CMD compares the two. What describe can't
show: the user.* xattrs of `xattrs` and `attributed`, the capability of `capable`.
"""

import oci

BASES = ("busybox",)
# struct vfs_cap_data: revision 2, effective; CAP_NET_RAW permitted
NET_RAW_CAPABILITY = "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
MEGABYTE = 1 << 20
# Whole tar blocks: GNU tar and Go disagree on how to pad shorter pieces of a sparse file.
HEAD, TAIL = b"head".ljust(512, b"."), b"tail".rjust(512, b".")


def add_data(tree):
    tree.directory("data", 0o751, uid=1234, gid=5678)
    tree.file("data/plain", "plain\n")
    tree.file("data/empty", "")
    tree.file("data/owned", "owned\n", 0o640, uid=1000, gid=2000)
    tree.file("data/large ids", "ids\n", 0o600, uid=4000000, gid=3999999)
    tree.file("data/setuid", "#!/bin/sh\nid -u\n", 0o4755)
    tree.file("data/setgid", "", 0o2755, gid=8)
    tree.file("data/unreadable", "secret\n", 0o000)
    tree.file("data/xattrs", "xattrs\n", xattrs={"user.color": "blue", "user.empty": ""})
    capability = {"security.capability": NET_RAW_CAPABILITY}
    tree.file("data/capable", "capable\n", 0o755, xattrs=capability)
    tree.file("data/zeros", HEAD + bytes(4 * MEGABYTE) + TAIL)
    tree.fifo("data/fifo", 0o620, uid=7, gid=7)
    add_links(tree)
    add_names(tree)
    tree.directory("data/sticky", 0o1777)
    tree.directory("data/setgid directory", 0o2775, gid=50)
    tree.directory("data/closed", 0o700, uid=1000, gid=1000)
    tree.file("data/closed/inside", "inside\n", 0o600, uid=1000, gid=1000)
    tree.directory("data/attributed", 0o755, xattrs={"user.kind": "directory"})


def add_links(tree):
    tree.file("data/linked", "linked\n", 0o604, uid=12, gid=34)
    tree.hardlink("data/linked again", "data/linked")
    tree.directory("data/deep")
    tree.hardlink("data/deep/linked", "data/linked")
    tree.symlink("data/link", "plain")
    tree.symlink("data/link to nothing", "not/there", uid=1000, gid=1000)
    tree.symlink("data/link upwards", "../etc/passwd")
    tree.symlink("data/link to root", "/")
    tree.symlink("data/link to directory", "deep")


def add_names(tree):
    tree.file("data/with space", "space\n")
    tree.file("data/with\nnewline", "newline\n")
    tree.file("data/-dash", "dash\n")
    tree.file("data/.hidden", "hidden\n")
    tree.file("data/größe 数据 🐘", "unicode\n")
    tree.file("data/cafe\u0301", "decomposed\n")  # differs from the composed form below
    tree.file("data/caf\u00e9", "composed\n")
    tree.file("data/" + "n" * 255, "longest name\n")
    deep = "data/deep"
    for part in range(12):
        deep += f"/{part:02}" + "d" * 48
        tree.directory(deep)
    tree.file(deep + "/bottom", "bottom\n")


def add_holes(tree):
    """What data/zeros holds, in tar's sparse form (PAX, GNU.sparse 1.0): a map, then the data."""
    size = len(HEAD) + 4 * MEGABYTE + len(TAIL)
    regions = [(0, len(HEAD)), (size - len(TAIL), len(TAIL))]
    numbers = [len(regions)] + [number for region in regions for number in region]
    header = "".join(f"{number}\n" for number in numbers).encode()
    tree.file("data/GNUSparseFile.0/sparse", header.ljust(512, b"\0") + HEAD + TAIL)
    tree.entries["data/GNUSparseFile.0/sparse"][0].pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "data/sparse",
        "GNU.sparse.realsize": str(size),
    }


def build(context):
    tree = oci.Tree()
    add_data(tree)
    tree.directory("usr/bin")
    tree.file("usr/bin/describe", context.text("describe"), 0o755)
    tree.file("data.expected", context.text("expected"))
    layout = context.layout
    check = "describe /data | diff /data.expected - && echo as expected"
    image = context.base("busybox").derive(
        layout.layer(tree, "/data"), Volumes={"/data": {}}, Cmd=["sh", "-c", check]
    )
    layout.add(image, "latest")
    holes = oci.Tree()
    add_holes(holes)
    show = "stat -c '%s bytes in %b blocks' /data/sparse && cmp /data/sparse /data/zeros"
    sparse = image.derive(layout.layer(holes, "/data/sparse"), Cmd=["sh", "-c", show])
    layout.add(sparse, "sparse")
