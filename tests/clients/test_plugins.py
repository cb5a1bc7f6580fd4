"""Volume plugins: found, used, mistrusted; away, back, silent; and what the daemon remembers of them.

The plugin is tests/lib/sample_plugin.py, a real server on a real socket, with an engine of its own
that has short deadlines. tests/clients/test_rclone.py does the same with a plugin of the world's.
"""

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from client import Client
from engine import Engine
from images import Images
from sample_plugin import SamplePlugin
from waiting import until

pytestmark = pytest.mark.holdfast_only("its plugin directories can't be chosen")

SLOW, QUICK = 3, 1  # seconds: the engine's plugin-timeout and plugin-quick-timeout


@pytest.fixture(scope="module")
def plugin_engine(registry, tmp_path_factory):
    """An engine with plugin directories of its own, in the order of Docker's."""
    directory = tmp_path_factory.mktemp("engine-with-plugins")
    directories = [directory / name for name in ("run", "etc", "usr")]
    for path in directories:
        path.mkdir()
    config = directory / "daemon.json"
    config.write_text(
        json.dumps(
            {
                "plugin-directories": [str(path) for path in directories],
                "plugin-timeout": SLOW,
                "plugin-quick-timeout": QUICK,
            }
        )
    )
    engine = Engine(**{"config-file": config})
    engine.run_directory, engine.etc_directory, _ = directories
    try:
        engine.start()
        images = Images(engine, registry)
        images.have("busybox")
        images.have("volumeful")
        yield engine
    finally:
        engine.close()


@pytest.fixture
def engine(plugin_engine):
    if not plugin_engine.alive():
        plugin_engine.start()
    yield plugin_engine
    assert plugin_engine.alive(), f"the daemon ended during the test:\n{plugin_engine.log_tail()}"
    plugin_engine.remove_everything()
    for name in plugin_engine.api.volumes():
        plugin_engine.api.delete(f"/volumes/{name}", force=1)


@pytest.fixture
def plugin(engine, tmp_path):
    """The sample plugin, as `sample`, listening."""
    plugin = SamplePlugin(tmp_path / "sample", socket=engine.run_directory / "sample.sock").start()
    yield plugin
    plugin.behave()
    if plugin.process.poll() is None:
        engine.remove_everything()
    plugin.close()


def names(cli, *flags):
    return sorted(cli("volume", "ls", "-q", *flags).lines)


def inspect(cli, name):
    (volume,) = json.loads(cli("volume", "inspect", name).out)
    return volume


def timed(call):
    began = time.monotonic()
    result = call()
    return time.monotonic() - began, result


def sidecar(engine, name):
    file = engine.data_root / "volumes" / name / "volume.json"
    return json.loads(file.read_text()) if file.exists() else None


# --- everyday use ---


def test_create_use_and_remove(cli, plugin, engine):
    cli("volume", "create", "-d", "sample", "-o", "size=1g", "--label", "a=1", "data")
    (create,) = plugin.calls("Create")
    assert create["request"] == {"Name": "data", "Opts": {"size": "1g"}}
    media = "application/vnd.docker.plugins.v1.2+json"
    assert create["headers"]["Accept"] == create["headers"]["Content-Type"] == media
    volume = inspect(cli, "data")
    assert (volume["Driver"], volume["Scope"]) == ("sample", "local")
    assert volume["Labels"] == {"a": "1"} and volume["Options"] == {"size": "1g"}
    assert volume["Mountpoint"] == "" and volume["Status"]["mounts"] == 0
    assert sidecar(engine, "data")["driver"] == "sample"
    assert not (engine.data_root / "volumes/data/_data").exists()

    cli("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept >/d/f")
    assert (plugin.path("data") / "f").read_text() == "kept\n"
    assert cli("run", "--rm", "-v", "data:/d:ro", "busybox", "cat", "/d/f").out == "kept\n"
    assert plugin.mounts("data") == []
    mounted = [call["request"]["ID"] for call in plugin.calls("Mount")]
    assert mounted == [call["request"]["ID"] for call in plugin.calls("Unmount")]
    assert len(set(mounted)) == 2

    assert cli("volume", "rm", "data").out == "data\n"
    assert plugin.volumes() == {} and not plugin.path("data").exists()
    assert names(cli) == []


