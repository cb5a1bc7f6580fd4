"""manylayers: 120 layers, busybox's and one file each, and one file that all of them replace."""

import oci

BASES = ("busybox",)
LAYERS = 120


def build(context):
    image = context.base("busybox")
    for number in range(2, LAYERS + 1):
        tree = oci.Tree()
        tree.directory("layers")
        tree.file(f"layers/{number:03}", f"{number}\n")
        tree.file("top", f"{number}\n")
        image = image.derive(context.layout.layer(tree, f"layer {number}"))
    show = "ls /layers | wc -l; cat /top"
    context.layout.add(image.derive(Cmd=["sh", "-c", show]), "latest")
