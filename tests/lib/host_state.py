"""What an engine leaves on its host: compared before and after, it shows leaks."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from engine import run
from waiting import until


@dataclass
class HostState:
    mounts: list
    links: list
    rules: list
    loops: list
    processes: list
    entries: list

    def difference(self, later):
        """What the later state has that this one hasn't, one line each."""
        lines = []
        for kind, before in vars(self).items():
            rest = list(before)
            for item in getattr(later, kind):
                if item in rest:
                    rest.remove(item)
                else:
                    lines.append(f"{kind}: {item}")
        return lines


def links():
    return sorted(link["ifname"] for link in json.loads(run("ip", "-j", "link").stdout or "[]"))


def rules(engine):
    """Firewall rules without their counters, and without those of other engines of this run."""
    others = re.compile(rf"hft\d+n(?!{engine.number}\b)|10\.2\d\d\.(?<!{engine.gateway[:7]})")
    found = []
    for program in ("iptables-save", "ip6tables-save"):
        text = run(program, check=False).stdout
        found += [re.sub(r"\[\d+:\d+\]", "", line) for line in text.splitlines() if line[:1] != "#"]
    return sorted(line for line in found if not others.search(line))


def loops():
    return sorted(
        file.read_text().strip() for file in Path("/sys/block").glob("loop*/loop/backing_file")
    )


def entries(engine):
    """Folders of containers and of things half built, by holdfast's layout."""
    if engine.kind == "dockerd":
        return []
    return sorted(
        str(path.relative_to(engine.data_root))
        for folder in ("containers", "staging")
        for path in (engine.data_root / folder).glob("*")
    )


def snapshot(engine):
    return HostState(
        mounts=engine.mounts(),
        links=links(),
        rules=rules(engine),
        loops=[path for path in loops() if path.startswith(str(engine.dir))],
        processes=[re.sub(r"[0-9a-f]{12,64}", "ID", words) for words in engine.processes().values()],
        entries=entries(engine),
    )


def assert_no_leaks(engine, before, deadline=10):
    """Nothing came to stay since `before`; what is still ending gets until the deadline."""
    until(
        lambda: not before.difference(snapshot(engine)),
        lambda: f"nothing is left behind; left: {before.difference(snapshot(engine))}",
        deadline,
        interval=0.1,
    )
