"""What a mount is, seen from inside the container that has it: mountinfo, stat, attempts."""

import re
from dataclasses import dataclass, field

# Where the mount is, what it allows, whose it is. Attempts leave nothing behind.
SCRIPT = r"""
t=TARGET
awk -v t="$t" '$5 == t || index($5, t "/") == 1' /proc/self/mountinfo | sed 's/^/mount /'
stat -c 'stat %u:%g %a %F' "$t"
if [ -d "$t" ]; then f=$t/.probe; else f=$t; fi
if (: >>"$f") 2>/dev/null; then echo 'can write'; [ -d "$t" ] && rm -f "$f"; fi
for m in $(awk -v t="$t" 'index($5, t "/") == 1 { print $5 }' /proc/self/mountinfo); do
  if [ -d "$m" ] && (: >>"$m/.probe") 2>/dev/null; then echo "can write below"; rm -f "$m/.probe"; fi
done
[ -x "$t/run" ] && "$t/run" >/dev/null 2>&1 && echo 'can run'
[ -e "$t/zero" ] && head -c 1 "$t/zero" >/dev/null 2>&1 && echo 'can use devices'
[ -u "$t/suid" ] && [ "$("$t/suid" id -u 2>/dev/null)" = 0 ] && echo 'can gain privilege'
[ -d "$t" ] && ls -A "$t" | sed 's/^/entry /'
true
"""


@dataclass
class Mount:
    """One line of mountinfo(5)."""

    root: str
    target: str
    options: set
    fields: list
    type: str
    source: str
    super_options: str

    @classmethod
    def parse(cls, line):
        left, right = line.split(" - ", 1)
        words = left.split()
        kind, source, options = (right.split() + ["", ""])[:3]
        return cls(words[3], words[4], set(words[5].split(",")), words[6:], kind, source, options)


@dataclass
class Probe:
    target: str
    mounts: list = field(default_factory=list)  # at the target and below, parents first
    abilities: set = field(default_factory=set)
    entries: set = field(default_factory=set)
    owner: str = ""
    mode: str = ""
    kind: str = ""

    @property
    def mount(self):
        """The one on top at the target."""
        return [mount for mount in self.mounts if mount.target == self.target][-1]

    @property
    def below(self):
        return [mount for mount in self.mounts if mount.target != self.target]

    def can(self, ability):
        return ability in self.abilities


def script(target="/d"):
    return SCRIPT.replace("TARGET", target)


def parse(text, target="/d"):
    probe = Probe(target)
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "mount":
            probe.mounts.append(Mount.parse(rest))
        elif word == "stat":
            probe.owner, probe.mode, probe.kind = re.fullmatch(r"(\S+) (\S+) (.*)", rest).groups()
        elif word == "can":
            probe.abilities.add(rest)
        elif word == "entry":
            probe.entries.add(rest)
        else:
            raise AssertionError(f"the probe printed {line!r} of:\n{text}")
    return probe


def through_api(api, host_config, target="/d", version=None, **config):
    """Runs the probe in a container made by the raw API; returns the refusal's text instead if it
    is refused, at its creation or at its start."""
    prefix = f"/v{version}" if version else ""
    body = {"Image": "busybox", "Cmd": ["sh", "-c", script(target)], "Tty": False, **config}
    body["HostConfig"] = {"NetworkMode": "none", **host_config}
    made = api.post(f"{prefix}/containers/create", body)
    if made.status != 201:
        return made.message
    url = f"{prefix}/containers/{made.json['Id']}"
    try:
        started = api.post(f"{url}/start")
        if started.status != 204:
            return started.message
        assert api.post(f"{url}/wait").json["StatusCode"] == 0
        return parse(demultiplex(api.get(f"{url}/logs", stdout=1, stderr=1).body), target)
    finally:
        api.delete(url, force=1, v=1)


def demultiplex(frames):
    """The text of a stream that is no terminal's: each frame has a head of eight bytes."""
    text = b""
    while frames:
        size = int.from_bytes(frames[4:8], "big")
        text += frames[8 : 8 + size]
        frames = frames[8 + size :]
    return text.decode(errors="replace")
