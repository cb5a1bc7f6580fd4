"""kill -9 of the daemon while secrets are made, changed and removed.

The oracle: what was acknowledged is there after the restart, with its labels, and opens to its content; what was
not is there whole or not at all; the key is the one it was. The seed is printed; HOLDFAST_CRASH_SEED sets it.
"""

import base64
import hashlib
import os
import random
import time

import pytest
from client import Client
from engine import KIND, Engine
from images import Images
from test_kill_at_random import SEED, Worker

ROUNDS = int(os.environ.get("HOLDFAST_CRASH_ROUNDS", 50)) // 5

pytestmark = pytest.mark.skipif(KIND == "dockerd", reason="its secrets need a swarm")


def content_of(name):
    """Some bytes that follow from the name, a few hundred thousand for one in ten."""
    block = hashlib.sha256(name.encode()).digest()
    return block * (12_000 if block[0] < 25 else 1 + block[0])


class Secrets(Worker):
    kind = "secret"

    def step(self):
        name = self.fresh()
        body = {"Name": name, "Data": base64.b64encode(content_of(name)).decode(), "Labels": {"n": name}}
        self.ask(name, True, "POST", "/secrets/create", body, ok=(201,))
        if self.random.random() < 0.3:
            version = self.api.get(f"/secrets/{name}").json["Version"]["Index"]
            self.api.post(f"/secrets/{name}/update", {"Name": name, "Labels": {"n": name, "more": ""}},
                          version=version)
        if self.random.random() < 0.4:
            self.ask(name, False, "DELETE", f"/secrets/{name}", ok=(204,))


def check(engine, workers):
    known = {name: there for worker in workers for name, there in worker.known.items()}
    found = engine.api.secrets()
    lost = [name for name, there in known.items() if there and name not in found]
    back = [name for name, there in known.items() if there is False and name in found]
    assert not lost and not back, (lost, back)
    for name, secret in found.items():
        assert secret["Spec"]["Labels"]["n"] == name
    assert "damaged" not in engine.log_tail(200)


def open_all(engine, client):
    """One container gets them all, and says what it got."""
    names = sorted(engine.api.secrets())
    words = [word for name in names for word in ("--secret", name)]
    output = client("run", "--rm", "--network", "none", *words, "busybox", "sh", "-c",
                    "cd /run/secrets 2>/dev/null && sha256sum * || true")
    got = {line.split()[1]: line.split()[0] for line in output.lines}
    assert got == {name: hashlib.sha256(content_of(name)).hexdigest() for name in names}


@pytest.mark.timeout(600)
def test_kill_while_secrets_change(registry, tmp_path):
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    engine = Engine()
    try:
        engine.start()
        Images(engine, registry).have("busybox")
        client = Client("holdfast", engine, tmp_path)
        key = None
        operations = 0
        for number in range(ROUNDS):
            workers = [Secrets(engine, chance.random()) for _ in range(4)]
            for worker in workers:
                worker.start()
            # The moment itself is what is random here; nothing is waited for.
            time.sleep(chance.uniform(0.005, 0.4))
            for worker in workers:
                worker.stopping.set()
            engine.kill()
            for worker in workers:
                worker.join(30)
                assert not worker.is_alive() and not worker.unexpected, (SEED, number, worker.unexpected)
            operations += sum(worker.count for worker in workers)
            engine.start()
            check(engine, workers)
            open_all(engine, client)
            if engine.api.secrets():
                key = key or engine.key_file.read_text()
                assert engine.key_file.read_text() == key
                assert len(list(engine.key_file.parent.iterdir())) == 1
            for name in engine.api.secrets():
                assert engine.api.delete(f"/secrets/{name}").status == 204
        print(f"{operations} operations over {ROUNDS} kills")
        assert operations > ROUNDS
    finally:
        if not engine.alive():
            engine.start()
        engine.close()
