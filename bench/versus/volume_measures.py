"""Volumes by the thousand: making, listing and pruning them, and starting with them.

Every function measures both daemons by turns, as run.py's do, through the API alone, by a client
that does as little as it can: its time is in the numbers of both.
"""

import json
import socket
import threading

from waiting import until


class Line:
    """One client of the API: a connection that is kept. http.client would take longer than some answers do."""

    def __init__(self, engine):
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(600)
        self.connection.connect(str(engine.socket))
        self.stream = self.connection.makefile("rb")

    def call(self, method, url, body=None):
        text = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {url} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        self.connection.sendall(head.encode() + text)
        status = int(self.stream.readline().split()[1])
        length = None
        while (line := self.stream.readline().lower()) != b"\r\n":
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        data = self.stream.read(length) if length is not None else b"" if status == 204 else b"".join(self.chunks())
        assert status < 300, (method, url, status, data[:300])
        return data

    def chunks(self):
        while True:
            chunk = self.stream.read(int(self.stream.readline(), 16))
            self.stream.readline()
            if not chunk:
                return
            yield chunk

    def close(self):
        self.stream.close()
        self.connection.close()


def in_parallel(engine, clients, action):
    """action(line, number of the client), each in a thread of its own; raises what one raised."""
    failures = []

    def work(number):
        line = Line(engine)
        try:
            action(line, number)
        except Exception as error:  # noqa: BLE001, told to the caller
            failures.append(error)
        finally:
            line.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def make_volumes(engine, count, prefix, clients=16):
    def action(line, number):
        for index in range(number, count, clients):
            line.call("POST", "/volumes/create", {"Name": f"{prefix}{index}", "Labels": {"n": str(index)}})

    in_parallel(engine, clients, action)


def prune_all(engine):
    """Whatever API version: an old daemon has no `all`, and takes named ones anyway."""
    line = Line(engine)
    url = "/volumes/prune"
    if engine.kind == "holdfastd":
        url += "?filters=%7B%22all%22%3A%5B%22true%22%5D%7D"
    report = json.loads(line.call("POST", url))
    line.close()
    return report


def create_rate(clients, milliseconds):
    """Milliseconds a volume, made durably by so many clients at once."""

    def measure(pair):
        count = 64 * max(4, clients) if pair.quick else 200 * max(4, clients)

        def action(engine, client, turn):
            spent = milliseconds(lambda: make_volumes(engine, count, f"made{turn}-", clients))
            prune_all(engine)
            return spent / count

        return pair.alternate(3, action)

    return measure


def list_many(milliseconds):
    def measure(pair):
        count = 10_000
        for engine in pair.engines.values():
            make_volumes(engine, count, "listed")

        def action(engine, client, turn):
            line = Line(engine)
            answer = []
            spent = milliseconds(lambda: answer.append(line.call("GET", "/volumes")))
            line.close()
            assert len(json.loads(answer[0])["Volumes"]) >= count
            return spent

        found = pair.alternate(pair.rounds(12), action)
        for engine in pair.engines.values():
            prune_all(engine)
        return found

    return measure


def prune_many(milliseconds):
    def measure(pair):
        count = 1000 if pair.quick else 5000

        def action(engine, client, turn):
            make_volumes(engine, count, f"going{turn}-")
            report = []
            spent = milliseconds(lambda: report.append(prune_all(engine)))
            assert len(report[0]["VolumesDeleted"]) == count
            return spent

        return pair.alternate(1 if pair.quick else 3, action)

    return measure


def ready_with(count, ready_after):
    def measure(pair):
        number = count // 4 if pair.quick else count
        for engine in pair.engines.values():
            make_volumes(engine, number, "kept")

        def action(engine, client, turn):
            engine.stop()
            spent = ready_after(engine, lambda engine: engine.api.ping())
            assert len(engine.api.volumes()) >= number
            return spent

        found = pair.alternate(3, action)
        for engine in pair.engines.values():
            prune_all(engine)
            until(lambda: not engine.api.volumes(), "the volumes are gone")
        return found

    return measure
