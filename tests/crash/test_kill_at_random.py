"""kill -9 of the daemon at 50 random moments of create, start, rm, pull and load.

The oracle: what was acknowledged is there after the restart; what was not is there whole or not
at all; nothing is left on the disk or the host that no record names; and one more restart
changes nothing. The seed is printed; HOLDFAST_CRASH_SEED sets it, HOLDFAST_CRASH_ROUNDS the
number of kills.
"""

import json
import os
import random
import threading
import time

import host_state
import pytest
from client import Client
from engine import KIND, Engine
from images import Images
from waiting import until

ROUNDS = int(os.environ.get("HOLDFAST_CRASH_ROUNDS", 50))
SEED = int(os.environ.get("HOLDFAST_CRASH_SEED", random.randrange(1 << 32)))

pytestmark = pytest.mark.skipif(KIND == "dockerd", reason="dockerd does not promise this")


class Worker(threading.Thread):
    """Does one kind of operation over and over, and writes down what was asked and what answered.

    `known` maps a name to True (acknowledged as there), False (acknowledged as gone) or None
    (asked for when the daemon died: either will do).
    """

    def __init__(self, engine, seed):
        super().__init__(daemon=True)
        self.api = engine.api
        self.random = random.Random(seed)
        self.known = {}
        self.stopping = threading.Event()
        self.unexpected = []
        self.count = 0

    def run(self):
        while not self.stopping.is_set():
            try:
                self.step()
                self.count += 1
            except (OSError, ValueError, EOFError):
                return  # the daemon was killed
            except Exception as error:
                if type(error).__module__ == "http.client":
                    return
                self.unexpected.append(repr(error))
                return

    def ask(self, what, there, *call, ok, **query):
        """One request that makes `what` be there or not; acknowledged only when it answers."""
        before = self.known.get(what, False)
        self.known[what] = None
        answer = self.api.call(*call, **query)
        if answer.status in ok and b'"error"' not in answer.body:
            self.known[what] = there
        elif answer.status >= 500 or answer.status in ok:
            # An error that tells of the kill itself is possible; the state is then open.
            self.unexpected.append(f"{call[:2]} {query}: {answer.status} {answer.body[:300]!r}")
        else:
            self.known[what] = before
        return answer

    def fresh(self):
        return f"{self.kind}{self.random.randrange(1 << 40):x}"


class Containers(Worker):
    """create, start and rm, each with a volume of its own that is named."""

    kind = "container"

    def __init__(self, engine, seed):
        super().__init__(engine, seed)
        self.volumes = {}
        self.started = {}

    def step(self):
        name = self.fresh()
        volume = f"volume-of-{name}"
        body = {
            "Image": "busybox", "Cmd": ["sleep", "1000"],
            "HostConfig": {"Binds": [f"{volume}:/d"], "Mounts": [{"Type": "volume", "Target": "/anon"}],
                           "NetworkMode": self.random.choice(["none", "bridge"])},
        }
        self.volumes[volume] = None
        self.ask(name, True, "POST", "/containers/create", body, ok=(201,), name=name)
        self.volumes[volume] = True
        if self.random.random() < 0.7:
            self.started[name] = None
            answer = self.api.post(f"/containers/{name}/start")
            self.started[name] = answer.status == 204
            if answer.status != 204:
                self.unexpected.append(f"start: {answer.status} {answer.body[:300]!r}")
        if self.random.random() < 0.6:
            self.ask(name, False, "DELETE", f"/containers/{name}", ok=(204,), force=1, v=1)


class Volumes(Worker):
    kind = "volume"

    def step(self):
        name = self.fresh()
        self.ask(name, True, "POST", "/volumes/create", {"Name": name, "Labels": {"n": name}}, ok=(201,))
        if self.random.random() < 0.5:
            self.ask(name, False, "DELETE", f"/volumes/{name}", ok=(204,))


class Pulls(Worker):
    kind = "pull"

    def __init__(self, engine, seed, reference):
        super().__init__(engine, seed)
        self.reference = reference

    def step(self):
        repository, tag = self.reference.rsplit(":", 1)
        self.ask(self.reference, True, "POST", "/images/create", ok=(200,), fromImage=repository, tag=tag)
        if self.known[self.reference]:
            self.ask(self.reference, False, "DELETE", f"/images/{self.reference}", ok=(200,), force=1)


class Loads(Worker):
    kind = "load"

    def __init__(self, engine, seed, tag, archive):
        super().__init__(engine, seed)
        self.tag, self.archive = tag, archive

    def step(self):
        self.ask(self.tag, True, "POST", "/images/load", self.archive, ok=(200,))
        if self.known[self.tag]:
            self.ask(self.tag, False, "DELETE", f"/images/{self.tag}", ok=(200,), force=1)


def everything(engine):
    """All that the daemon tells of itself and keeps on disk, in a form that can be compared."""
    api = engine.api
    containers = {}
    for entry in api.containers():
        details = api.container(entry["Id"])
        containers[details["Name"][1:]] = (
            details["Id"], details["State"]["Status"], details["State"]["Pid"],
            details["State"]["ExitCode"], json.dumps(details["Mounts"], sort_keys=True),
        )
    images = {image["Id"]: sorted(image["RepoTags"] or []) for image in api.images()}
    folders = {
        folder: sorted(path.name for path in (engine.data_root / folder).glob("*"))
        for folder in ("containers", "volumes", "layers", "staging", "trash")
    }
    return {
        "containers": containers, "volumes": api.volumes(), "images": images, "folders": folders,
        "mounts": sorted(engine.mounts()),
    }


