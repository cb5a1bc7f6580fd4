"""holdfastd beside dockerd: one run, the same client and images, turn by turn. And its volumes beside
directories of the host.

run.py [--quick] [--json FILE] [NAME...]   measures all, or those whose names begin so

Each number is a median over turns that alternate between the two; nothing is taken from earlier
runs. Both daemons have their own roots, bridges and sub-nets in a network namespace of the run.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/lib"))

import host_measures  # noqa: E402
import namespace  # noqa: E402
import volume_measures  # noqa: E402
from client import Client  # noqa: E402
from engine import Engine  # noqa: E402
from images import Images, Registry  # noqa: E402
from waiting import until  # noqa: E402

KINDS = ("dockerd", "holdfastd")


@dataclass
class Measure:
    """One row: what is measured, in which unit, beside what, and what holdfastd has to reach."""

    name: str
    title: str
    unit: str
    ratio: float = None  # at most this share of the other's
    limit: float = None  # at most this, whatever the other's
    base: str = "dockerd"  # the other
    image: str = "busybox"  # that it needs
    values: dict = field(default_factory=dict)

    @property
    def share(self):
        return self.values.get("ratio") or self.values["holdfastd"] / self.values[self.base]

    @property
    def met(self):
        mine = self.values["holdfastd"]
        return (self.ratio is None or self.share <= self.ratio) and (
            self.limit is None or mine <= self.limit
        )

    @property
    def verdict(self):
        if self.ratio is None and self.limit is None:
            return ""
        return "met" if self.met else "NOT MET"

    @property
    def target(self):
        if self.ratio is not None:
            return f"ratio <= {self.ratio:.2f}"
        if self.limit is None:
            return "-"
        return f"<= {self.limit:g} {self.unit}".strip()

    def number(self, kind):
        value = self.values[kind]
        return f"{value:.{0 if value >= 100 or self.unit == '' else 1}f} {self.unit}".strip()


@dataclass
class Pair:
    """The two daemons with a client each."""

    engines: dict
    clients: dict
    quick: bool

    def rounds(self, number):
        return max(3, number // 4) if self.quick else number

    def alternate(self, turns, action):
        """The median of action(engine, client, turn), which returns a number, for each daemon."""
        found = {kind: [] for kind in KINDS}
        for turn in range(turns):
            for kind in KINDS if turn % 2 else reversed(KINDS):
                found[kind].append(action(self.engines[kind], self.clients[kind], turn))
        return {kind: statistics.median(values) for kind, values in found.items()}


def milliseconds(action):
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def run_with_volume(pair):
    words = ("run", "--rm", "--network", "none", "-v", "data:/data", "busybox", "true")
    pair.alternate(2, lambda _, client, turn: milliseconds(lambda: client(*words)))
    return pair.alternate(
        pair.rounds(20), lambda _, client, turn: milliseconds(lambda: client(*words))
    )


def run_on_bridge(pair):
    words = ("run", "--rm", "-v", "data:/data", "busybox", "true")
    return pair.alternate(
        pair.rounds(20), lambda _, client, turn: milliseconds(lambda: client(*words))
    )


def first_use(pair):
    def action(_, client, turn):
        words = ("run", "--rm", "--network", "none", "-v", f"fill{turn}:/data", "manyfiles", "true")
        spent = milliseconds(lambda: client(*words, timeout=300))
        client("volume", "rm", f"fill{turn}", timeout=300)
        return spent

    return pair.alternate(pair.rounds(5), action)


def resident(pid):
    """A process's resident memory in MB."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1000


def memory(pair):
    """Of a daemon just started, with what it keeps running beside it."""

    def action(engine, client, turn):
        client("info")
        return sum(resident(pid) for pid, words in engine.processes().items() if "-shim" not in words)

    restart(pair)
    return pair.alternate(3, action)


def restart(pair):
    for engine in pair.engines.values():
        engine.stop()
        engine.start()


def ready_after(engine, ready):
    """Milliseconds from starting the daemon until ready(engine)."""

    def action():
        engine.spawn()
        until(lambda: ready(engine), "the daemon answers", deadline=120, interval=0.0005)

    return milliseconds(action)


def ready_with_volumes(pair):
    for engine in pair.engines.values():
        for number in range(1000):
            assert engine.api.post("/volumes/create", {"Name": f"volume{number}"}).status == 201

    def action(engine, client, turn):
        engine.stop()
        spent = ready_after(engine, lambda engine: engine.api.ping())
        assert len(engine.api.volumes()) >= 1000
        return spent

    found = pair.alternate(pair.rounds(5), action)
    for engine in pair.engines.values():
        engine.remove_everything()
    return found


def after_kill(pair):
    body = {"Image": "busybox", "Cmd": ["sleep", "100000"], "HostConfig": {"NetworkMode": "none"}}

    def fifty_run(engine):
        if not engine.api.ping():
            return False
        return len(engine.api.containers(all=False)) == 50

    def action(engine, client, turn):
        engine.kill()
        return ready_after(engine, fifty_run)

    for engine in pair.engines.values():
        for _ in range(50):
            identity = engine.api.post("/containers/create", body).json["Id"]
            assert engine.api.post(f"/containers/{identity}/start").status == 204
    found = pair.alternate(3, action)
    for engine in pair.engines.values():
        engine.remove_everything()
    return found


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def threads_of_idle_streams(pair):
    """How many threads 1,000 idle streams add."""

    def action(engine, client, turn):
        api = engine.api
        name = client("run", "-d", "--network", "none", "busybox", "sleep", "100000").out.strip()
        before = threads(engine.pid)
        paths = ("/events", f"/containers/{name}/logs?follow=1&stdout=1&stderr=1")
        streams = [api.stream("GET", paths[number % 2])[0] for number in range(1000)]
        added = threads(engine.pid) - before
        for connection in streams:
            connection.close()
        client("rm", "-f", name)
        return added

    return pair.alternate(3, action)


