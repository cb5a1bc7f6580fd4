"""Names and ids that are paths, on every verb that takes one (CVE-2026-3864, CVE-2026-3865)."""

from urllib.parse import quote

from ground import attack

# As a client may send them, between the slashes of a path.
SPELLINGS = ("..", ".", "../..", "%2e%2e", "%2e%2e%2f%2e%2e", "..%2f..%2f..", "%252e%252e%252f", "%00", "a%00b", "%2f", "%5c..%5c..",
             "a%2fb", "..%00", "%ff%fe", "%e2%80%ae", "x" * 4096, "%c0%ae%c0%ae%2f", "-rf", "%20", "%0a", "%7e", "$(id)", "%25s%25n",
             "%e4%bd%a0%e5%a5%bd", "%d0%b8%d0%bc%d1%8f", "*", "%3f", "%23", "a:b", "a@b", "..;", "sha256:..", "%f0%9f%90%98")

PATHS = (
    ("GET", "/containers/{}/json"), ("POST", "/containers/{}/start"), ("POST", "/containers/{}/stop"), ("DELETE", "/containers/{}"),
    ("POST", "/containers/{}/kill"), ("POST", "/containers/{}/restart"), ("POST", "/containers/{}/pause"),
    ("POST", "/containers/{}/unpause"), ("POST", "/containers/{}/rename?name=x"), ("POST", "/containers/{}/update"),
    ("POST", "/containers/{}/wait"), ("POST", "/containers/{}/resize?h=1&w=1"), ("POST", "/containers/{}/exec"),
    ("POST", "/containers/{}/attach"), ("GET", "/containers/{}/logs?stdout=1"), ("GET", "/containers/{}/top"),
    ("GET", "/containers/{}/changes"), ("GET", "/containers/{}/stats?stream=0"), ("GET", "/containers/{}/export"),
    ("GET", "/containers/{}/archive?path=/"), ("PUT", "/containers/{}/archive?path=/"), ("HEAD", "/containers/{}/archive?path=/"),
    ("GET", "/exec/{}/json"), ("POST", "/exec/{}/start"), ("POST", "/exec/{}/resize?h=1&w=1"),
    ("GET", "/volumes/{}"), ("DELETE", "/volumes/{}"), ("DELETE", "/volumes/{}?force=1"), ("PUT", "/volumes/{}"),
    ("GET", "/networks/{}"), ("DELETE", "/networks/{}"), ("POST", "/networks/{}/connect"), ("POST", "/networks/{}/disconnect"),
    ("GET", "/images/{}/json"), ("DELETE", "/images/{}"), ("GET", "/images/{}/history"), ("GET", "/images/{}/get"),
    ("POST", "/images/{}/tag?repo=x"), ("GET", "/plugins/{}/json"), ("GET", "/secrets/{}"), ("DELETE", "/secrets/{}"),
)


@attack
def test_in_a_path(ground):
    """Nothing that isn't there is found, and nothing is an error of the daemon's own."""
    for spelling in SPELLINGS:
        for method, path in PATHS:
            answer = ground.api.raw(request(method, path.format(spelling)))
            status = int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
            forced = status == 204 and "force" in path  # Docker's answer for a volume that isn't there
            if status not in (400, 404, 405, 501, 503) and not forced:
                yield f"{method} {path.format(spelling)[:80]}: {answer[:300]!r}"
    # Where a check of the name is all there is.
    yield from made_outside(ground)


def request(method, path):
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode("latin-1")


# The same as a client's library decodes them, for bodies and queries.
NAMES = ("..", "../../x", "/", "a/../../b", "\0", "a\0b", "\\..\\..", "x" * 4096, "x" * 256, "-rf", "a\nb", "$(id)", "%s%n", "имя", "\u202e",
         "🐘", "．．", "%2e%2e%2f")


def bodies(name):
    yield "/volumes/create", {"Name": name}
    yield "/networks/create", {"Name": name}
    yield "/secrets/create", {"Name": name, "Data": "eA=="}
    yield "/volumes/create", {"Name": "fine", "Driver": name}
    yield "/volumes/create", {"Name": "fine2", "Driver": "local", "DriverOpts": {name: "x"}}
    yield "/containers/create", {"Image": name}
    for host in ({"VolumesFrom": [name]}, {"NetworkMode": f"container:{name}"}, {"IpcMode": f"container:{name}"},
                 {"PidMode": f"container:{name}"}, {"Runtime": name}, {"VolumeDriver": name},
                 {"Mounts": [{"Type": "volume", "Source": name, "Target": "/d"}]},
                 {"Mounts": [{"Type": "image", "Source": name, "Target": "/d"}]}):
        yield "/containers/create", {"Image": "attacker", "HostConfig": host}


@attack
def test_in_a_body(ground):
    before = set(ground.engine.data_root.rglob("*"))
    for name in NAMES:
        for path, body in bodies(name):
            answer = ground.api.post(path, body)
            if answer.status >= 500 and answer.status not in (501, 503):
                yield f"{path} {str(body)[:100]}: {answer.status} {answer.message}"
        ground.api.post(f"/containers/create?name={quote(name)}", {"Image": "attacker"})
        ground.api.post("/commit", {}, container=name, repo=name, tag=name)
        ground.api.post("/images/create", fromImage=f"127.0.0.1:1/{name}", tag=name)
        ground.api.get(f"/images/get?names={quote(name)}")
    yield from made_outside(ground)
    ground.engine.remove_everything()
    left = {path for path in set(ground.engine.data_root.rglob("*")) - before if "trash" not in path.parts and path.suffix != ".log"}
    yield from (f"left behind: {path}" for path in left if "containers" not in path.parts and "state.db" not in path.name)


def made_outside(ground):
    """Volumes that would lie beside the canary, or take its directory for theirs."""
    beside = f"../../{ground.out.name}"
    for name in (f"{beside}/planted", beside, f"{ground.out}/planted", f"x/../{beside}/planted"):
        ground.api.post("/volumes/create", {"Name": name})
        ground.create(HostConfig={"Mounts": [{"Type": "volume", "Source": name, "Target": "/d"}]})
        ground.api.delete(f"/volumes/{quote(name, safe='')}", force=1)
    yield from ground.canary.changes()
