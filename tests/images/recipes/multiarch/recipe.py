"""multiarch: an index of linux/amd64 and linux/arm64; /arch tells which one was taken.

The binaries are amd64 in both, so that an amd64 host can run what `--platform linux/arm64`
gives it.
"""

import dataclasses

import oci

BASES = ("busybox",)


def build(context):
    images = []
    for architecture in ("amd64", "arm64"):
        tree = oci.Tree()
        tree.file("arch", architecture + "\n")
        image = context.base("busybox").derive(
            context.layout.layer(tree, "/arch"), Cmd=["cat", "/arch"]
        )
        images.append(dataclasses.replace(image, architecture=architecture))
    context.layout.add_index(images, "latest")