FIO_KINDS = {
    "random": ["--rw=randrw", "--bs=4k"],
    "write": ["--rw=write", "--bs=1m"],
    "read": ["--rw=read", "--bs=1m"],
}


def fio_row(group, title, name, base, ratio=None):
    kind, block = (word.partition("=")[2] for word in FIO_KINDS[name])
    return Measure(f"{group}-{name}", f"{title}, {kind} {block}, an operation", "us", ratio=ratio, base=base,
                   image="debian")


MEASURES = [
    (Measure("memory", "resident memory, no container", "MB", limit=20), memory),
    (Measure("run-volume", "run --rm --network none -v data:/data busybox true", "ms", ratio=0.25),
     run_with_volume),
    (Measure("run-bridge", "run --rm -v data:/data busybox true (default bridge)", "ms", ratio=0.25),
     run_on_bridge),
    (Measure("first-use", "first use of a volume, 50,000 files from the image", "ms", ratio=0.25,
             image="manyfiles"), first_use),
    (Measure("ready-1000", "start to first answer with 1,000 volumes", "ms", limit=50),
     ready_with_volumes),
    (Measure("volume-create", "volume create, durable, one client", "ms", ratio=1 / 3),
     volume_measures.create_rate(1, milliseconds)),
    (Measure("volume-create-16", "volume create, durable, 16 clients at once", "ms", ratio=1 / 3),
     volume_measures.create_rate(16, milliseconds)),
    (Measure("volume-ls", "GET /volumes with 10,000 volumes", "ms", ratio=1 / 3),
     volume_measures.list_many(milliseconds)),
    (Measure("volume-prune", "prune of 5,000 volumes", "ms", ratio=1 / 3),
     volume_measures.prune_many(milliseconds)),
    (Measure("ready-16000", "start to first answer with 16,000 volumes", "ms", limit=300),
     volume_measures.ready_with(16_000, ready_after)),
    (Measure("fill", "first use, 50,000 files, durable; beside cp -a and a sync", "ms", ratio=0.5, base="cp -a",
             image="manyfiles"), host_measures.fill_beside_cp(milliseconds)),
    *((fio_row("io", "fio in a volume", name, "the host", 1 / 0.97), host_measures.input_output(how))
      for name, how in FIO_KINDS.items()),
    (Measure("io-pgbench", "pgbench in a volume, a transaction", "ms", ratio=1 / 0.97, base="the host",
             image="debian"), host_measures.databases),
    *((fio_row("sized", "fio in a volume with a size", name, "plain volume"), host_measures.sized_beside_plain(how))
      for name, how in FIO_KINDS.items()),
    (Measure("after-kill", "kill -9 to answering with 50 containers taken over", "ms", limit=500),
     after_kill),
    (Measure("idle-streams", "threads added by 1,000 idle events and logs -f", "", limit=10),
     threads_of_idle_streams),
]


def fetch_images(pair, images):
    registry = Registry()
    try:
        for engine in pair.engines.values():
            Images(engine, registry).have("busybox", *sorted(images))
    finally:
        registry.close()


def versions(pair):
    for kind, engine in pair.engines.items():
        document = engine.api.get("/version").json
        print(f"{kind} {document['Version']}, storage driver {engine.api.get('/info').json['Driver']}")
    client = pair.clients["dockerd"]
    print("client", client("version", "-f", "{{.Client.Version}}").out.strip())


def table(measures):
    head = ("", "beside", "", "holdfastd", "ratio", "target", "")
    rows = [
        (m.title, m.base, m.number(m.base), m.number("holdfastd"),
         f"{m.share:.3f}" if m.values[m.base] else "-", m.target, m.verdict)
        for m in measures
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2])]
        cells += [cell.rjust(width) for cell, width in zip(row[2:5], widths[2:5])]
        cells += [row[5].ljust(widths[5]), row[6]]
        print("  ".join(cells).rstrip())


def measure(pair, chosen):
    for row, action in chosen:
        print(f"measuring: {row.title}", file=sys.stderr)
        row.values = action(pair)
    return [row for row, _ in chosen]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    prefixes = tuple(options.names) or ("",)
    chosen = [(row, action) for row, action in MEASURES if row.name.startswith(prefixes)]
    namespace.enter()
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, max(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    with tempfile.TemporaryDirectory() as home:
        pair = Pair({kind: Engine(kind=kind) for kind in KINDS}, {}, options.quick)
        pair.clients = {kind: Client("docker", pair.engines[kind], home) for kind in KINDS}
        try:
            for engine in pair.engines.values():
                engine.start()
            versions(pair)
            fetch_images(pair, {row.image for row, _ in chosen})
            done = measure(pair, chosen)
            table(done)
        finally:
            for engine in pair.engines.values():
                engine.close()
    if options.json:
        Path(options.json).write_text(json.dumps({row.name: row.values for row in done}, indent=2))
    sys.exit(0 if all(row.met for row in done) else 1)


if __name__ == "__main__":
    main()
