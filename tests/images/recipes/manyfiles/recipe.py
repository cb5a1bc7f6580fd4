"""manyfiles: 50,000 small files below VOLUME /data, for the speed of filling a volume; `20000` has so
many, for tests where many containers read all of them.
"""

import oci

BASES = ("busybox",)
FILES_EACH = 100


def tree_of(directories):
    tree = oci.Tree()
    tree.directory("data")
    for i in range(directories):
        tree.directory(f"data/{i:03}")
        for j in range(FILES_EACH):
            path = f"data/{i:03}/{j:02}.txt"
            tree.file(path, f"{path}\n" * (1 + j % 20))
    return tree


def build(context):
    count = ["sh", "-c", "find /data -type f | wc -l"]
    for tag, directories in (("latest", 500), ("20000", 200)):
        layer = context.layout.layer(tree_of(directories), "/data")
        image = context.base("busybox").derive(layer, Volumes={"/data": {}}, Cmd=count)
        context.layout.add(image, tag)
