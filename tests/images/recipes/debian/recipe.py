"""debian: the essential packages of Debian 12, installed by mmdebstrap. No apt in it."""

import debian
import oci

MODULES = (debian,)


def build(context):
    # usr-is-merged: else the usrmerge package comes in, and all of Perl with it
    tree = debian.bootstrap(["usr-is-merged"])
    tree.file("etc/resolv.conf", "")
    layer = context.layout.layer(tree, "mmdebstrap --variant=essential")
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    image = oci.Image((layer,), {"Env": [path], "Cmd": ["bash"]})
    context.layout.add(image, "latest", "12", "bookworm")
