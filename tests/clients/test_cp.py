"""cp: into and out of containers, running or not, volumes included."""

import io
import os
import tarfile

import pytest


@pytest.fixture
def box(cli):
    cli("create", "--name", "box", "-v", "vol:/vol", "busybox", "sleep", "1000")
    return cli


def test_file_in_and_out(box, tmp_path):
    (tmp_path / "in").write_text("content\n")
    os.chmod(tmp_path / "in", 0o640)
    box("cp", tmp_path / "in", "box:/root/copied")
    box("cp", "box:/root/copied", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "content\n"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


def test_into_a_folder_keeps_the_name(box, tmp_path):
    (tmp_path / "name").write_text("x")
    box("cp", tmp_path / "name", "box:/root")
    box("cp", tmp_path / "name", "box:/tmp/")
    box("start", "box")
    assert box("exec", "box", "ls", "/root/name", "/tmp/name").lines == ["/root/name", "/tmp/name"]


def test_folders(box, tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/file").write_text("x")
    (tree / "link").symlink_to("sub/file")
    box("cp", tree, "box:/root")
    box("cp", f"{tree}/.", "box:/tmp")
    box("cp", "box:/root/tree", tmp_path / "back")
    assert (tmp_path / "back/sub/file").read_text() == "x"
    assert os.readlink(tmp_path / "back/link") == "sub/file"
    box("cp", "box:/tmp/sub/file", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "x"


def test_volumes_are_reached_in_a_stopped_container(box, tmp_path):
    (tmp_path / "data").write_text("in the volume")
    box("cp", tmp_path / "data", "box:/vol/data")
    assert box("run", "--rm", "-v", "vol:/v", "busybox", "cat", "/v/data").out == "in the volume"
    box("cp", "box:/vol/data", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "in the volume"


def test_running_container(box, tmp_path):
    box("start", "box")
    box("exec", "box", "sh", "-c", "echo live >/tmp/live")
    box("cp", "box:/tmp/live", tmp_path / "live")
    assert (tmp_path / "live").read_text() == "live\n"
    box("cp", tmp_path / "live", "box:/vol/live")
    assert box("exec", "box", "cat", "/vol/live").out == "live\n"


def test_archive_on_the_standard_streams(box):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        member = tarfile.TarInfo("from-tar")
        member.size, member.uid, member.gid, member.mode = 3, 12, 34, 0o600
        tar.addfile(member, io.BytesIO(b"tar"))
    box("cp", "-a", "-", "box:/root", input=stream.getvalue())
    output = box("cp", "box:/root/from-tar", "-")
    with tarfile.open(fileobj=io.BytesIO(output.raw_out)) as tar:
        (member,) = tar.getmembers()
        assert (member.name, member.uid, member.gid) == ("from-tar", 12, 34)
        assert tar.extractfile(member).read() == b"tar"


def test_links_are_followed_on_demand(box, tmp_path):
    box("start", "box")
    box("exec", "box", "ln", "-s", "/etc/passwd", "/root/link")
    box("cp", "box:/root/link", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    box("cp", "-L", "box:/root/link", tmp_path / "file")
    assert "root:" in (tmp_path / "file").read_text()


def test_links_never_lead_to_the_host(box, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("host")
    box("start", "box")
    box("exec", "box", "ln", "-s", str(tmp_path), "/root/out")
    box.fails("cp", "box:/root/out/secret", tmp_path / "stolen")
    assert not (tmp_path / "stolen").exists()
    (tmp_path / "planted").write_text("x")
    box("cp", tmp_path / "planted", "box:/root/out/secret", code=None)
    assert secret.read_text() == "host"


@pytest.mark.newer_client("says it in other words")
def test_missing_paths(box, tmp_path):
    box.fails("cp", "box:/none", tmp_path, code=1, says="Could not find the file /none in container box")
    (tmp_path / "f").write_text("x")
    box.fails("cp", tmp_path / "f", "box:/no/such/folder/f", code=1)
    box.fails("cp", "nobody:/x", tmp_path, code=1, says="No such container: nobody")


def test_read_only_root(cli, tmp_path):
    (tmp_path / "f").write_text("x")
    cli("create", "--name", "ro", "--read-only", "busybox")
    cli.fails("cp", tmp_path / "f", "ro:/root/f", says="rootfs is marked read-only")


def test_stat_header(box, api):
    import base64
    import json

    answer = api.call("HEAD", "/containers/box/archive", path="/etc/passwd")
    assert answer.status == 200
    stat = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
    assert stat["name"] == "passwd" and stat["size"] > 0
