"""PostgreSQL in a container."""

from waiting import until


def wait_ready(client, name, deadline=60):
    """Until the server answers others; while it sets itself up it listens on no address."""
    ready = ("exec", name, "pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres")
    until(
        lambda: client(*ready, code=None).code == 0,
        lambda: f"PostgreSQL answers in {name}: {client('logs', name, code=None)}",
        deadline,
        interval=0.1,
    )


def query(client, name, statement):
    """The rows of one statement, unaligned, one line each."""
    command = ("exec", name, "psql", "-h", "127.0.0.1", "-U", "postgres", "-Atc", statement)
    return client(*command).lines