def test_a_running_container_holds_it(cli, plugin, engine):
    cli("run", "-d", "--name", "one", "-v", "data:/d", "--volume-driver", "sample", "busybox", "sleep", "1d")
    identity = engine.api.container("one")["Id"]
    assert plugin.mounts("data") == [identity]
    assert inspect(cli, "data")["Mountpoint"] == str(plugin.path("data"))
    (mount,) = engine.api.container("one")["Mounts"]
    assert (mount["Driver"], mount["Name"], mount["Source"]) == ("sample", "data", str(plugin.path("data")))
    cli.fails("volume", "rm", "data", says=f"remove data: volume is in use - [{identity}]")
    cli.fails("volume", "rm", "-f", "data", says="volume is in use")
    cli("run", "-d", "--name", "two", "-v", "data:/d", "busybox", "sleep", "1d")
    assert len(plugin.mounts("data")) == 2
    cli("rm", "-f", "one")
    assert plugin.mounts("data") == [engine.api.container("two")["Id"]]
    cli("rm", "-f", "two")
    assert plugin.mounts("data") == []
    assert not (engine.data_root / "volumes/data/plugin.json").exists()


def test_one_container_with_it_at_two_targets_mounts_once(cli, plugin):
    cli("volume", "create", "-d", "sample", "data")
    cli("run", "--rm", "-v", "data:/a", "-v", "data:/b", "busybox", "sh", "-c", "touch /a/f && ls /b/f")
    assert len(plugin.calls("Mount")) == len(plugin.calls("Unmount")) == 1


def test_mount_flag(cli, plugin):
    mount = "type=volume,src=data,dst=/d,volume-driver=sample,volume-opt=k=v,volume-label=l=1"
    cli("run", "--rm", "--mount", mount, "busybox", "touch", "/d/f")
    assert plugin.volumes()["data"]["options"] == {"k": "v"}
    assert inspect(cli, "data")["Labels"] == {"l": "1"}


def test_anonymous_volumes_of_a_plugin_go_with_their_container(cli, plugin):
    mount = "type=volume,dst=/d,volume-driver=sample"
    cli("run", "--rm", "--mount", mount, "busybox", "touch", "/d/f")
    assert plugin.volumes() == {} and len(plugin.calls("Remove")) == 1


def test_first_use_fills_it(cli, plugin):
    mount = ["--mount", "src=data,dst=/data,volume-driver=sample"]
    assert "as expected" in cli("run", "--rm", *mount, "volumeful").out
    assert plugin.mounts("data") == [] and any(plugin.path("data").iterdir())
    cli("run", "--rm", *mount, "busybox", "sh", "-c", "rm -rf /data/* /data/.hidden && touch /data/own")
    assert cli("run", "--rm", *mount, "volumeful", "ls", "-A", "/data").lines == ["own"]


@pytest.fixture
def refuses_owners(plugin):
    """Makes a volume's directory a file system that takes no change of owner, as many of a network do."""
    mounted = []

    def mount(name):
        path = plugin.path(name)
        below = path.with_name(f"{name}-below")
        below.mkdir()
        subprocess.run(["bindfs", "--chown-deny", "--chgrp-deny", below, path], check=True)
        mounted.append(path)

    yield mount
    for path in mounted:
        subprocess.run(["fusermount3", "-u", "-z", path], check=True)


@pytest.mark.parametrize("image", ["volumeful"])
def test_a_file_system_that_takes_no_owners_gives_a_warning(cli, plugin, refuses_owners, image):
    cli("volume", "create", "-d", "sample", "data")
    refuses_owners("data")
    output = cli("run", "--rm", "-v", "data:/data", image, "ls", "-A", "/data")
    warning = 'volume "data" (driver "sample") was filled from the image\'s /data, but its file system refused'
    assert warning in output.err and len(output.lines) > 1
    assert warning not in cli("run", "--rm", "-v", "data:/data", image, "true").err


def test_prune_leaves_volumes_of_plugins_alone(cli, plugin):
    cli("volume", "create", "-d", "sample", "theirs")
    cli("volume", "create", "ours")
    cli("volume", "prune", "-a", "-f")
    assert names(cli) == ["theirs"] and plugin.calls("Remove") == []


def test_filters_and_scope(cli, plugin):
    plugin.behave(scope="global")
    cli("volume", "create", "-d", "sample", "theirs")
    cli("volume", "create", "ours")
    assert names(cli, "--filter", "driver=sample") == ["theirs"]
    assert names(cli, "--filter", "driver=local") == ["ours"]
    assert inspect(cli, "theirs")["Scope"] == "global" and inspect(cli, "ours")["Scope"] == "local"
    line = cli("volume", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}", "--filter", "name=theirs")
    assert line.out == "theirs sample global\n"


