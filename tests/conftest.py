"""One engine per session, in a network namespace of the session's own.

Environment: HOLDFAST_TEST_ENGINE (holdfastd, dockerd), HOLDFAST_TEST_CLIENTS (docker,holdfast),
HOLDFAST_BIN (where holdfast and holdfastd are; build/bin).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

import host_state  # noqa: E402
import namespace  # noqa: E402
from client import Client  # noqa: E402
from engine import KIND, Engine  # noqa: E402
from images import Images, Registry  # noqa: E402

CLIENTS = os.environ.get("HOLDFAST_TEST_CLIENTS", "docker,holdfast").split(",")


def pytest_configure(config):
    """In a network namespace of its own, all that is left behind on the network is the engine's."""
    if os.geteuid() != 0:
        pytest.exit("these tests start an engine: run them as root", 1)
    namespace.enter()


def pytest_report_header(config):
    return f"engine: {KIND}, clients: {', '.join(CLIENTS)}"


def pytest_collection_modifyitems(items):
    for item in items:
        marker = item.get_closest_marker("holdfast_only")
        if marker and KIND == "dockerd":
            item.add_marker(pytest.mark.skip(reason=marker.args[0]))


@pytest.fixture(scope="session")
def registry():
    registry = Registry()
    yield registry
    registry.close()


@pytest.fixture(scope="session")
def session_engine():
    engine = Engine()
    before = host_state.snapshot(engine)
    try:
        engine.start()
        yield engine
        engine.remove_everything()
        engine.stop()
        left = [line for line in before.difference(host_state.snapshot(engine)) if foreign(line)]
        assert not left, f"left on the host after the engine's end: {left}"
    finally:
        engine.close()


def foreign(line):
    """Not the daemon's own permanent set-up: its bridge and the firewall's empty chains."""
    return line.split(":")[0] in ("mounts", "loops", "processes", "entries") or "veth" in line


@pytest.fixture(scope="session")
def images(session_engine, registry):
    images = Images(session_engine, registry)
    images.have("busybox")
    session_engine.use_the_bridge()
    return images


@pytest.fixture
def engine(request, session_engine, images):
    """The session's engine, with the images the test asks for, and emptied after the test."""
    if not session_engine.alive():
        session_engine.start()
    for marker in request.node.iter_markers("images"):
        images.have(*marker.args)
    images.have("busybox")  # a test before may have removed it
    yield session_engine
    assert session_engine.alive(), f"the daemon ended during the test:\n{session_engine.log_tail()}"
    session_engine.remove_everything()
    images.restore()


@pytest.fixture(scope="module", autouse=True)
def leaks(request):
    """At the end of each module nothing of its containers is left on the host."""
    if "session_engine" not in request.fixturenames and not uses_engine(request):
        yield
        return
    request.getfixturevalue("images")
    engine = request.getfixturevalue("session_engine")
    before = host_state.snapshot(engine)
    yield
    if engine.alive():
        host_state.assert_no_leaks(engine, before)


def uses_engine(request):
    """Does any test of this module use the session's engine?"""
    module = [item for item in request.session.items if item.module is request.module]
    return any("engine" in item.fixturenames for item in module)


@pytest.fixture
def api(engine):
    return engine.api


def old_docker_client():
    """Debian 12's docker is 20.10; what it can't do yet is no fault of the engine."""
    done = subprocess.run(["docker", "--version"], capture_output=True, text=True)
    found = re.search(r"version (\d+)", done.stdout)
    return found is not None and int(found[1]) < 23


@pytest.fixture(params=CLIENTS)
def cli(request, engine, tmp_path):
    """Each client in turn."""
    marker = request.node.get_closest_marker("newer_client")
    if marker and request.param == "docker" and old_docker_client():
        pytest.skip(f"docker before 23: {marker.args[0]}")
    return Client(request.param, engine, tmp_path / "home")


@pytest.fixture
def docker(engine, tmp_path):
    """Docker's own client, for tests that are not about the client."""
    return Client("docker", engine, tmp_path / "home")


@pytest.fixture
def host_capabilities(engine):
    """The capabilities this machine's root has: what a privileged container is to get."""
    with open("/proc/self/status") as status:
        (bound,) = [int(line.split()[1], 16) for line in status if line.startswith("CapBnd")]
    if engine.kind == "dockerd" and bound & 0x1FFFFFFFFFF != 0x1FFFFFFFFFF:
        pytest.skip("dockerd starts no privileged container where root lacks a capability")
    return bound
