"""The engine's HTTP API over its Unix socket, without any Docker client between."""

import http.client
import json
import socket
from dataclasses import dataclass
from urllib.parse import quote, urlencode


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        """What an error answer says; empty where it says nothing in Docker's form."""
        try:
            return self.json.get("message", "")
        except (ValueError, AttributeError):
            return ""


class Api:
    def __init__(self, socket_path, timeout=60):
        self.socket_path = str(socket_path)
        self.timeout = timeout

    def call(self, method, url, body=None, headers=None, **query):
        """One request on a connection of its own. A body that is not bytes is sent as JSON."""
        connection = UnixConnection(self.socket_path, self.timeout)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        if query:
            query = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in query.items()}
            url += "?" + urlencode(query)
        try:
            connection.request(method, url, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, url, **query):
        return self.call("GET", url, **query)

    def post(self, url, body=None, **query):
        return self.call("POST", url, body, **query)

    def delete(self, url, **query):
        return self.call("DELETE", url, **query)

    def stream(self, method, path, body=None, headers=None):
        """A connection whose answer is read bit by bit; the caller closes it."""
        connection = UnixConnection(self.socket_path, self.timeout)
        connection.request(method, path, body, headers or {})
        return connection, connection.getresponse()

    def raw(self, request):
        """Sends bytes as they are and returns all that comes back until the server closes."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(self.timeout)
            stream.connect(self.socket_path)
            try:
                stream.sendall(request)
            except BrokenPipeError:
                pass  # it has refused already, and says so
            received = b""
            try:
                while chunk := stream.recv(65536):
                    received += chunk
            except ConnectionResetError:
                pass
            return received

    def ping(self):
        try:
            return self.get("/_ping").status == 200
        except OSError:
            return False
        except http.client.HTTPException:
            return False

    # What tests look at most.

    def container(self, name):
        answer = self.get(f"/containers/{quote(name, safe='')}/json")
        assert answer.status == 200, answer.body
        return answer.json

    def containers(self, all=True):
        return self.get("/containers/json", all=int(all)).json

    def volumes(self):
        return {volume["Name"]: volume for volume in self.get("/volumes").json["Volumes"] or []}

    def secrets(self):
        return {secret["Spec"]["Name"]: secret for secret in self.get("/secrets").json}

    def networks(self):
        return self.get("/networks").json

    def images(self):
        return self.get("/images/json").json

    def tags(self):
        return {tag for image in self.images() for tag in image.get("RepoTags") or []}