def test_system_df(cli, plugin, engine):
    cli("run", "-d", "--name", "one", "-v", "data:/d", "--volume-driver", "sample", "busybox", "sleep", "1d")
    (volume,) = engine.api.get("/system/df", type="volume").json["Volumes"]
    assert volume["UsageData"] == {"Size": -1, "RefCount": 1}
    cli("system", "df")


# --- what the plugin keeps behind our back ---


def test_volumes_made_out_of_band(cli, plugin, engine):
    plugin.set_volumes({"found": {"options": {"x": "1"}, "mounts": [], "created": "2026-01-02T03:04:05Z"}})
    plugin.path("found").mkdir(exist_ok=True)
    (plugin.path("found") / "f").write_text("theirs\n")
    assert names(cli) == ["found"]
    volume = inspect(cli, "found")
    assert (volume["Driver"], volume["CreatedAt"]) == ("sample", "2026-01-02T03:04:05Z")
    assert sidecar(engine, "found") is None  # looking at it makes it none of ours
    assert cli("run", "--rm", "-v", "found:/d", "busybox", "cat", "/d/f").out == "theirs\n"
    assert sidecar(engine, "found")["driver"] == "sample" and plugin.calls("Create") == []
    assert names(cli) == ["found"]


def test_an_out_of_band_volume_can_be_removed_by_name(cli, plugin):
    plugin.set_volumes({"found": {"options": {}, "mounts": [], "created": "2026-01-02T03:04:05Z"}})
    assert cli("volume", "rm", "found").out == "found\n"
    assert plugin.volumes() == {}
    cli.fails("volume", "rm", "found", says="get found: no such volume")


def test_a_failed_container_takes_nothing_of_the_plugins_along(cli, plugin):
    """A volume that was there before is not removed because a container could not be made."""
    plugin.set_volumes({"found": {"options": {}, "mounts": [], "created": "2026-01-02T03:04:05Z"}})
    plugin.path("found").mkdir(exist_ok=True)
    flags = ["-v", "found:/d", "--mount", "src=other,dst=/e,volume-driver=nosuch"]
    cli.fails("create", *flags, "busybox", says='plugin "nosuch" not found')
    flags = ["--mount", "src=found,dst=/d,volume-driver=sample", *flags[2:]]
    cli.fails("create", *flags, "busybox", says='plugin "nosuch" not found')
    assert "found" in plugin.volumes() and plugin.calls("Remove") == []


def test_volumes_removed_out_of_band(cli, plugin, engine):
    cli("volume", "create", "-d", "sample", "--label", "a=1", "gone")
    plugin.set_volumes({})
    cli.fails("volume", "inspect", "gone", says="get gone: no such volume")
    assert names(cli) == []
    assert sidecar(engine, "gone") is not None
    assert cli("volume", "rm", "gone").out == "gone\n"
    assert sidecar(engine, "gone") is None


def test_a_name_removed_out_of_band_is_free(cli, plugin, engine):
    cli("volume", "create", "-d", "sample", "--label", "old=1", "data")
    plugin.set_volumes({})
    cli("volume", "create", "-d", "local", "--label", "new=1", "data")
    assert inspect(cli, "data")["Driver"] == "local" and inspect(cli, "data")["Labels"] == {"new": "1"}


def test_a_container_whose_volume_was_removed_out_of_band(cli, plugin):
    cli("create", "--name", "one", "-v", "data:/d", "--volume-driver", "sample", "busybox", "true")
    plugin.set_volumes({})
    cli.fails("start", "one", says="sample: no volume data")
    says = "found references to volume 'data' in driver 'sample' but the volume was not found in the driver"
    cli.fails("volume", "create", "-d", "local", "data", says=says)
    assert names(cli) == ["data"]  # held
    cli("rm", "one")
    assert names(cli) == []


def test_a_plugin_that_lost_its_memory_is_told_again(cli, plugin, engine):
    """A volume that is named again is made there again, with what is on record."""
    cli("volume", "create", "-d", "sample", "-o", "remote=bucket", "--label", "a=1", "data")
    cli("create", "--name", "one", "-v", "data:/d", "busybox", "ls", "/d")
    (plugin.path("data") / "kept").touch()
    plugin.set_volumes({})
    cli("run", "--rm", "-v", "data:/d", "busybox", "ls", "/d/kept")
    assert plugin.volumes()["data"]["options"] == {"remote": "bucket"}
    assert inspect(cli, "data")["Labels"] == {"a": "1"}
    assert cli("start", "-a", "one").out == "kept\n"


