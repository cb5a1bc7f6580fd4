"""postgres: PostgreSQL 15 on the debian image, with an entrypoint that makes the cluster.

Its settings are those of the usual image of this name. Tag 16 is here because documents ask
for it; it is the same image.
"""

import re

import debian
import oci

BASES = ("debian",)
MODULES = (debian,)
BIN = "/usr/lib/postgresql/15/bin"
PGDATA = "/var/lib/postgresql/data"
# JIT compilation is optional at run time and is most of the size; the rest is Debian's cluster
# administration, which the entrypoint takes the place of.
WITHOUT = """
adduser libc-l10n libgdbm-compat4 libgdbm6 libjson-perl libllvm14 libperl5.36 libsemanage-common
libsemanage2 libsepol2 libz3-4 locales netbase openssl passwd perl perl-modules-5.36
postgresql-client-common postgresql-common sensible-utils ssl-cert ucf
""".split()
LEFT_OUT = [
    "usr/lib/postgresql/15/lib/bitcode*",
    "usr/lib/postgresql/15/lib/llvmjit*",
    "usr/share/postgresql/15/man*",
    "usr/share/postgresql-common*",
]


def packages(context, base):
    tree = debian.unpack(context.cache, ["postgresql-15", "less"], base, WITHOUT, LEFT_OUT)
    sample = "usr/share/postgresql/15/postgresql.conf.sample"
    text = tree.read(sample).decode()
    text, count = re.subn(r"(?m)^#listen_addresses = '\S+'", "listen_addresses = '*'", text)
    if count != 1:
        raise SystemExit(f"{sample}: no listen_addresses to set")
    tree.file(sample, text)
    return tree


def settings(context, base):
    tree = oci.Tree()
    debian.add_account(tree, base, "postgres", 999, "/var/lib/postgresql", "/bin/bash")
    tree.directory("docker-entrypoint-initdb.d")
    tree.file("usr/local/bin/docker-entrypoint.sh", context.text("docker-entrypoint.sh"), 0o755)
    owner = {"uid": 999, "gid": 999}
    tree.directory("var/lib/postgresql", **owner)
    tree.directory(PGDATA, 0o1777, **owner)
    tree.directory("run/postgresql", 0o3777, **owner)
    return tree


def build(context):
    image, layout = context.base("debian"), context.layout
    base = oci.read_tree(image.layers[0])
    path = f"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{BIN}"
    image = image.derive(
        layout.layer(packages(context, base), "postgresql-15 less"),
        layout.layer(settings(context, base), "docker-entrypoint.sh"),
        # psql pages what a terminal of unknown size can't show; less -F asks for no key then.
        Env=[
            *(f"PATH={path}", "LANG=C.UTF-8", "PG_MAJOR=15", f"PGDATA={PGDATA}"),
            *("PAGER=less", "LESS=-FX"),
        ],
        Entrypoint=["docker-entrypoint.sh"],
        Cmd=["postgres"],
        ExposedPorts={"5432/tcp": {}},
        Volumes={PGDATA: {}},
        StopSignal="SIGINT",
    )
    layout.add(image, "latest", "15", "16")
