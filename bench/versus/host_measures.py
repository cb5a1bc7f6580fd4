"""A volume beside a directory of the host on the same disk: filling it, reading and writing in it.

The two take turns, and the ratio is the median of the ratios of the pairs: a disk that others use
as well changes its speed in between. In the container the host's own programs run, from a read-only
/usr, so that both sides run the same.
"""

import contextlib
import json
import re
import shutil
import statistics
from pathlib import Path

from engine import run
from waiting import until

PROGRAMS = ["-v", "/usr:/usr:ro", "-v", "/etc/passwd:/etc/passwd:ro", "--network", "none"]
POSTGRES = Path("/usr/lib/postgresql/15/bin")


def pairs(count, base, theirs, ours):
    """Medians of both, and of their ratios."""
    found = []
    for turn in range(count):
        first, second = (theirs, ours) if turn % 2 else (ours, theirs)
        values = {first: first(turn), second: second(turn)}
        found.append((values[theirs], values[ours]))
    return {
        base: statistics.median(value for value, _ in found),
        "holdfastd": statistics.median(value for _, value in found),
        "ratio": statistics.median(own / value for value, own in found),
    }


@contextlib.contextmanager
def container(client, *words):
    """The id of one that runs and waits."""
    name = client("run", "-d", *PROGRAMS, *words, "debian", "sleep", "1d").out.strip()
    try:
        yield name
    finally:
        client("rm", "-f", "-v", name)


# First use.


def fill_beside_cp(milliseconds):
    def measure(pair):
        engine = pair.engines["holdfastd"]
        source = next(layer / "data" for layer in (engine.data_root / "layers").iterdir() if (layer / "data/499").exists())

        def theirs(turn):
            target = engine.dir / "copy"
            run("sync", "-f", engine.dir)
            spent = milliseconds(lambda: run("sh", "-c", 'cp -a "$0" "$1" && sync -f "$1"', source, target, timeout=300))
            shutil.rmtree(target)
            return spent

        def ours(turn):
            body = {"Image": "manyfiles", "HostConfig": {"Binds": ["filled:/data"], "NetworkMode": "none"}}
            run("sync", "-f", engine.dir)
            made = []
            spent = milliseconds(lambda: made.append(engine.api.post("/containers/create", body)))
            assert made[0].status == 201, made[0].body
            assert engine.api.delete(f"/containers/{made[0].json['Id']}").status == 204
            assert engine.api.delete("/volumes/filled").status == 204
            until(lambda: not list((engine.data_root / "trash").glob("volume-[0-9a-f]*")), "its space is free", 600)
            return spent

        return pairs(pair.rounds(5), "cp -a", theirs, ours)

    return measure


# fio.

FIO = ["--name=io", "--size=256m", "--direct=1", "--ioengine=psync", "--fallocate=none", "--time_based", "--output-format=json"]


def microseconds(text):
    """Of one operation, by what fio printed."""
    (job,) = json.loads(text[text.index("{") :])["jobs"]
    operations = job["read"]["total_ios"] + job["write"]["total_ios"]
    return 1000 * max(job["read"]["runtime"], job["write"]["runtime"]) / operations


def fio(pair, how):
    return ["fio", *FIO, *how, f"--runtime={2 if pair.quick else 5}"]


def input_output(how):
    """In a plain volume, beside the host in the same directory and the same file."""

    def measure(pair):
        client = pair.clients["holdfastd"]
        with container(client, "-v", "io:/d") as name:
            folder = client("volume", "inspect", "-f", "{{.Mountpoint}}", "io").out.strip()
            found = pairs(
                pair.rounds(10), "the host",
                lambda turn: microseconds(run(*fio(pair, how), f"--directory={folder}").stdout),
                lambda turn: microseconds(client("exec", name, *fio(pair, how), "--directory=/d").out),
            )
        client("volume", "rm", "io")
        return found

    return measure


def sized_beside_plain(how):
    def measure(pair):
        client = pair.clients["holdfastd"]
        client("volume", "create", "--opt", "size=1g", "sized")
        with container(client, "-v", "/plain", "-v", "sized:/sized") as name:
            found = pairs(
                pair.rounds(10), "plain volume",
                *(lambda turn, at=at: microseconds(client("exec", name, *fio(pair, how), f"--directory={at}").out)
                  for at in ("/plain", "/sized")),
            )
        client("volume", "rm", "sized")
        return found

    return measure


# PostgreSQL.

# Nothing of its own in the background that would fall into one turn and not the other.
SETTINGS = "-c listen_addresses='' -c unix_socket_directories=/tmp -c autovacuum=off -c checkpoint_timeout=1h -c max_wal_size=8GB"
SET_UP = f"""
cd / && set -e
{POSTGRES}/initdb -D "$0" -A trust >/dev/null
{POSTGRES}/pg_ctl -w -D "$0" -l "$0.log" -o "-p $1 {SETTINGS}" start >/dev/null
{POSTGRES}/createdb -h /tmp -p $1 bench
{POSTGRES}/pgbench -h /tmp -p $1 -q -i -s 10 bench 2>/dev/null
"""


class Server:
    """PostgreSQL in `folder`, run by `by`, which takes a command: as the user postgres, on the host or in a
    container."""

    def __init__(self, by, folder, port):
        self.by, self.folder, self.port = by, folder, port
        by("sh", "-c", SET_UP, folder, port)

    def latency(self, seconds):
        """Milliseconds a transaction takes, with four clients."""
        text = self.by(POSTGRES / "pgbench", "-h", "/tmp", "-p", self.port, "-n", "-c", "4", "-j", "2", "-T", seconds, "bench")
        return float(re.search(r"latency average = ([0-9.]+) ms", text)[1])

    def stop(self):
        self.by(POSTGRES / "pg_ctl", "-D", self.folder, "-m", "immediate", "stop")


def on_host(*words):
    return run("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *map(str, words), timeout=300).stdout


def databases(pair):
    engine, client = pair.engines["holdfastd"], pair.clients["holdfastd"]
    top = engine.dir / "postgres"
    top.mkdir()
    shutil.chown(top, "postgres", "postgres")

    with container(client, "-v", "/d", "--shm-size", "256m") as name:
        client("exec", name, "chown", "postgres:", "/d")
        servers = []
        try:
            servers.append(Server(on_host, top / "data", 54321))
            servers.append(Server(
                lambda *words: client("exec", "-u", "postgres", name, *words, timeout=300).out, "/d/data", 54321))
            seconds = 3 if pair.quick else 8
            return pairs(pair.rounds(10), "the host", *(lambda turn, server=server: server.latency(seconds)
                                                        for server in servers))
        finally:
            for server in servers:
                server.stop()
            shutil.rmtree(top)
