"""nginx: on the debian image; serves /usr/share/nginx/html and logs to its standard streams."""

import debian
import oci

BASES = ("debian",)
MODULES = (debian,)
# What firewall scripts and the packages' own set-up would use.
WITHOUT = """
iproute2 libbpf1 libbsd0 libcap2-bin libcom-err2 libelf1 libgssapi-krb5-2 libk5crypto3 libkeyutils1
libkrb5-3 libkrb5support0 libmnl0 libtirpc-common libtirpc3 libxtables12
""".split()
LEFT_OUT = ["etc/nginx/sites-*", "etc/nginx/snippets*", "etc/nginx/nginx.conf", "var/www*"]


def settings(context):
    tree = oci.Tree()
    tree.directory("etc/nginx/conf.d")
    tree.file("etc/nginx/nginx.conf", context.text("nginx.conf"))
    tree.file("etc/nginx/conf.d/default.conf", context.text("default.conf"))
    tree.file("usr/share/nginx/html/index.html", context.text("index.html"))
    tree.directory("var/log/nginx")
    tree.symlink("var/log/nginx/access.log", "/dev/stdout")
    tree.symlink("var/log/nginx/error.log", "/dev/stderr")
    return tree


def build(context):
    image, layout = context.base("debian"), context.layout
    base = oci.read_tree(image.layers[0])
    packages = debian.unpack(context.cache, ["nginx"], base, WITHOUT, LEFT_OUT)
    image = image.derive(
        layout.layer(packages, "nginx"),
        layout.layer(settings(context), "nginx.conf"),
        Cmd=["nginx", "-g", "daemon off;"],
        ExposedPorts={"80/tcp": {}},
        StopSignal="SIGQUIT",
    )
    layout.add(image, "latest")
