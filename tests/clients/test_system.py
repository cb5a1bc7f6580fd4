"""What clients ask before they do anything: ping, version, info, events, disk usage."""


def test_run_says_hello(cli):
    assert cli("run", "--rm", "busybox", "echo", "hello").out == "hello\n"
