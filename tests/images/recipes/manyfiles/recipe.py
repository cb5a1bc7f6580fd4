"""manyfiles: 50,000 small files below VOLUME /data, for the speed of filling a volume."""

import oci

BASES = ("busybox",)
DIRECTORIES, FILES_EACH = 500, 100


def build(context):
    tree = oci.Tree()
    tree.directory("data")
    for i in range(DIRECTORIES):
        tree.directory(f"data/{i:03}")
        for j in range(FILES_EACH):
            path = f"data/{i:03}/{j:02}.txt"
            tree.file(path, f"{path}\n" * (1 + j % 20))
    layer = context.layout.layer(tree, "/data")
    count = ["sh", "-c", "find /data -type f | wc -l"]
    image = context.base("busybox").derive(layer, Volumes={"/data": {}}, Cmd=count)
    context.layout.add(image, "latest")