def test_one_name_one_driver(cli, plugin):
    cli("volume", "create", "-d", "sample", "data")
    cli.fails("volume", "create", "-d", "local", "data", says="driver 'sample' already has volume 'data'")
    cli("volume", "create", "ours")
    cli.fails("volume", "create", "-d", "sample", "ours", says="driver 'local' already has volume 'ours'")
    assert "ours" not in plugin.volumes()


def test_names_that_can_not_be_are_left_out(cli, plugin, engine):
    bad = ["../x", "a/b", "..", "", "x", "\x1b[31mred", "a" * 300]
    entry = {"options": {}, "mounts": [], "created": "2026-01-02T03:04:05Z"}
    plugin.set_volumes({name: entry for name in [*bad, "good"]})
    assert names(cli) == ["good"]


# --- discovery ---


def test_plugin_ls(cli, plugin, engine):
    if cli.program == "docker":
        line = cli("plugin", "ls", "--no-trunc", "--format", "{{.Name}} {{.Enabled}} {{.Description}}").out
        assert line == f"sample true unix://{plugin.socket}\n"
        shown = json.loads(cli("plugin", "inspect", "sample").out)[0]
    else:
        shown = engine.api.get("/plugins/sample/json").json
    assert shown["Config"]["Interface"]["Types"] == ["docker.volumedriver/1.0"] and shown["Enabled"]
    assert engine.api.get("/info").json["Plugins"]["Volume"] == ["local", "sample"]
    assert engine.api.get("/plugins", filters={"capability": ["volumedriver"]}).json[0]["Name"] == "sample"
    assert engine.api.get("/plugins", filters={"capability": ["networkdriver"]}).json == []
    assert engine.api.get("/plugins", filters={"enabled": ["false"]}).json == []
    assert engine.api.get("/plugins", filters={"nonsense": ["1"]}).status == 400
    assert engine.api.get("/plugins/nosuch/json").status == 404
    plugin.kill()
    (shown,) = engine.api.get("/plugins").json
    assert not shown["Enabled"] and "refused" in shown["Config"]["Description"].lower()


def test_a_plugin_is_used_from_the_moment_it_is_there(cli, engine, tmp_path):
    cli.fails("volume", "create", "-d", "late", "data",
              says='create data: error looking up volume plugin late: plugin "late" not found')
    (engine.run_directory / "late").mkdir()
    plugin = SamplePlugin(tmp_path / "late", socket=engine.run_directory / "late/late.sock").start()
    try:
        cli("volume", "create", "-d", "late", "data")
        assert inspect(cli, "data")["Driver"] == "late"
        cli("volume", "rm", "data")
    finally:
        plugin.close()
        (engine.run_directory / "late").rmdir()
    cli.fails("volume", "create", "-d", "late", "data", says='plugin "late" not found')


