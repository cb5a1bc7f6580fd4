"""200 rounds of random create, run, rm, prune, rename and update at once on ten names.

The oracle stands outside: it knows volumes by the ids in their own records on the disk, and their
content by tokens that containers wrote and whose writing was acknowledged. After each round

- a volume of the round before is there, under one name, with all it had, or as many were removed
  as answers say;
- a token that was acknowledged is in one volume, if none was removed;
- names that one request alone had to do with are exactly as it was answered;
- nothing is half there: directories, the API and the events agree;
- nothing is mounted any more, and nothing was written beneath a mount: some of the volumes are
  directories elsewhere, bound by their options.

HOLDFAST_STORM_SEED sets the seed, HOLDFAST_STORM_ROUNDS the number of rounds.
"""

import json
import os
import random
import threading
import time
from pathlib import Path

import host_state
import pytest
from engine import KIND, Engine
from images import Images
from waiting import until

ROUNDS = int(os.environ.get("HOLDFAST_STORM_ROUNDS", 200))
SEED = int(os.environ.get("HOLDFAST_STORM_SEED", random.randrange(1 << 32)))
NAMES = [f"v{number}" for number in range(10)]

pytestmark = pytest.mark.skipif(KIND == "dockerd", reason="dockerd renames no volumes")


class Request:
    """One request of a round: what was asked, and what the answer was."""

    def __init__(self, kind, names, act):
        self.kind, self.names, self.act = kind, names, act
        self.answer = None

    def run(self, api):
        self.answer = self.act(api)

    @property
    def done(self):
        return self.answer is not None and self.answer.status < 300

    def __repr__(self):
        said = f"{self.answer.status} {self.answer.message}" if self.answer else "no answer"
        return f"{self.kind} {' '.join(self.names)}: {said}"


def create(chance):
    name = chance.choice(NAMES)
    return Request("create", [name], lambda api: api.post("/volumes/create", {"Name": name}))


def create_bound(chance):
    """A volume that is a directory elsewhere, a new one each time, and mounted while it is used."""
    name, token = chance.choice(NAMES), f"{chance.randrange(1 << 60):x}"

    def act(api):
        folder = Path(api.socket_path).parent / f"bound-{token}"
        folder.mkdir()
        options = {"type": "none", "o": "bind", "device": str(folder)}
        return api.post("/volumes/create", {"Name": name, "DriverOpts": options})

    return Request("create bound", [name], act)


def remove(chance):
    name = chance.choice(NAMES)
    return Request("rm", [name], lambda api: api.delete(f"/volumes/{name}"))


def rename(chance):
    old, new = chance.sample(NAMES, 2)
    url = f"/holdfast/v1/volumes/{old}/rename"
    return Request("rename", [old, new], lambda api: api.post(url, {"Name": new}))


def update(chance):
    name, value = chance.choice(NAMES), str(chance.randrange(1000))
    url = f"/holdfast/v1/volumes/{name}"
    return Request("update", [name], lambda api: api.call("PATCH", url, {"Labels": {"n": value}}))


def prune(chance):
    # Of some names only, or nothing would grow old.
    pattern = f"^v[{''.join(str(number) for number in chance.sample(range(10), 3))}]$"
    filters = {"all": ["1"], "name": [pattern]}
    matching = [name for name in NAMES if name[1] in pattern]
    return Request("prune", matching, lambda api: api.post("/volumes/prune", filters=filters))


def run(chance):
    """A container that writes a token into the volume and goes."""
    name, token = chance.choice(NAMES), f"{chance.randrange(1 << 60):x}"
    body = {
        "Image": "busybox", "Cmd": ["sh", "-c", f"echo {token} >>/d/tokens && sync /d/tokens"],
        "HostConfig": {"Binds": [f"{name}:/d"], "NetworkMode": "none"},
    }

    def act(api):
        made = api.post("/containers/create", body)
        if made.status != 201:
            return made
        container = f"/containers/{made.json['Id']}"
        started = api.post(f"{container}/start")
        ended = api.post(f"{container}/wait") if started.status == 204 else started
        if ended.status == 200 and ended.json["StatusCode"] == 0:
            request.token = token
        removed = api.delete(container)
        assert removed.status == 204, removed.body
        return ended

    request = Request("run", [name], act)
    request.token = None
    return request


KINDS = [create, create_bound, create_bound, run, run, remove, rename, rename, update, prune]


def disk(engine):
    """{volume's id: (name, tokens in it)}, by what the disk has."""
    found = {}
    folders = list((engine.data_root / "volumes").iterdir())
    until(lambda: all((folder / "volume.json").exists() for folder in folders), "all have sidecars")
    for folder in folders:
        record = json.loads((folder / "volume.json").read_text())
        assert record["name"] == folder.name, record
        assert record["id"] not in found, f"{record['id']} twice"
        elsewhere = record.get("options", {}).get("device")
        assert not elsewhere or not os.listdir(folder / "_data"), f"{folder.name}: written beneath its mount"
        tokens = Path(elsewhere or folder / "_data") / "tokens"
        found[record["id"]] = (folder.name, set(tokens.read_text().split()) if tokens.exists() else set())
    return found


