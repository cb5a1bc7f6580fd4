"""whiteouts: three layers on busybox in which files go, come back and change their kind.

CMD compares what is in /w with what must be there.
"""

import oci

BASES = ("busybox",)


def lower():
    tree = oci.Tree()
    for path in ("w", "w/opaque", "w/opaque/below", "w/removed directory", "w/to link", "w/kept"):
        tree.directory(path)
    for path in ("w/opaque/old", "w/opaque/both", "w/removed directory/file", "w/to link/file"):
        tree.file(path, "lower\n")
    for path in ("w/removed", "w/to directory", "w/comes back", "w/replaced", "w/kept/file"):
        tree.file(path, "lower\n")
    tree.file("w/one name", "lower\n")
    tree.hardlink("w/other name", "w/one name")
    tree.symlink("w/link to file", "replaced")
    tree.directory("w/target")
    tree.file("w/target/file", "lower\n")
    tree.symlink("w/link to directory", "target")
    return tree


def middle():
    tree = oci.Tree()
    for path in ("w/removed", "w/removed directory", "w/comes back", "w/one name", "w/not there"):
        tree.whiteout(path)
    tree.directory("w")
    tree.directory("w/opaque", 0o750)
    tree.opaque("w/opaque")
    tree.file("w/opaque/both", "middle\n")
    tree.file("w/opaque/new", "middle\n")
    tree.directory("w/to directory")
    tree.file("w/to directory/file", "middle\n")
    tree.symlink("w/to link", "kept")
    return tree


def upper():
    tree = oci.Tree()
    tree.directory("w")
    tree.file("w/comes back", "upper\n")
    tree.file("w/replaced", "upper\n")
    tree.file("w/link to file", "upper\n")
    tree.directory("w/link to directory")
    tree.file("w/link to directory/file", "upper\n")
    tree.whiteout("w/opaque/new")
    return tree


EXPECTED = """\
. directory
./comes back upper
./kept directory
./kept/file lower
./link to directory directory
./link to directory/file upper
./link to file upper
./opaque directory
./opaque/both middle
./other name lower
./replaced upper
./target directory
./target/file lower
./to directory directory
./to directory/file middle
./to link -> kept
"""
LIST = """\
#!/bin/sh
cd /w
find . | LC_ALL=C sort | while read -r path; do
  if [ -L "$path" ]; then echo "$path -> $(readlink "$path")"
  elif [ -d "$path" ]; then echo "$path directory"
  else echo "$path $(cat "$path")"
  fi
done
"""


def build(context):
    first, layout = lower(), context.layout
    first.directory("usr/bin")
    first.file("usr/bin/list", LIST, 0o755)
    first.file("w.expected", EXPECTED)
    image = context.base("busybox").derive(
        layout.layer(first, "lower"),
        layout.layer(middle(), "middle"),
        layout.layer(upper(), "upper"),
        Cmd=["sh", "-c", "list | diff /w.expected - && echo as expected"],
    )
    layout.add(image, "latest")
