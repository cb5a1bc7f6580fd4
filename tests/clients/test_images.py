"""Images: pulled, pushed, loaded, saved, imported, tagged, listed, removed."""

import io
import json
import re
import tarfile

import pytest
from images import Registry


def tags(cli):
    return {line for line in cli("images", "--format", "{{.Repository}}:{{.Tag}}").lines}


def test_pull_by_tag_and_digest(cli, registry, api):
    reference = registry.push("alpine")
    api.delete(f"/images/{reference}")  # other tests pull it, too
    output = cli("pull", reference)
    digest = re.search("Digest: (sha256:[0-9a-f]{64})", output.out)[1]
    assert output.lines[-1] == reference
    assert f"Status: Downloaded newer image for {reference}" in output.out
    assert f"Status: Image is up to date for {reference}" in cli("pull", reference).out
    cli("rmi", reference)
    repository = reference.rsplit(":", 1)[0]
    assert cli("pull", "-q", f"{repository}@{digest}").out == f"{repository}@{digest}\n"
    (image,) = json.loads(cli("image", "inspect", f"{repository}@{digest}").out)
    assert f"{repository}@{digest}" in image["RepoDigests"]


def test_pull_draws_progress_in_a_terminal(cli, registry):
    reference = registry.push("whiteouts")
    with cli.terminal("pull", reference) as session:
        session.expect("Pulling from library/whiteouts")
        session.expect("Pull complete")
        session.expect("Digest: sha256:")
        assert session.wait() == 0


def test_pull_progress_through_the_api(api, registry, engine):
    repository, tag = registry.push("whiteouts").rsplit(":", 1)
    answer = api.post("/images/create", fromImage=repository, tag=tag)
    messages = [json.loads(line) for line in answer.body.splitlines()]
    layers = {message["id"] for message in messages if message["status"] == "Pull complete"}
    assert layers and all(re.fullmatch("[0-9a-f]{12}", layer) for layer in layers)
    assert any(message["status"] == "Downloading" or message["status"] == "Download complete"
               for message in messages)


@pytest.mark.holdfast_only("dockerd 20.10 has no zstd")
@pytest.mark.parametrize("tag", ["zstd", "gzip", "uncompressed"])
def test_layer_compressions(cli, registry, tag):
    reference = registry.push(f"busybox:{tag}")
    assert cli("run", "--rm", reference, "echo", "runs").out == "runs\n"


def test_platforms(cli, registry):
    reference = registry.push("multiarch")
    cli("pull", "-q", "--platform", "linux/arm64", reference)
    assert cli("image", "inspect", "-f", "{{.Architecture}}", reference).out == "arm64\n"
    cli("pull", "-q", "--platform", "linux/amd64", reference)
    assert cli("image", "inspect", "-f", "{{.Architecture}}", reference).out == "amd64\n"


def test_run_pulls_what_is_missing(cli, registry, api):
    reference = registry.push("my-image")
    api.delete(f"/images/{reference}")
    output = cli("run", "--rm", reference)
    assert f"Unable to find image '{reference}' locally" in output.err
    assert "leaves no trace" in output.out
    cli.fails("run", "--rm", "--pull", "never", f"{registry.address}/library/other", says="No such image")


def test_unknown_image(cli, registry):
    cli.fails("pull", f"{registry.address}/library/nothing", says=("not found", "manifest unknown"))
    cli.fails("pull", f"{registry.address}/library/busybox:nothing", says="not found")


def test_registry_that_is_not_there(cli):
    cli.fails("pull", "127.0.0.1:9/library/busybox", says="connection refused")


def test_tag_and_rmi(cli, api):
    cli("tag", "busybox", "mine/copy:1.0")
    assert "mine/copy:1.0" in tags(cli)
    assert api.get("/images/mine/copy:1.0/json").json["Id"] == api.get("/images/busybox/json").json["Id"]
    assert cli("rmi", "mine/copy:1.0").lines == ["Untagged: mine/copy:1.0"]
    assert "mine/copy:1.0" not in tags(cli) and "busybox:latest" in tags(cli)


def test_rmi_by_id_and_its_refusals(cli, api, registry):
    cli("pull", "-q", registry.push("whiteouts"))
    cli("tag", registry.push("whiteouts"), "second")
    identity = api.get("/images/second/json").json["Id"]
    short = identity.removeprefix("sha256:")[:12]
    cli.fails("rmi", short, code=1, says="image is referenced in multiple repositories")
    cli("create", "--name", "user", "second")
    cli("rmi", registry.push("whiteouts"))
    cli.fails("rmi", "second", code=1, says="container")
    cli("rm", "user")
    output = cli("rmi", short)
    assert "Untagged: second:latest" in output.lines and f"Deleted: {identity}" in output.lines
    cli.fails("image", "inspect", short, says="No such image")


def test_rmi_refused_while_used(cli):
    cli("import", "-", "single", input=archive(file=b"x"))
    cli("create", "--name", "user", "single", "/file")
    says = 'conflict: unable to remove repository reference "single" (must force) - container'
    cli.fails("rmi", "single", code=1, says=says)
    cli("rm", "user")
    cli("rmi", "single")


def test_ls_and_its_filters(cli, api, images):
    images.have("alpine")
    cli("tag", "busybox", "team/box:v1")
    header = cli("images").lines[0].split()
    assert header == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert cli("images", "-q", "team/box").lines == cli("images", "-q", "busybox:latest").lines
    assert cli("images", "--format", "{{.Repository}}:{{.Tag}}", "team/*").lines == ["team/box:v1"]
    assert cli("images", "--filter", "reference=team/box:*", "--format", "{{.Tag}}").lines == ["v1"]
    assert cli("images", "--filter", "dangling=true", "-q").lines == []
    assert all(line.startswith("sha256:") for line in cli("images", "--no-trunc", "-q").lines)


