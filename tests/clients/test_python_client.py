"""docker-py, the library that much of the Docker world is built on."""

import io
import tarfile

import docker as docker_py
import pytest


@pytest.fixture
def client(engine):
    client = docker_py.DockerClient(base_url=f"unix://{engine.socket}", version="auto", timeout=60)
    yield client
    client.close()


def test_ping_version_info(client):
    assert client.ping() is True
    assert client.version()["Os"] == "linux"
    assert client.info()["OSType"] == "linux"


def test_run(client):
    assert client.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
    with pytest.raises(docker_py.errors.ContainerError) as failure:
        client.containers.run("busybox", "sh -c 'echo bad >&2; exit 3'", remove=True)
    assert failure.value.exit_status == 3 and b"bad" in failure.value.stderr


def test_life_of_a_container(client):
    container = client.containers.run(
        "busybox", ["sh", "-c", "echo started; sleep 1000"], detach=True, name="py",
        environment={"A": "1"}, volumes={"data": {"bind": "/d", "mode": "rw"}}, labels={"k": "v"},
    )
    container.reload()
    assert container.status == "running" and container.labels == {"k": "v"}
    code, output = container.exec_run("sh -c 'echo $A; exit 4'")
    assert (code, output) == (4, b"1\n")
    (out, err) = container.exec_run("sh -c 'echo o; echo e >&2'", demux=True).output
    assert (out, err) == (b"o\n", b"e\n")
    assert next(container.logs(stream=True)) == b"started\n"
    container.pause()
    container.unpause()
    container.stop(timeout=0)
    assert container.wait()["StatusCode"] == 137
    container.remove(v=True)
    with pytest.raises(docker_py.errors.NotFound):
        client.containers.get("py")


def test_archives(client):
    container = client.containers.create("busybox", "true")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        member = tarfile.TarInfo("file")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"data"))
    assert container.put_archive("/root", stream.getvalue())
    bits, stat = container.get_archive("/root/file")
    assert stat["name"] == "file" and stat["size"] == 4
    with tarfile.open(fileobj=io.BytesIO(b"".join(bits))) as tar:
        assert tar.extractfile("file").read() == b"data"


def test_volumes_and_networks(client):
    volume = client.volumes.create("data", labels={"a": "1"})
    assert volume.attrs["Labels"] == {"a": "1"}
    assert [v.name for v in client.volumes.list(filters={"label": "a"})] == ["data"]
    network = client.networks.create("net", driver="bridge")
    container = client.containers.create("busybox", "true", network="net")
    network.reload()
    with pytest.raises(docker_py.errors.APIError):
        client.networks.create("net", check_duplicate=True)
    container.remove()
    network.remove()
    volume.remove()
    with pytest.raises(docker_py.errors.NotFound):
        client.volumes.get("data")


def test_images(client, registry):
    reference = registry.push("my-image")
    image = client.images.pull(reference)
    assert reference in image.tags
    assert image.tag("mine/copy", "1")
    saved = b"".join(client.images.get("mine/copy:1").save(named=True))
    client.images.remove("mine/copy:1")
    (loaded,) = client.images.load(saved)
    assert loaded.id == image.id
    assert client.images.prune()["SpaceReclaimed"] >= 0


def test_events(client):
    stream = client.events(decode=True, filters={"type": "container"})
    client.containers.run("busybox", "true", name="seen", remove=True)
    actions = []
    for event in stream:
        actions.append(event["Action"])
        if event["Action"] == "destroy":
            break
    stream.close()
    assert actions[0] == "create" and "die" in actions


def test_stats_once(client):
    container = client.containers.run("busybox", "sleep 1000", detach=True)
    stats = container.stats(stream=False)
    assert stats["memory_stats"]["usage"] > 0 and "cpu_usage" in stats["cpu_stats"]