def check(engine, workers, state):
    """What is there against what was acknowledged."""
    containers, volumes, pulls, loads = workers
    wrong = []

    def compare(kind, known, there):
        for name, expected in known.items():
            if expected is not None and expected != (name in there):
                wrong.append(f"{kind} {name}: acknowledged {expected}, found {name in there}")

    compare("container", containers.known, state["containers"])
    compare("volume", volumes.known, state["volumes"])
    compare("volume", containers.volumes, state["volumes"])
    tags = {tag for image in state["images"].values() for tag in image}
    compare("image", pulls.known, tags)
    compare("image", loads.known, tags)
    for name, started in containers.started.items():
        entry = state["containers"].get(name)
        if started and entry and containers.known[name] and entry[1] != "running":
            wrong.append(f"container {name}: was started, found {entry[1]}")

    folders = state["folders"]
    identities = {entry[0] for entry in state["containers"].values()}
    orphans = [name for name in folders["containers"] if name not in identities]
    wrong += [f"containers/{name} has no record" for name in orphans]
    wrong += [f"volumes/{name} has no record" for name in folders["volumes"] if name not in state["volumes"]]
    wrong += [f"volume {name} has no folder" for name in state["volumes"] if name not in folders["volumes"]]
    wrong += [f"staging/{name} was not swept" for name in folders["staging"]]
    wrong += [f"trash/{name} was not deleted" for name in folders["trash"] if "reserve" not in name]
    running = {entry[0] for entry in state["containers"].values() if entry[1] == "running"}
    for mount in state["mounts"]:
        owners = [identity for identity in running if identity in mount]
        wrong += [f"mount {mount} belongs to no running container"] if not owners else []
    held = {m["Name"] for e in state["containers"].values() for m in json.loads(e[4]) if m.get("Name")}
    for name in state["volumes"]:
        named = name.startswith("volume")
        if not named and name not in held:
            wrong.append(f"anonymous volume {name} belongs to no container")
    return wrong


def settled(engine, workers, where):
    """Everything, once it is as it should be; what ended meanwhile may be tidied up after the start."""
    state = {}

    def wrong():
        state.update(everything(engine))
        return check(engine, workers, state)

    until(lambda: not wrong(), lambda: f"{where}: {wrong()}\n{engine.log_tail()}", 10, 0.1)
    return state


def images_work(engine, client, tags):
    """An image that is listed can be run: it is there whole."""
    for tag in tags:
        if tag in engine.api.tags():
            assert client("run", "--rm", "--network", "none", tag, "sh", "-c", "echo whole").out == "whole\n"


def saved_under(api, image, tag):
    """`docker save` of the image under another tag."""
    repo, name = tag.split(":")
    assert api.post(f"/images/{image}/tag", repo=repo, tag=name).status == 201
    archive = api.get(f"/images/{tag}/get").body
    assert api.delete(f"/images/{tag}").status == 200
    return archive


@pytest.mark.timeout(900)
def test_kill_at_random_moments(registry, tmp_path):
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    engine = Engine()
    try:
        engine.start()
        api = engine.api
        client = Client("docker", engine, tmp_path)
        images = Images(engine, registry)
        images.have("busybox", "whiteouts")
        engine.use_the_bridge()
        before = host_state.snapshot(engine)
        archive = saved_under(api, "whiteouts", "loaded:crash")
        reference = registry.push("alpine")
        operations = 0
        for number in range(ROUNDS):
            workers = [
                Containers(engine, chance.random()), Volumes(engine, chance.random()),
                Pulls(engine, chance.random(), reference),
                Loads(engine, chance.random(), "loaded:crash", archive),
            ]
            for worker in workers:
                if number:
                    worker.known = previous_images(worker, state)
                worker.start()
            # The moment itself is what is random here; nothing is waited for.
            time.sleep(chance.uniform(0.01, 1.0))
            for worker in workers:
                worker.stopping.set()
            engine.kill()
            for worker in workers:
                worker.join(30)
                assert not worker.is_alive() and not worker.unexpected, (SEED, number, worker.unexpected)
            operations += sum(worker.count for worker in workers)
            engine.start()
            state = settled(engine, workers, f"seed {SEED}, round {number}")
            engine.kill()
            engine.start()
            again = settled(engine, workers, f"seed {SEED}, round {number}, second restart")
            assert again == state, f"seed {SEED}, round {number}: a second restart changed something"
            if number % 10 == 9:
                images_work(engine, client, [reference, "loaded:crash"])
                engine.remove_everything()
                state = everything(engine)
        engine.remove_everything()
        host_state.assert_no_leaks(engine, before)
        print(f"{operations} operations were acknowledged over {ROUNDS} kills")
        assert operations > ROUNDS
    finally:
        if not engine.alive():
            engine.start()
        engine.close()


def previous_images(worker, state):
    """An image of an earlier round is there or not before anything is asked for."""
    tags = {tag for image in state["images"].values() for tag in image}
    for name in ("reference", "tag"):
        if hasattr(worker, name):
            return {getattr(worker, name): getattr(worker, name) in tags}
    return {}