@pytest.mark.parametrize("form", ["spec", "json"])
def test_over_tcp(cli, engine, tmp_path, form):
    plugin = SamplePlugin(tmp_path / "tcp", port=free_port()).start()
    file = engine.etc_directory / f"tcp.{form}"
    address = f"tcp://localhost:{plugin.port}"
    file.write_text(address if form == "spec" else json.dumps({"Name": "tcp", "Addr": address}))
    try:
        cli("volume", "create", "-d", "tcp", "data")
        cli("run", "--rm", "-v", "data:/d", "busybox", "touch", "/d/f")
        assert (plugin.path("data") / "f").exists()
        cli("volume", "rm", "data")
    finally:
        file.unlink()
        plugin.close()


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A CA, a server's certificate for localhost, a client's; and one of another CA."""
    directory = tmp_path_factory.mktemp("certificates")

    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], cwd=directory, check=True, capture_output=True)

    for ca in ("ca", "other-ca"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2, "-subj", f"/CN={ca}",
                "-keyout", f"{ca}.key", "-out", f"{ca}.pem")
    for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other-ca")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                "-out", f"{name}.csr")
        (directory / "ext").write_text("subjectAltName=DNS:localhost\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                "-CAcreateserial", "-days", 2, "-extfile", "ext", "-out", f"{name}.pem")
    return directory


def test_over_tls(docker, engine, tmp_path, certificates):
    tls = [certificates / name for name in ("server.pem", "server.key", "ca.pem")]
    plugin = SamplePlugin(tmp_path / "tls", port=free_port(), tls=tls).start()
    file = engine.etc_directory / "tls.json"

    def configure(host="localhost", scheme="https", **config):
        config = {key: value if value is True else str(certificates / value) for key, value in config.items()}
        address = f"{scheme}://{host}:{plugin.port}"
        file.write_text(json.dumps({"Name": "tls", "Addr": address, "TLSConfig": config}))

    try:
        mine = {"CertFile": "client.pem", "KeyFile": "client.key"}
        configure(CAFile="ca.pem", **mine)
        docker("volume", "create", "-d", "tls", "one")
        docker("run", "--rm", "-v", "one:/d", "busybox", "touch", "/d/f")
        configure(scheme="tcp", CAFile="ca.pem", **mine)
        docker("volume", "create", "-d", "tls", "two")
        configure(InsecureSkipVerify=True, **mine)
        docker("volume", "create", "-d", "tls", "three")
        # Not who it says it is; not who we say it is; we aren't who it wants.
        configure(CAFile="other-ca.pem", **mine)
        docker.fails("volume", "create", "-d", "tls", "four", says="TLS handshake")
        configure(host="127.0.0.1", CAFile="ca.pem", **mine)
        docker.fails("volume", "create", "-d", "tls", "four", says="TLS handshake")
        configure(CAFile="ca.pem", CertFile="stranger.pem", KeyFile="stranger.key")
        docker.fails("volume", "create", "-d", "tls", "four", says="legacy plugin: Plugin.Activate")
        configure(CAFile="missing.pem", **mine)
        docker.fails("volume", "create", "-d", "tls", "four", says="missing.pem")
        assert sorted(plugin.volumes()) == ["one", "three", "two"]
        configure(CAFile="ca.pem", **mine)
        docker("volume", "rm", "one", "two", "three")
    finally:
        file.unlink()
        plugin.close()


def test_a_specification_that_makes_no_sense(docker, engine):
    file = engine.etc_directory / "odd.json"
    file.write_text("{")
    try:
        docker.fails("volume", "create", "-d", "odd", "data", says=f'plugin specification "{file}"')
        docker("volume", "ls")
        assert engine.api.get("/plugins").json[0]["Enabled"] is False
    finally:
        file.unlink()


# --- what plugins get wrong ---


def test_errors_are_told_in_the_plugins_words(cli, plugin):
    plugin.behave(fail={"VolumeDriver.Create": [200, "no space on the array"]})
    output = cli.fails("volume", "create", "-d", "sample", "data", says="create data: no space on the array")
    assert "VolumeDriver" not in output.err
    plugin.behave(fail={"VolumeDriver.Create": [500, "no space on the array"]})
    cli.fails("volume", "create", "-d", "sample", "data",
              says="create data: VolumeDriver.Create: no space on the array")
    assert names(cli) == []
    plugin.behave()
    cli("volume", "create", "-d", "sample", "data")
    plugin.behave(fail={"VolumeDriver.Mount": [500, "no route to array"]})
    cli.fails("run", "--rm", "-v", "data:/d", "busybox", "true",
              says="error while mounting volume '': VolumeDriver.Mount: no route to array")
    plugin.behave(fail={"VolumeDriver.Remove": [200, "snapshots exist"]})
    cli.fails("volume", "rm", "data", says="remove data: snapshots exist")
    assert names(cli) == ["data"]
    cli("volume", "rm", "-f", "data")
    plugin.behave()
    assert names(cli) == ["data"]  # the plugin has it still: known from there


@pytest.mark.parametrize("how", ["garbage", "huge", "endless", "cut", "drip"])
@pytest.mark.parametrize("method", ["Plugin.Activate", "VolumeDriver.List", "VolumeDriver.Create", "VolumeDriver.Mount"])
def test_misbehaving(docker, plugin, engine, how, method):
    docker("volume", "create", "local-one")
    plugin.behave(**{how: [method]})
    took, _ = timed(lambda: names(docker))
    assert took < 2
    docker("volume", "create", "-d", "sample", "data", code=None)
    docker("run", "--rm", "-v", "data:/d", "busybox", "touch", "/d/f", code=None)
    output = docker("run", "--rm", "-v", "local-one:/d", "busybox", "touch", "/d/f")
    assert output.code == 0
    if how in ("huge", "endless"):
        flood = plugin.directory / "flood"
        until(flood.exists, "the engine hung up", 10)
        assert int(flood.read_text()) < 100 << 20
    plugin.behave()
    until(lambda: docker("volume", "create", "-d", "sample", "after", code=None).code == 0, "it is used again")
    until(lambda: "after" in names(docker), "it is listed again")


def test_what_is_no_volume_driver(cli, plugin, engine):
    plugin.behave(implements=["authz"])
    cli.fails("volume", "create", "-d", "sample", "data",
              says="error looking up volume plugin sample: legacy plugin: "
              "Plugin does not implement the requested driver")
    assert engine.api.get("/info").json["Plugins"]["Volume"] == ["local"]


@pytest.mark.parametrize("mountpoint", ["/etc", "/", "/proc/self/root/etc", "/nowhere", "etc", "", "OURS", "ABOVE"])
def test_mountpoints_that_are_refused(docker, plugin, engine, mountpoint):
    mountpoint = {"OURS": str(engine.data_root / "containers"), "ABOVE": str(engine.dir)}.get(mountpoint, mountpoint)
    docker("volume", "create", "-d", "sample", "data")
    plugin.behave(mountpoint=mountpoint)
    says = f'the plugin named "{mountpoint}" as mountpoint: it'
    if mountpoint == "/nowhere":
        says = "No such file or directory"
    docker.fails("run", "--rm", "-v", "data:/d", "busybox", "ls", "/d", says=says)
    assert plugin.mounts("data") == []  # and the plugin has been told that it isn't used
    plugin.behave()
    docker("run", "--rm", "-v", "data:/d", "busybox", "ls", "/d")


def test_a_mountpoint_that_is_exchanged_for_a_link(docker, plugin):
    docker("volume", "create", "-d", "sample", "data")
    plugin.path("data").rmdir()
    plugin.path("data").symlink_to("/etc")
    docker.fails("run", "--rm", "-v", "data:/d", "busybox", "ls", "/d", says="the system's directory /etc")
    plugin.path("data").unlink()
    plugin.path("data").mkdir()


# --- plugins that hang ---


def test_a_hanging_plugin_holds_nobody_else_up(docker, plugin, engine):
    docker("volume", "create", "-d", "sample", "theirs")
    docker("volume", "create", "ours")
    docker("run", "-d", "--name", "user", "-v", "theirs:/d", "busybox", "sleep", "1d")
    verbs = ("List", "Get", "Mount", "Unmount", "Create", "Remove", "Path", "Capabilities")
    plugin.behave(hang=["Plugin.Activate", *(f"VolumeDriver.{verb}" for verb in verbs)])
    hung = docker.start("run", "--rm", "-v", "theirs:/d", "busybox", "true")
    until(lambda: [c for c in plugin.calls("Get") if c], "the plugin was asked")
    for words in (
        ["volume", "ls"], ["volume", "ls"], ["ps", "-a"], ["inspect", "user"], ["volume", "inspect", "ours"],
        ["system", "df"], ["info"], ["plugin", "ls"], ["volume", "create", "more"], ["volume", "rm", "more"],
        ["run", "--rm", "-v", "ours:/d", "busybox", "true"], ["exec", "user", "true"],
        ["run", "--rm", "-v", "brand-new:/d", "busybox", "true"], ["volume", "prune", "-f"],
    ):
        took, _ = timed(lambda: docker(*words))
        assert took < 2.5, f"{words} took {took:.1f} s"
    assert {"theirs", "ours"} <= set(names(docker))
    assert hung.wait(30) != 0
    message = hung.stderr.read().decode()
    assert "no answer within" in message or "has not answered" in message
    took, _ = timed(lambda: docker.fails("run", "--rm", "-v", "theirs:/d", "busybox", "true", says="not answered"))
    assert took < 2
    plugin.behave()
    until(lambda: docker("run", "--rm", "-v", "theirs:/d", "busybox", "true", code=None).code == 0, "it is used again")
    docker("rm", "-f", "user")
    until(lambda: plugin.mounts("theirs") == [], lambda: f"all is unmounted: {plugin.mounts('theirs')}")


def test_a_hundred_requests_to_a_hanging_plugin_leave_room_for_others(plugin, engine):
    """The engine has 64 threads for requests."""
    plugin.behave(hang=["VolumeDriver.Create"])

    def create(number):
        engine.api.post("/volumes/create", {"Name": f"data{number}", "Driver": "sample"})

    threads = [threading.Thread(target=create, args=[number]) for number in range(100)]
    for thread in threads:
        thread.start()
    until(lambda: plugin.calls("Create"), "they wait")
    longest = 0
    while any(thread.is_alive() for thread in threads):
        took, _ = timed(lambda: engine.api.get("/containers/json"))
        longest = max(took, longest)
    assert longest < SLOW / 2
    plugin.behave()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_ending_the_daemon_does_not_wait_for_a_plugin(docker, plugin, engine, how):
    docker("volume", "create", "-d", "sample", "data")
    plugin.behave(hang=["VolumeDriver.Mount"])
    hung = docker.start("run", "--rm", "-v", "data:/d", "busybox", "true")
    until(lambda: plugin.calls("Mount"), "Mount is under way")
    took, _ = timed(engine.stop if how == "stop" else engine.kill)
    assert took < 10
    hung.wait(30)
    engine.start()
    plugin.behave()
    until(lambda: plugin.mounts("data") == [], "the Mount that nobody wanted any more is undone")


# --- plugins that die, and daemons that do ---


def test_dead_in_the_middle_of_mount(docker, plugin):
    docker("volume", "create", "-d", "sample", "data")
    plugin.behave(die=["VolumeDriver.Mount"])
    docker.fails("run", "--rm", "-v", "data:/d", "busybox", "true", says="VolumeDriver.Mount: plugin \"sample\"")
    plugin.wait()
    plugin.behave()
    docker.fails("run", "--rm", "-v", "data:/d", "busybox", "true", says="refused")
    plugin.start()
    docker("run", "--rm", "-v", "data:/d", "busybox", "true")
    assert plugin.mounts("data") == []


def test_dead_after_mounting(docker, plugin):
    """It has mounted, and nobody heard: once it is back it is told to unmount."""
    docker("volume", "create", "-d", "sample", "data")
    plugin.behave(die_after=["VolumeDriver.Mount"])
    docker.fails("run", "--rm", "-v", "data:/d", "busybox", "true", says="VolumeDriver.Mount")
    plugin.wait()
    assert len(plugin.mounts("data")) == 1
    plugin.behave()
    plugin.start()
    until(lambda: plugin.mounts("data") == [], "it was told to unmount")


def test_a_doubtful_mount_is_not_undone_beneath_others(docker, plugin):
    """A plugin that only counts would take the volume from the container that still has it."""
    docker("run", "-d", "--name", "user", "-v", "data:/d", "--volume-driver", "sample", "busybox", "sleep", "1d")
    (user,) = plugin.mounts("data")
    plugin.behave(cut=["VolumeDriver.Mount"])
    docker.fails("run", "--rm", "-v", "data:/d", "busybox", "true", says="VolumeDriver.Mount")
    plugin.behave()
    doubtful = plugin.calls("Mount")[-1]["request"]["ID"]
    docker("run", "--rm", "-v", "data:/d", "busybox", "true")  # some time passes, and it is used
    assert doubtful not in [call["request"]["ID"] for call in plugin.calls("Unmount")]
    docker("rm", "-f", "user")
    until(lambda: doubtful in [call["request"]["ID"] for call in plugin.calls("Unmount")], "it is undone at the end")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_daemon_restart(docker, plugin, engine, how):
    docker("run", "-d", "--name", "user", "-v", "data:/d", "--volume-driver", "sample", "busybox", "sleep", "1d")
    (identity,) = plugin.mounts("data")
    engine.stop() if how == "stop" else engine.kill()
    plugin.forget_calls()
    engine.start()
    assert plugin.calls("Mount") == plugin.calls("Unmount") == []
    assert docker("exec", "user", "touch", "/d/f").code == 0
    (mount,) = engine.api.container("user")["Mounts"]
    assert mount["Source"] == str(plugin.path("data"))
    docker.fails("volume", "rm", "data", says="volume is in use")
    docker("rm", "-f", "user")
    assert [call["request"]["ID"] for call in plugin.calls("Unmount")] == [identity]
    assert plugin.mounts("data") == []
    docker("volume", "rm", "data")


def test_daemon_restart_with_the_plugin_down(docker, plugin, engine):
    flags = ["-v", "data:/d", "--volume-driver", "sample"]
    docker("run", "-d", "--name", "user", *flags, "busybox", "sh", "-c", "while sleep 0.1; do date >/d/f; done")
    plugin.kill()
    engine.kill()
    took, _ = timed(engine.start)
    assert took < 5
    assert docker("ps", "-q").lines
    until(lambda: docker("exec", "user", "cat", "/d/f", code=None).out, "the container goes on writing")
    assert names(docker) == ["data"]
    volume = inspect(docker, "data")
    assert volume["Driver"] == "sample" and "refused" in volume["Status"]["Error"].lower()
    # It ends while the plugin is away, and the daemon dies once more.
    docker("rm", "-f", "user")
    engine.kill()
    engine.start()
    (left,) = plugin.mounts("data")
    plugin.start()
    until(lambda: plugin.mounts("data") == [], "the Unmount that was due is said")
    assert [call["request"]["ID"] for call in plugin.calls("Unmount")] == [left]
    docker("volume", "rm", "data")


def test_daemon_restart_with_the_plugin_hanging(docker, plugin, engine):
    flags = ["-v", "data:/d", "--volume-driver", "sample", "--restart", "always"]
    docker("run", "-d", "--name", "theirs", *flags, "busybox", "sleep", "1d")
    docker("run", "-d", "--name", "ours", "-v", "local:/d", "--restart", "always", "busybox", "sleep", "1d")
    for name in ("theirs", "ours"):
        os.kill(engine.api.container(name)["State"]["Pid"], 9)
    plugin.behave(hang=["VolumeDriver.Mount", "VolumeDriver.Unmount", "VolumeDriver.List", "VolumeDriver.Get"])
    engine.kill()
    took, _ = timed(engine.start)
    assert took < 5
    until(lambda: engine.api.container("ours")["State"]["Running"], "the other container is back", 5)
    plugin.behave()
    until(lambda: docker("start", "theirs", code=None).code == 0, "the plugin is used again")


def test_after_a_reboot_volumes_are_mounted_anew(docker, plugin, engine):
    """What the ledger says was mounted isn't: nothing may be written where it was."""
    flags = ["-v", "data:/d", "--volume-driver", "sample", "--restart", "always"]
    docker("run", "-d", "--name", "back", *flags, "busybox", "sleep", "1d")
    docker("run", "-d", "--name", "gone", *flags[:-2], "busybox", "sleep", "1d")
    gone, back = (engine.api.container(name)["Id"] for name in ("gone", "back"))
    engine.kill()
    for pid in engine.processes():
        os.kill(pid, 9)
    until(lambda: not engine.processes(), "nothing runs any more")
    for mount in reversed(engine.mounts()):
        subprocess.run(["umount", "-l", mount], check=False)
    links = subprocess.run(["ip", "-j", "link", "show", "master", engine.bridge], capture_output=True)
    for link in json.loads(links.stdout or "[]"):
        subprocess.run(["ip", "link", "delete", link["ifname"]], check=False)
    subprocess.run(["rm", "-rf", engine.exec_root], check=True)
    plugin.forget_calls()
    engine.start()
    # "Running" is true as well of one that is about to be started again.
    until(lambda: engine.api.container("back")["State"]["Status"] == "running", "the container is back")
    until(lambda: plugin.mounts("data") == [back], lambda: f"mounted for {plugin.mounts('data')}")
    assert not engine.api.container("gone")["State"]["Running"]
    assert [call["request"]["ID"] for call in plugin.calls("Mount")] == [back]
    assert sorted(call["request"]["ID"] for call in plugin.calls("Unmount")) == sorted([back, gone])


