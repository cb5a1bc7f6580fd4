"""A volume plugin to test with: speaks Docker's volume plugin protocol, keeps volumes as directories.

Runs as a program of its own, `sample_plugin.py DIRECTORY (--socket PATH | --port NUMBER [--tls CERT KEY
[CA]])`; SamplePlugin starts and ends it. In DIRECTORY it has

    state.json     its volumes: options, and the ids each is mounted for
    volumes/NAME   their files
    calls.jsonl    what it was called with, a line each
    behave.json    how it shall misbehave (see Handler.misbehave), read at each call
"""

import argparse
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Volumes:
    def __init__(self, directory):
        self.directory = directory
        self.file = directory / "state.json"
        self.lock = threading.Lock()
        (directory / "volumes").mkdir(parents=True, exist_ok=True)

    def load(self):
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def save(self, state):
        temporary = self.file.with_suffix(".new")
        temporary.write_text(json.dumps(state))
        temporary.rename(self.file)

    def path(self, name):
        return self.directory / "volumes" / name

    def describe(self, name, volume):
        return {
            "Name": name,
            "Mountpoint": str(self.path(name)) if volume["mounts"] else "",
            "CreatedAt": volume["created"],
            "Status": {"mounts": len(volume["mounts"]), "options": volume["options"]},
        }

    def call(self, verb, request, behaviour):
        with self.lock:
            state = self.load()
            name = request.get("Name", "")
            if verb == "List":
                return {"Volumes": [self.describe(*entry) for entry in state.items()]}
            if verb == "Capabilities":
                return {"Capabilities": {"Scope": behaviour.get("scope", "local")}}
            if verb == "Create":
                created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                state.setdefault(
                    name, {"options": request.get("Opts") or {}, "mounts": [], "created": created}
                )
                self.path(name).mkdir(exist_ok=True)
                self.save(state)
                return {}
            if name not in state:
                return {"Err": f"sample: no volume {name}"}
            volume = state[name]
            if verb == "Get":
                return {"Volume": self.describe(name, volume)}
            if verb == "Path":
                return {"Mountpoint": self.describe(name, volume)["Mountpoint"]}
            if verb == "Mount":
                volume["mounts"].append(request["ID"])
                self.save(state)
                return {"Mountpoint": behaviour.get("mountpoint", str(self.path(name)))}
            if verb == "Unmount":
                if request["ID"] not in volume["mounts"]:
                    return {"Err": f"sample: {name} is not mounted for {request['ID']}"}
                volume["mounts"].remove(request["ID"])
                self.save(state)
                return {}
            if verb == "Remove":
                if volume["mounts"]:
                    return {"Err": f"sample: {name} is mounted"}
                del state[name]
                self.save(state)
                subprocess.run(["rm", "-rf", str(self.path(name))], check=True)
                return {}
            return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        method = self.path.strip("/")
        request = json.loads(body) if body.strip() else {}
        with open(self.server.directory / "calls.jsonl", "a") as log:
            line = {"method": method, "request": request, "headers": dict(self.headers)}
            log.write(json.dumps(line) + "\n")
        behaviour = self.server.behaviour()
        if self.misbehave(method, request, behaviour):
            return
        status = 200
        if method in behaviour.get("fail", {}):
            status, text = behaviour["fail"][method]
            answer = {"Err": text}
        elif method == "Plugin.Activate":
            answer = {"Implements": behaviour.get("implements", ["VolumeDriver"])}
        else:
            answer = self.server.volumes.call(method.removeprefix("VolumeDriver."), request, behaviour)
        if answer is None:
            status, answer = 404, {"Err": "404 page not found"}
        self.answer(status, json.dumps({"Err": "", **answer}).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def misbehave(self, method, request, behaviour):
        """behave.json has lists of methods: hang, drip, huge, endless, garbage, die, die_after, cut."""

        def told(how):
            return method in behaviour.get(how, [])

        if told("hang"):
            while method in self.server.behaviour().get("hang", []):
                time.sleep(0.05)
            return False  # too late, but it does what it was told
        if told("drip"):
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            for _ in range(100000):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)
        elif told("huge"):
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 30))
            self.end_headers()
            self.flood(1 << 30)
        elif told("endless"):
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b'{"Err": "')
            self.flood(1 << 30)
        elif told("garbage"):
            self.answer(200, b"<html>certainly no JSON</html>")
        elif told("cut"):
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif told("die"):
            os._exit(1)
        elif told("die_after"):
            self.server.volumes.call(method.removeprefix("VolumeDriver."), request, behaviour)
            os._exit(1)
        else:
            return False
        return True

    def flood(self, size):
        block = b"x" * 65536
        sent = 0
        try:
            while sent < size:
                sent += self.connection.send(block)
        except OSError:
            pass
        with open(self.server.directory / "flood", "w") as file:
            file.write(str(sent))

    def address_string(self):
        return "client"

    def log_message(self, *words):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, directory, address):
        self.directory = directory
        self.volumes = Volumes(directory)
        if isinstance(address, str):
            self.address_family = socket.AF_UNIX
            Path(address).unlink(missing_ok=True)
        super().__init__(address, Handler)

    def server_bind(self):
        if self.address_family == socket.AF_UNIX:
            self.socket.bind(self.server_address)
            self.server_name, self.server_port = "sample", 0
        else:
            super().server_bind()

    def behaviour(self):
        try:
            return json.loads((self.directory / "behave.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}

    def handle_error(self, request, client_address):
        pass  # a client that hung up on a plugin that hangs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--socket")
    parser.add_argument("--port", type=int)
    parser.add_argument("--tls", nargs="+")
    arguments = parser.parse_args()
    server = Server(arguments.directory, arguments.socket or ("127.0.0.1", arguments.port))
    if arguments.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*arguments.tls[:2])
        if arguments.tls[2:]:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(arguments.tls[2])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


class SamplePlugin:
    """One plugin process. start() and kill() as often as wanted; close() at the end."""

    def __init__(self, directory, socket=None, port=None, tls=()):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.socket, self.port, self.tls = socket, port, tls
        self.process = None

    def start(self):
        from waiting import until

        where = ["--socket", self.socket] if self.socket else ["--port", self.port]
        tls = ["--tls", *self.tls] if self.tls else []
        self.process = subprocess.Popen(
            [str(word) for word in (sys.executable, "-B", __file__, self.directory, *where, *tls)],
            stdin=subprocess.DEVNULL,
        )
        until(self.listens, "the sample plugin listens", 10)
        return self

    def listens(self):
        assert self.process.poll() is None, "the sample plugin ended by itself"
        family = socket.AF_UNIX if self.socket else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self.socket) if self.socket else ("127.0.0.1", self.port))
                return True
            except OSError:
                return False

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def wait(self):
        self.process.wait(10)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        if self.socket:
            Path(self.socket).unlink(missing_ok=True)

    # How it behaves, and what it has seen.

    def behave(self, **how):
        temporary = self.directory / "behave.new"
        temporary.write_text(json.dumps(how))
        temporary.rename(self.directory / "behave.json")

    def volumes(self):
        file = self.directory / "state.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def mounts(self, name):
        return self.volumes()[name]["mounts"]

    def set_volumes(self, state):
        """As somebody else changes what it keeps, behind the engine's back."""
        (self.directory / "state.json").write_text(json.dumps(state))

    def path(self, name):
        return self.directory / "volumes" / name

    def calls(self, method=None):
        file = self.directory / "calls.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        calls = [json.loads(line) for line in lines]
        return [call for call in calls if method is None or call["method"] == f"VolumeDriver.{method}"]

    def forget_calls(self):
        (self.directory / "calls.jsonl").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
