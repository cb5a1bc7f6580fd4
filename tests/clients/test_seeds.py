"""The commands of the documents people learn volumes from, as they stand there.

The images are there under the documents' names. Blocks for `nerdctl` are run by `holdfast`.
"""

import json
import os
import tarfile
from pathlib import Path

import postgres
import pytest
from waiting import until

# "Persisting container data"


@pytest.mark.images("my-image")
@pytest.mark.parametrize(
    "volume, target, command",
    [
        ("log-data", "/logs", "docker run -v log-data:/logs my-image"),
        ("sample-volume", "/data", "docker run -v sample-volume:/data my-image"),
    ],
)
def test_volume_is_made_on_first_use_and_outlives_its_containers(cli, volume, target, command):
    first = cli.shell(command)
    assert first.lines[0] == f"{target}/runs.log:" and len(first.lines) == 2
    assert volume in cli("volume", "ls", "-q").lines
    (container,) = cli("ps", "-aq").lines
    cli("rm", container)
    second = cli.shell(command)
    assert second.lines[:2] == first.lines and len(second.lines) == 3


@pytest.mark.images("my-image")
def test_two_containers_share_a_volume(cli):
    cli.shell("docker run -d --name reader -v log-data:/logs busybox tail -F /logs/runs.log")
    cli.shell("docker run -v log-data:/logs my-image")
    until(lambda: "run by" in cli("logs", "reader").out, "the reader sees the writer's line")


SESSION = """CREATE TABLE tasks (
    id SERIAL PRIMARY KEY,
    description VARCHAR(100)
);
INSERT INTO tasks (description) VALUES ('Finish work'), ('Have fun');"""


@pytest.mark.images("postgres")
def test_postgres_walk_through(cli):
    cli.shell(
        "docker run --name=db -e POSTGRES_PASSWORD=secret -d"
        " -v postgres_data:/var/lib/postgresql/data postgres"
    )
    postgres.wait_ready(cli, "db")
    with cli.shell_terminal("docker exec -ti db psql -U postgres") as session:
        session.expect("postgres=# ")
        for line in SESSION.splitlines():
            session.line(line)
        session.expect("CREATE TABLE")
        session.expect("INSERT 0 2")
        session.line("SELECT * FROM tasks;")
        session.expect(r"id \| description")
        session.expect(r"1 \| Finish work")
        session.expect(r"2 \| Have fun")
        session.expect(r"\(2 rows\)")
        session.line(r"\q")
        assert session.wait() == 0
    assert cli.shell("docker stop db\ndocker rm db").lines == ["db", "db"]
    assert cli("ps", "-aq").lines == []
    assert "postgres_data" in cli("volume", "ls", "-q").lines

    cli.shell(
        "docker run --name=new-db -d -v postgres_data:/var/lib/postgresql/data postgres "
    )
    postgres.wait_ready(cli, "new-db")
    # The document has typographic quotes here, which no shell takes for quotes.
    command = 'docker exec -ti new-db psql -U postgres -c "SELECT * FROM tasks"'
    with cli.shell_terminal(command) as session:
        session.expect(r"id \| description")
        session.expect(r"1 \| Finish work")
        session.expect(r"2 \| Have fun")
        session.expect(r"\(2 rows\)")
        assert session.wait() == 0

    in_use = cli.fails("volume", "rm", "postgres_data")
    assert "volume is in use" in in_use.err
    assert cli.shell("docker rm -f new-db").lines == ["new-db"]
    assert cli.shell("docker volume rm postgres_data").lines == ["postgres_data"]
    assert "postgres_data" not in cli("volume", "ls", "-q").lines


def test_volume_commands(cli):
    assert cli.shell("docker volume create").out.strip() in cli("volume", "ls", "-q").lines
    cli("volume", "create", "named")
    listed = cli.shell("docker volume ls").lines
    assert listed[0].split() == ["DRIVER", "VOLUME", "NAME"]
    assert ["local", "named"] in [line.split() for line in listed[1:]]
    assert cli.shell("docker volume rm named").lines == ["named"]
    assert cli("volume", "ls", "-q").lines != []
    pruned = cli.shell("docker volume prune", input="y\n")
    assert "WARNING! This will remove" in pruned.out and "Total reclaimed space" in pruned.out
    assert cli("volume", "ls", "-q").lines == []


def test_volume_prune_spares_what_is_attached(cli):
    cli("volume", "create")
    (name,) = cli("volume", "ls", "-q").lines
    cli("create", "-v", f"{name}:/data", "busybox")
    cli.shell("docker volume prune", input="y\n")
    assert cli("volume", "ls", "-q").lines == [name]


# "Docker Volume Management: Persisting Data Outside Containers"