def test_inspect_and_history(cli, images):
    images.have("postgres")
    (document,) = json.loads(cli("image", "inspect", "postgres").out)
    config = document["Config"]
    assert config["Cmd"] == ["postgres"] and "PG_MAJOR=15" in config["Env"]
    assert config["Volumes"] == {"/var/lib/postgresql/data": {}}
    assert document["Os"] == "linux" and document["RootFS"]["Type"] == "layers"
    assert "postgres:latest" in document["RepoTags"] and document["Size"] > 10_000_000
    lines = cli("history", "--no-trunc", "--format", "{{.CreatedBy}}\t{{.Size}}", "postgres").lines
    assert len(lines) >= len(document["RootFS"]["Layers"])


def test_save_and_load(cli, tmp_path, api):
    cli("tag", "busybox", "saved:1")
    identity = api.get("/images/saved:1/json").json["Id"]
    cli("save", "-o", tmp_path / "image.tar", "saved:1")
    with tarfile.open(tmp_path / "image.tar") as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
        assert manifest[0]["RepoTags"] == ["saved:1"]
    cli("rmi", "saved:1")
    assert cli("load", "-i", tmp_path / "image.tar").lines[-1] == "Loaded image: saved:1"
    assert api.get("/images/saved:1/json").json["Id"] == identity
    assert cli("run", "--rm", "saved:1", "echo", "loaded").out == "loaded\n"


def test_save_to_a_pipe_and_load_from_one(cli, images):
    images.have("alpine")
    saved = cli("save", "alpine", "busybox").raw_out
    output = cli("load", input=saved)
    assert sorted(output.lines[-2:]) == ["Loaded image: alpine:latest", "Loaded image: busybox:latest"]


def test_load_of_rubbish(cli, api, tmp_path):
    before = api.tags()
    cli.fails("load", input=b"not a tar archive" * 1000)
    cli.fails("load", input=b"")
    (tmp_path / "empty.tar").write_bytes(b"\0" * 10240)
    cli.fails("load", "-i", tmp_path / "empty.tar")
    assert api.tags() == before


def test_truncated_load_leaves_nothing(cli, api, engine):
    saved = cli("save", "busybox").raw_out.replace(b"busybox", b"busyboy")
    cli.fails("load", input=saved[: len(saved) // 2])
    assert "busyboy:latest" not in api.tags()


def archive(**files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def test_import_with_changes(cli, api):
    changes = ["-c", "CMD [\"/hello\"]", "--change", "ENV A=1", "-c", "VOLUME /data", "-m", "note"]
    identity = cli("import", *changes, "-", "imported:1", input=archive(hello=b"x")).out.strip()
    assert re.fullmatch("sha256:[0-9a-f]{64}", identity)
    document = api.get("/images/imported:1/json").json
    assert document["Config"]["Cmd"] == ["/hello"] and "A=1" in document["Config"]["Env"]
    assert document["Config"]["Volumes"] == {"/data": {}} and document["Comment"] == "note"


def test_export_and_import_make_a_working_image(cli):
    cli("run", "--name", "made", "busybox", "sh", "-c", "echo added >/added")
    exported = cli("export", "made").raw_out
    cli("import", "-", "flat", input=exported)
    assert cli("run", "--rm", "flat", "cat", "/added").out == "added\n"


def test_push_and_pull_again(cli, registry, api):
    mine = f"{registry.address}/mine/box:pushed"
    cli("tag", "busybox", mine)
    identity = api.get(f"/images/{mine}/json").json["Id"]
    output = cli("push", mine)
    assert "The push refers to repository" in output.out
    assert re.search(r"pushed: digest: sha256:[0-9a-f]{64} size: \d+", output.out)
    cli("rmi", mine)
    cli("pull", "-q", mine)
    assert api.get(f"/images/{mine}/json").json["Id"] == identity


def test_push_of_an_unknown_image(cli, registry):
    cli.fails("push", f"{registry.address}/none", says="An image does not exist locally with the tag")


@pytest.fixture(scope="module")
def guarded():
    registry = Registry(auth="user:pass word")
    yield registry
    registry.close()


def test_registry_with_passwords(cli, guarded):
    reference = guarded.push("busybox")
    cli.fails("pull", reference, says=("no basic auth credentials", "unauthorized"))
    cli.fails("login", "-u", "user", "--password-stdin", guarded.address, input="wrong",
              says=("unauthorized", "401 Unauthorized"))
    output = cli("login", "-u", "user", "--password-stdin", guarded.address, input="pass word")
    assert "Login Succeeded" in output.out
    cli("pull", reference)
    cli("tag", "busybox", f"{guarded.address}/own")
    cli("push", f"{guarded.address}/own")
    cli("logout", guarded.address)
    cli.fails("push", f"{guarded.address}/own", says=("no basic auth credentials", "unauthorized"))


def test_prune(cli, api, registry):
    cli("import", "-", input=archive(f=b"1"))
    cli("tag", "busybox", "spare")
    assert any(not image["RepoTags"] or image["RepoTags"] == ["<none>:<none>"] for image in api.images())
    output = cli("image", "prune", "-f")
    assert "Total reclaimed space" in output.out
    assert all(image["RepoTags"] for image in api.images()) and "spare:latest" in api.tags()


def test_many_layers(cli, images, api):
    images.have("manylayers")
    assert len(api.get("/images/manylayers/json").json["RootFS"]["Layers"]) > 100
