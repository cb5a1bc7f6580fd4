"""Compose, as Debian ships it: services, a named volume and a network of one project."""

import os
import subprocess

import pytest
from waiting import until

PROJECT = """
version: "3"
services:
  writer:
    image: busybox
    command: sh -c 'echo from compose >/data/file; sleep 1000'
    stop_grace_period: 0s
    volumes: [ "data:/data" ]
  reader:
    image: busybox
    command: sh -c 'until nslookup writer >/dev/null 2>&1 && cat /data/file; do sleep 0.05; done; sleep 1000'
    stop_grace_period: 0s
    depends_on: [ writer ]
    volumes: [ "data:/data:ro" ]
    environment: { MODE: "${MODE:-none}" }
volumes:
  data:
"""


@pytest.fixture
def compose(docker, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "docker-compose.yml").write_text(PROJECT)

    def run(*words, **environment):
        done = subprocess.run(
            ["docker-compose", *words], cwd=folder, capture_output=True, text=True, timeout=120,
            # Newer APIs have no ContainerConfig of images, without which this version recreates nothing.
            env={**docker.environment(), "COMPOSE_API_VERSION": "1.41", **environment},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.mark.skipif(not os.path.exists("/usr/bin/docker-compose"), reason="no docker-compose")
def test_project(compose, docker, api):
    compose("up", "-d")
    assert "project_data" in api.volumes()
    assert "project_default" in [network["Name"] for network in api.networks()]
    until(lambda: "from compose" in compose("logs", "reader"), "the reader saw the file")
    assert "Up" in compose("ps")
    assert "from compose" in compose("exec", "-T", "reader", "cat", "/data/file")
    before = api.container("project_reader_1")["Id"]
    compose("up", "-d", MODE="changed")
    after = api.container("project_reader_1")
    assert after["Id"] != before and "MODE=changed" in after["Config"]["Env"]
    compose("down")
    assert api.containers() == [] and "project_data" in api.volumes()
    compose("down", "-v")
    assert "project_data" not in api.volumes()
