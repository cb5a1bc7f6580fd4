"""debian: the essential packages of Debian 12, installed by mmdebstrap. No apt in it."""

import debian
import oci

MODULES = (debian,)


def build(context):
    tree = debian.bootstrap()
    tree.file("etc/resolv.conf", "")
    layer = context.layout.layer(tree, "mmdebstrap --variant=essential")
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    image = oci.Image((layer,), {"Env": [path], "Cmd": ["bash"]})
    context.layout.add(image, "latest", "12", "bookworm")
