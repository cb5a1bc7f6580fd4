"""my-image: what the documents call so; run, it adds a line to its volume and shows them all."""

import oci

BASES = ("busybox",)


def build(context):
    tree = oci.Tree()
    tree.directory("usr/local/bin")
    tree.file("usr/local/bin/my-image", context.text("my-image"), 0o755)
    layer = context.layout.layer(tree, "/usr/local/bin/my-image")
    context.layout.add(context.base("busybox").derive(layer, Cmd=["my-image"]), "latest")
