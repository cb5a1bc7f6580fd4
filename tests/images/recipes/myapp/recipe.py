"""myapp: prints its configuration, to show that a bind-mounted file takes its place."""

import oci

BASES = ("busybox",)
CONFIG = "etc/myapp/config.yaml"


def build(context):
    tree = oci.Tree()
    tree.directory("etc/myapp")
    tree.file(CONFIG, "source: image\n")
    layer = context.layout.layer(tree, CONFIG)
    context.layout.add(context.base("busybox").derive(layer, Cmd=["cat", "/" + CONFIG]), "latest")