def test_a_container_ends_although_the_plugin_does_not_let_go(docker, plugin, engine):
    docker("run", "-d", "--name", "user", "-v", "data:/d", "--volume-driver", "sample", "busybox", "sleep", "1d")
    plugin.behave(hang=["VolumeDriver.Unmount"])
    took, _ = timed(lambda: docker("rm", "-f", "user"))
    assert took < 12
    plugin.behave()
    until(lambda: plugin.mounts("data") == [], "it is unmounted after all")


def test_a_removal_cut_short_is_finished_without_waiting(docker, plugin, engine):
    """An anonymous volume on its way out with its container, when the daemon dies; and the plugin hangs."""
    mount = "type=volume,dst=/d,volume-driver=sample"
    docker("run", "-d", "--name", "user", "--mount", mount, "busybox", "sleep", "1d")
    plugin.behave(hang=["VolumeDriver.Remove"])
    going = docker.start("rm", "-f", "-v", "user")
    until(lambda: plugin.calls("Remove"), "the plugin is told to remove it")
    engine.kill()
    going.wait(30)
    took, _ = timed(engine.start)
    assert took < 5
    plugin.behave()
    until(lambda: plugin.volumes() == {} and not list((engine.data_root / "volumes").iterdir()), "it is gone")


def test_nothing_is_removed_because_a_plugin_is_away(docker, plugin, engine):
    docker("volume", "create", "-d", "sample", "--label", "a=1", "data")
    plugin.kill()
    assert names(docker) == ["data"]
    assert inspect(docker, "data")["Labels"] == {"a": "1"}
    docker("volume", "prune", "-a", "-f")
    docker.fails("volume", "rm", "data", says="refused")
    Path(plugin.socket).unlink()
    docker.fails("volume", "rm", "data", says='plugin "sample" not found')
    docker.fails("run", "--rm", "-v", "data:/d", "busybox", "true",
                 says="found reference to volume 'data' in driver 'sample', but got an error")
    assert names(docker) == ["data"] and sidecar(engine, "data")["labels"] == {"a": "1"}
    docker("volume", "rm", "-f", "data")
    assert sidecar(engine, "data") is None
    plugin.start()
    assert names(docker) == ["data"] and plugin.path("data").is_dir()