@pytest.mark.images("my-image")
def test_bind_mount_of_a_folder_of_the_host(cli):
    folder = Path("/data")
    if folder.exists():
        pytest.skip("this machine has a /data of its own")
    try:
        assert cli.shell("docker run -v /data:/data my-image").lines[0] == "/data/runs.log:"
        lines = (folder / "runs.log").read_text().splitlines()
        assert len(lines) == 1 and "run by" in lines[0]
        assert folder.stat().st_uid == 0
    finally:
        (folder / "runs.log").unlink(missing_ok=True)
        folder.rmdir()


@pytest.mark.images("my-image")
def test_create_a_volume_and_mount_it(cli):
    output = cli.shell("docker volume create my-volume\ndocker run -v my-volume:/data my-image")
    assert output.lines[:2] == ["my-volume", "/data/runs.log:"]
    again = cli.shell("docker run -v my-volume:/data my-image")
    assert len(again.lines) == 3


# "Volumes and Persistent Data"

LESSON_DATABASE = """docker volume create pgdata

docker run -d --name db \\
  -v pgdata:/var/lib/postgresql/data \\
  -e POSTGRES_PASSWORD=secret \\
  postgres:16
"""
BACKUP = """docker run --rm \\
  -v pgdata:/data:ro \\
  -v "$(pwd)":/backup \\
  alpine \\
  tar czf /backup/pgdata-$(date +%F).tgz -C / data
"""


@pytest.mark.images("postgres:16", "alpine", "postgres")
def test_lesson_database_backup_and_restore(cli, tmp_path):
    output = cli.shell(LESSON_DATABASE)
    assert output.lines[0] == "pgdata" and len(output.lines[1]) == 64
    postgres.wait_ready(cli, "db")
    postgres.query(cli, "db", "CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)")

    assert "pgdata" in [line.split()[-1] for line in cli.shell("docker volume ls").lines]
    (volume,) = json.loads(cli.shell("docker volume inspect pgdata").out)
    assert volume["Name"] == "pgdata" and volume["Driver"] == "local"
    assert (Path(volume["Mountpoint"]) / "PG_VERSION").read_text() == "15\n"
    cli.fails("volume", "rm", "pgdata", says="volume is in use")
    cli.shell("docker stop db")

    cli.shell(BACKUP, cwd=tmp_path)
    (archive,) = tmp_path.glob("pgdata-????-??-??.tgz")
    with tarfile.open(archive) as tar:
        assert "data/PG_VERSION" in tar.getnames()

    restore = f"tar xzf /backup/{archive.name} -C /"
    cli("volume", "create", "restored")
    cli("run", "--rm", "-v", "restored:/data", "-v", f"{tmp_path}:/backup:ro", "alpine",
        "sh", "-c", restore)
    cli("run", "-d", "--name", "restored-db", "-v", "restored:/var/lib/postgresql/data",
        "postgres:16")
    postgres.wait_ready(cli, "restored-db")
    assert postgres.query(cli, "restored-db", "SELECT n FROM t ORDER BY n") == ["1", "2"]

    # The volume of the first, in the more explicit syntax and in the foreground.
    explicit = "docker run --mount type=volume,src=pgdata,dst=/var/lib/postgresql/data postgres"
    with cli.shell_terminal(explicit) as server:
        server.expect("database system is ready to accept connections")
        (name,) = cli("ps", "-q", "--filter", "volume=pgdata").lines
        postgres.wait_ready(cli, name)
        assert postgres.query(cli, name, "SELECT n FROM t ORDER BY n") == ["1", "2"]
        cli("stop", name)
        server.expect("database system is shut down")
        assert server.wait() == 0
    cli("rm", "-f", "db", "restored-db", name)
    assert cli.shell("docker volume rm pgdata    # only when no container uses it").code == 0
    cli.shell("docker volume prune        # remove all unused volumes", input="y")


PACKAGE = {"name": "app", "version": "1.0.0", "scripts": {"dev": "node watch.js"}}
WATCH = """const fs = require("fs");
let last = null;
setInterval(() => {
  const text = fs.readFileSync("message.txt", "utf8").trim();
  if (text !== last) console.log("message is", (last = text));
}, 50);
"""
NPM = """docker run --rm -it \\
  -v "$(pwd)":/app \\
  -w /app \\
  node:20-alpine \\
  npm run dev
"""


@pytest.mark.images("node:20-alpine")
def test_live_development_in_the_current_directory(cli, tmp_path):
    project = tmp_path / "with a space"
    project.mkdir()
    (project / "package.json").write_text(json.dumps(PACKAGE))
    (project / "watch.js").write_text(WATCH)
    (project / "message.txt").write_text("first")
    with cli.shell_terminal(NPM, cwd=project) as session:
        session.expect("message is first")
        (project / "message.txt").write_text("edited")
        session.expect("message is edited")
        session.type("\x03")
        session.wait()
    until(lambda: cli("ps", "-aq").lines == [], "--rm has removed the container")


