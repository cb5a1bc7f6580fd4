"""busybox: one static binary, its applets as hard links, and the least a container needs.

latest and gzip are one image; the other tags hold the same files under other compressions.
"""

import subprocess

import oci

BUSYBOX = "/bin/busybox"
HOST_FILES = (BUSYBOX,)

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
sync:x:4:100:sync:/bin:/bin/sync
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
GROUP = """\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
wheel:x:10:root
mail:x:12:
www-data:x:33:
operator:x:37:
users:x:100:
nobody:x:65534:
"""


def static_busybox():
    with open(BUSYBOX, "rb") as file:
        binary = file.read()
    if b"/ld-linux" in binary[:4096]:
        raise SystemExit(f"{BUSYBOX} is not static: install busybox-static")
    return binary


def applets():
    """Names of the applets; those in sbin too, since the image keeps all of them in /bin."""
    listed = subprocess.run([BUSYBOX, "--list"], stdout=subprocess.PIPE, check=True, text=True)
    return [name for name in listed.stdout.split() if name != "busybox"]


def files():
    tree = oci.Tree()
    for path in ("bin", "dev", "etc", "home", "proc", "sys", "usr", "usr/sbin", "var"):
        tree.directory(path)
    for path in ("usr/bin", "var/www", "var/spool", "var/spool/mail"):
        tree.directory(path)
    tree.directory("root", 0o700)
    tree.directory("tmp", 0o1777)
    tree.file("etc/passwd", PASSWD)
    tree.file("etc/group", GROUP)
    tree.file("etc/shadow", "root:*:19000:0:99999:7:::\n", 0o600)
    tree.file("bin/busybox", static_busybox(), 0o755)
    for applet in applets():
        tree.hardlink(f"bin/{applet}", "bin/busybox")
    tree.symlink("usr/bin/env", "../../bin/env")  # for "#!/usr/bin/env" lines
    return tree


def build(context):
    layout = context.layout

    def image(compression):
        tree = files()
        # Layers that differ unpacked too: else a store that has one skips the others.
        tree.file("etc/layer-compression", compression + "\n")
        layer = layout.layer(tree, "busybox-static", compression)
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return oci.Image((layer,), {"Env": [path], "Cmd": ["sh"]})

    layout.add(image("gzip"), "latest", "gzip")
    layout.add(image("zstd"), "zstd")
    layout.add(image("none"), "uncompressed")