def perform(engine, requests):
    failures = []

    def work(request):
        try:
            request.run(engine.api)
        except Exception as error:  # noqa: BLE001, told below
            failures.append((request, error))

    threads = [threading.Thread(target=work, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), requests
    assert not failures, failures
    bad = [request for request in requests if request.answer.status >= 500]
    assert not bad, bad


def removed_by(requests):
    """How many removals were acknowledged."""
    count = sum(request.done for request in requests if request.kind == "rm")
    pruned = [request.answer.json["VolumesDeleted"] for request in requests if request.kind == "prune"]
    return count + sum(map(len, pruned))


def check_whole(before, after, requests):
    removals = removed_by(requests)
    gone = set(before) - set(after)
    assert len(gone) <= removals, f"{len(gone)} volumes are gone, {removals} were removed"
    for identity in set(before) & set(after):
        lost = before[identity][1] - after[identity][1]
        assert not lost, f"{before[identity][0]} lost {lost}"
    tokens = [token for _, found in after.values() for token in found]
    assert len(tokens) == len(set(tokens)), "a token is in two volumes"
    written = {request.token for request in requests if request.kind == "run" and request.token}
    if not removals:
        assert written <= set(tokens), f"lost: {written - set(tokens)}"
        assert not gone


def check_alone(before, after, requests):
    """Requests whose names no other had to do with did exactly what was answered."""
    ids_before = {name: identity for identity, (name, _) in before.items()}
    ids_after = {name: identity for identity, (name, _) in after.items()}
    for request in requests:
        others = {name for other in requests if other is not request for name in other.names}
        if others & set(request.names):
            continue
        old = [ids_before.get(name) for name in request.names]
        new = [ids_after.get(name) for name in request.names]
        if request.kind == "rename":
            possible = old[0] is not None and old[1] is None
            assert request.done == possible, request
            assert new == ([None, old[0]] if possible else old), request
        elif request.kind == "rm":
            assert request.done == (old[0] is not None) and new == [None], request
        elif request.kind == "prune":
            assert sorted(request.answer.json["VolumesDeleted"]) == sorted(
                name for name, identity in zip(request.names, old) if identity
            ), request
            assert not any(new), request
        elif request.kind == "create bound":
            assert request.done == (old[0] is None) and new[0] is not None and old[0] in (None, new[0]), request
        elif request.kind == "update":
            assert request.done == (old[0] is not None) and new == old, request
        else:
            assert request.done and new[0] is not None and old[0] in (None, new[0]), request
        if request.kind == "run":
            assert request.token in after[new[0]][1], request


def check_agreement(engine, before, after, since):
    volumes = engine.api.volumes()
    assert sorted(volumes) == sorted(name for name, _ in after.values())
    events = engine.api.get("/events", since=since, until=time.time(), filters={"type": ["volume"]})
    actions = [json.loads(line)["Action"] for line in events.body.splitlines()]
    grown = actions.count("create") - actions.count("destroy")
    assert grown == len(after) - len(before), (grown, len(after) - len(before), actions)
    assert actions.count("mount") == actions.count("unmount"), actions


@pytest.mark.timeout(600)
def test_storm(registry):
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    engine = Engine()
    try:
        engine.start()
        Images(engine, registry).have("busybox")
        engine.use_the_bridge()
        host = host_state.snapshot(engine)
        before, counts = {}, {}
        for number in range(ROUNDS):
            requests = [chance.choice(KINDS)(chance) for _ in range(chance.randint(2, 6))]
            since = time.time()
            perform(engine, requests)
            after = disk(engine)
            try:
                check_whole(before, after, requests)
                check_alone(before, after, requests)
                check_agreement(engine, before, after, since)
                until(lambda: not set(engine.mounts()) - set(host.mounts), lambda: f"unmounted: {engine.mounts()}", 5)
            except AssertionError as wrong:
                raise AssertionError(f"seed {SEED}, round {number}: {wrong}\n{requests}") from wrong
            for request in requests:
                key = (request.kind, request.done)
                counts[key] = counts.get(key, 0) + 1
            before = after
            if number % 50 == 49:
                engine.kill()
                engine.start()
                assert disk(engine) == before, f"seed {SEED}, round {number}: after kill -9"
        assert engine.api.containers() == []
        trash = engine.data_root / "trash"
        until(lambda: not [entry for entry in trash.iterdir() if any(entry.iterdir())], "trash is empty")
        assert not list((engine.data_root / "staging").iterdir())
        host_state.assert_no_leaks(engine, host)
        print(sorted(counts.items()))
        # Otherwise too little was tried.
        for kind in ("create", "create bound", "run", "rm", "prune", "rename", "update"):
            assert counts.get((kind, True), 0) >= ROUNDS // 20, counts
    finally:
        if not engine.alive():
            engine.start()
        engine.close()