@pytest.mark.images("myapp")
def test_configuration_file_of_the_host_read_only(cli):
    folder = Path("/etc/myapp")
    if folder.exists():
        pytest.skip("this machine has an /etc/myapp of its own")
    folder.mkdir()
    try:
        (folder / "config.yaml").write_text("source: host\n")
        command = "docker run -v /etc/myapp/config.yaml:/etc/myapp/config.yaml:ro myapp"
        assert cli.shell(command).out == "source: host\n"
        cli.shell(f"{command} sh -c 'echo x >/etc/myapp/config.yaml'", code=1)
        assert (folder / "config.yaml").read_text() == "source: host\n"
    finally:
        (folder / "config.yaml").unlink(missing_ok=True)
        folder.rmdir()


@pytest.mark.images("nginx")
def test_explicit_bind_mount(cli):
    source = Path("/host/path")
    if source.parent.exists():
        pytest.skip("this machine has a /host of its own")
    command = "docker run --mount type=bind,src=/host/path,dst=/in/container,readonly nginx"
    missing = cli.shell(command, code=125)
    assert 'bind source path does not exist: /host/path' in missing.err
    source.mkdir(parents=True)
    try:
        (source / "file").write_text("of the host\n")
        with cli.shell_terminal(command):
            (name,) = until(lambda: cli("ps", "-q").lines, "nginx runs")
            assert cli("exec", name, "cat", "/in/container/file").out == "of the host\n"
            cli.fails("exec", name, "touch", "/in/container/new", says="Read-only file system")
    finally:
        (source / "file").unlink()
        source.rmdir()
        source.parent.rmdir()


def test_explicit_tmpfs(cli):
    cli.shell("docker run --mount type=tmpfs,dst=/tmp,tmpfs-size=64m busybox")
    command = "docker run --rm --mount type=tmpfs,dst=/tmp,tmpfs-size=64m busybox"
    kind, size = cli.shell(f"{command} df -T /tmp").lines[-1].split()[1:3]
    assert kind == "tmpfs" and int(size) == 64 * 1024


def test_user_of_the_host_owns_what_it_writes(cli, tmp_path):
    command = 'docker run --rm --user $(id -u):$(id -g) -v "$(pwd)":/app -w /app busybox touch new'
    cli.shell(command, cwd=tmp_path)
    assert (tmp_path / "new").stat().st_uid == os.getuid()


@pytest.mark.images("volumeful")
def test_named_volume_takes_the_image_files_and_a_bind_mount_hides_them(cli, tmp_path):
    assert "as expected" in cli("run", "--rm", "-v", "filled:/data", "volumeful").out
    source = tmp_path / "empty"
    source.mkdir()
    hidden = cli("run", "--rm", "-v", f"{source}:/data", "volumeful", "ls", "-A", "/data")
    assert hidden.out == ""


def test_what_is_written_outside_a_volume_goes_with_the_container(cli):
    cli("run", "--name", "writer", "busybox", "touch", "/kept")
    assert cli("diff", "writer").lines == ["A /kept"]
    cli("rm", "writer")
    cli.fails("run", "--rm", "busybox", "ls", "/kept", code=1)


# "Using Persistent Storage"

BIND = [
    "run --rm -it -v $(pwd)/src:/app/src alpine:latest /bin/sh",
    "run --rm -it --mount=type=bind,source=$(pwd)/src,target=/app/src alpine:latest /bin/sh",
]
VOLUME = [
    "run --rm -it -v my-persistent-data:/app/src alpine:latest /bin/sh",
    "run --rm -it --mount=type=volume,source=my-persistent-data,target=/app/src"
    " alpine:latest /bin/sh",
]
PROMPT = r"# (\x1b\[6n)?"


@pytest.mark.images("alpine")
@pytest.mark.parametrize("command", BIND, ids=["v", "mount"])
def test_edits_are_seen_both_ways(cli, tmp_path, command):
    word = "docker" if str(cli) == "docker" else "nerdctl"
    source = tmp_path / "src"
    source.mkdir()
    (source / "file").write_text("from the host\n")
    with cli.shell_terminal(f"{word} {command}", cwd=tmp_path) as session:
        session.expect(PROMPT)
        session.line("cat /app/src/file")
        session.expect("from the host")
        (source / "file").write_text("edited on the host\n")
        session.line("cat /app/src/file")
        session.expect("edited on the host")
        session.line("echo edited inside >/app/src/file; echo do''ne")
        session.expect("done")
        assert (source / "file").read_text() == "edited inside\n"
        session.line("exit")
        assert session.wait() == 0


@pytest.mark.images("alpine")
@pytest.mark.parametrize("command", VOLUME, ids=["v", "mount"])
def test_volume_keeps_what_a_shell_wrote(cli, command):
    word = "docker" if str(cli) == "docker" else "nerdctl"
    assert cli.shell(f"{word} volume create my-persistent-data").lines == ["my-persistent-data"]
    for number in ("1", "2"):
        with cli.shell_terminal(f"{word} {command}") as session:
            session.expect(PROMPT)
            session.line("echo line >>/app/src/file; wc -l </app/src/file; echo do''ne")
            session.expect(rf"{number}\r\ndone")
            session.line("exit")
            assert session.wait() == 0
