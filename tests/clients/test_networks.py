"""Networks: the default bridge, published ports, networks of one's own, names."""

import json
import socket
import urllib.error
import urllib.request

import pytest
from waiting import until

SERVER = "mkdir /www; echo $HOSTNAME >/www/index.html; exec httpd -f -p 80 -h /www"


def serve(cli, name, *flags, script=SERVER):
    cli("run", "-d", "--name", name, "--hostname", name, *flags, "busybox", "sh", "-c", script)


def fetch(address):
    """What an HTTP server says; empty as long as it says nothing."""
    try:
        with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
            return answer.read().decode().strip()
    except (urllib.error.URLError, OSError):
        return ""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_default_bridge(cli, api, engine):
    serve(cli, "server")
    address = api.container("server")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert address.rsplit(".", 1)[0] == engine.gateway.rsplit(".", 1)[0]
    until(lambda: fetch(address) == "server", "the host reaches the container")
    output = cli("run", "--rm", "busybox", "wget", "-qO-", f"http://{address}/")
    assert output.out == "server\n"
    routes = cli("run", "--rm", "busybox", "ip", "route").lines
    assert f"default via {engine.gateway} dev eth0" in routes[0]


def test_addresses_are_given_back(cli, api):
    seen = set()
    for _ in range(3):
        output = cli("run", "--rm", "busybox", "ip", "-4", "-o", "address", "show", "eth0")
        seen.add(output.out.split()[3])
    assert len(seen) <= 3 and all(address.endswith("/24") for address in seen)


def test_published_port(cli, engine):
    port = free_port()
    serve(cli, "server", "-p", f"{port}:80")
    until(lambda: fetch(f"127.0.0.1:{port}") == "server", "the port answers on localhost")
    assert fetch(f"{engine.gateway}:{port}") == "server"
    assert f"0.0.0.0:{port}->80/tcp" in cli("ps").out
    assert f"0.0.0.0:{port}" in cli("port", "server", "80").out
    cli("rm", "-f", "server")
    assert fetch(f"127.0.0.1:{port}") == ""


def test_published_on_one_address_and_on_a_port_of_choice(cli):
    serve(cli, "server", "-p", "127.0.0.1::80")
    host, port = cli("port", "server", "80/tcp").out.strip().split(":")
    assert host == "127.0.0.1"
    until(lambda: fetch(f"127.0.0.1:{port}") == "server", "the port answers")


def test_published_range(cli):
    first = free_port()
    serve(cli, "server", "-p", f"{first}-{first + 1}:80-81")
    lines = sorted(cli("port", "server").lines)
    assert any(f"80/tcp -> 0.0.0.0:{first}" in line for line in lines)
    assert any(f"81/tcp -> 0.0.0.0:{first + 1}" in line for line in lines)


@pytest.mark.images("nginx")
def test_publish_all(cli):
    cli("run", "-d", "--name", "web", "-P", "nginx")
    port = cli("port", "web", "80/tcp").lines[0].rsplit(":", 1)[1]
    until(lambda: "Welcome to nginx!" in fetch(f"127.0.0.1:{port}"), "nginx answers")


@pytest.mark.images("node")
def test_udp_port(cli):
    port = free_port()
    script = "require('dgram').createSocket('udp4').on('message', m => console.log(`${m}`)).bind(5353)"
    cli("run", "-d", "--name", "udp", "-p", f"127.0.0.1:{port}:5353/udp", "node", "node", "-e", script)
    assert f"5353/udp -> 127.0.0.1:{port}" in cli("port", "udp").out

    def received():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"datagram\n", ("127.0.0.1", port))
        return "datagram" in cli("logs", "udp").out

    until(received, "a datagram arrives", interval=0.1)


def test_port_taken_by_another_container(cli, api):
    port = free_port()
    serve(cli, "first", "-p", f"127.0.0.1:{port}:80")
    cli.fails("run", "-d", "--name", "second", "-p", f"127.0.0.1:{port}:80", "busybox", "true",
              code=125, says="port is already allocated")
    assert api.container("second")["State"]["Status"] == "created"
    cli("rm", "-f", "first")
    cli("start", "second")


def test_port_taken_by_another_program(cli):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cli.fails("run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox", "true", code=125,
                  says="address already in use")


def test_none_and_host(cli):
    assert cli("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net").lines[-1:] == ["lo"]
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        table = cli("run", "--rm", "--network", "host", "busybox", "cat", "/proc/net/tcp").out
        assert f":{port:04X} " in table
    mine = socket.gethostname()
    assert cli("run", "--rm", "--network", "host", "busybox", "hostname").out.strip() == mine


def test_network_of_another_container(cli):
    serve(cli, "server")
    script = "until wget -qO- http://127.0.0.1/; do sleep 0.05; done 2>/dev/null"
    output = cli("run", "--rm", "--network", "container:server", "busybox", "sh", "-c", script)
    assert output.out == "server\n"
    cli.fails("run", "--rm", "--network", "container:server", "-p", "80:80", "busybox", "true",
              says="conflicting options: port publishing")


def test_names_on_a_network_of_ones_own(cli, api):
    cli("network", "create", "backend")
    serve(cli, "server", "--network", "backend", "--network-alias", "database")
    script = "for n in server database; do until wget -qO- http://$n/; do sleep 0.05; done; done 2>/dev/null"
    output = cli("run", "--rm", "--network", "backend", "busybox", "sh", "-c", script)
    assert output.lines == ["server", "server"]
    cli.fails("run", "--rm", "--network", "backend", "busybox", "nslookup", "nobody.invalid")


def test_names_are_not_known_outside_the_network(cli):
    cli("network", "create", "backend")
    serve(cli, "server", "--network", "backend")
    cli.fails("run", "--rm", "busybox", "wget", "-T", "2", "-qO-", "http://server/")


def test_subnet_gateway_and_fixed_address(cli, api):
    cli("network", "create", "--subnet", "10.99.7.0/24", "--gateway", "10.99.7.5", "--label", "a=1", "fixed")
    (document,) = json.loads(cli("network", "inspect", "fixed").out)
    assert document["IPAM"]["Config"] == [{"Subnet": "10.99.7.0/24", "Gateway": "10.99.7.5"}]
    assert document["Labels"] == {"a": "1"} and document["Driver"] == "bridge"
    output = cli("run", "--rm", "--network", "fixed", "--ip", "10.99.7.77", "busybox", "sh", "-c",
                 "ip -4 -o address show eth0; ip route")
    assert "10.99.7.77/24" in output.lines[0] and "via 10.99.7.5" in output.lines[1]


def test_connect_and_disconnect(cli, api):
    cli("network", "create", "extra")
    serve(cli, "server")
    cli("network", "connect", "--alias", "added", "extra", "server")
    assert set(api.container("server")["NetworkSettings"]["Networks"]) == {"bridge", "extra"}
    assert "eth1" in cli("exec", "server", "ls", "/sys/class/net").out
    script = "until wget -qO- http://added/; do sleep 0.05; done 2>/dev/null"
    assert cli("run", "--rm", "--network", "extra", "busybox", "sh", "-c", script).out == "server\n"
    cli.fails("network", "rm", "extra", says="has active endpoints")
    cli("network", "disconnect", "extra", "server")
    assert "eth1" not in cli("exec", "server", "ls", "/sys/class/net").out
    cli("network", "rm", "extra")


def test_ls_inspect_and_their_filters(cli):
    cli("network", "create", "--label", "a=1", "mine")
    rows = [line.split()[1:] for line in cli("network", "ls").lines]
    assert rows[0][:3] == ["ID", "NAME", "DRIVER"]
    assert [["bridge", "bridge", "local"], ["host", "host", "local"], ["mine", "bridge", "local"],
            ["none", "null", "local"]] == sorted(rows[1:])
    assert cli("network", "ls", "--filter", "label=a", "--format", "{{.Name}}").lines == ["mine"]
    assert cli("network", "ls", "--filter", "name=min", "--format", "{{.Name}}").lines == ["mine"]
    assert cli("network", "ls", "-f", "type=custom", "--format", "{{.Name}}").lines == ["mine"]
    serve(cli, "server", "--network", "mine")
    (document,) = json.loads(cli("network", "inspect", "mine").out)
    (endpoint,) = document["Containers"].values()
    assert endpoint["Name"] == "server" and "/" in endpoint["IPv4Address"]


def test_create_refusals(cli):
    cli("network", "create", "taken")
    cli.fails("network", "create", "taken", code=1, says="network with name taken already exists")
    cli.fails("network", "create", "--subnet", "300.1.1.0/24", "bad", code=1)
    cli.fails("network", "create", "bridge", code=1, says="operation is not permitted on predefined bridge network")
    cli.fails("network", "rm", "nothing", code=1, says=("network nothing not found", "No such network"))
    cli.fails("network", "rm", "bridge", code=1, says="is a pre-defined network and cannot be removed")
    cli.fails("run", "--rm", "--network", "nothing", "busybox", "true", code=125,
              says="network nothing not found")


def test_overlapping_subnets(cli):
    cli("network", "create", "--subnet", "10.99.8.0/24", "one")
    cli.fails("network", "create", "--subnet", "10.99.8.0/25", "two", code=1,
              says="Pool overlaps with other one on this address space")


def test_prune(cli):
    cli("network", "create", "unused")
    cli("network", "create", "used")
    serve(cli, "server", "--network", "used")
    output = cli("network", "prune", "-f")
    assert "unused" in output.lines
    remaining = cli("network", "ls", "--format", "{{.Name}}").lines
    assert "used" in remaining and "unused" not in remaining


@pytest.mark.holdfast_only("dockerd 20.10 sets a route that leads nowhere")
def test_internal_network_has_no_way_out(cli):
    cli("network", "create", "--internal", "closed")
    routes = cli("run", "--rm", "--network", "closed", "busybox", "ip", "route").out
    assert "default" not in routes


def test_restart_keeps_the_network_working(cli):
    port = free_port()
    serve(cli, "server", "-p", f"127.0.0.1:{port}:80")
    until(lambda: fetch(f"127.0.0.1:{port}") == "server", "the port answers")
    cli("restart", "-t", "0", "server")
    until(lambda: fetch(f"127.0.0.1:{port}") == "server", "the port answers again")


def test_files_of_the_network(cli):
    script = "cat /etc/hosts; hostname -i 2>/dev/null; cat /etc/hostname"
    lines = cli("run", "--rm", "--name", "named", "--hostname", "inside", "busybox", "sh", "-c", script).lines
    assert lines[-1] == "inside"
    assert any(line.split()[1:] == ["inside"] for line in lines if line and line[0].isdigit())


def test_dns_options(cli):
    flags = ["--dns", "10.1.2.3", "--dns-search", "example.test", "--dns-option", "ndots:3"]
    text = cli("run", "--rm", *flags, "busybox", "cat", "/etc/resolv.conf").out
    assert "nameserver 10.1.2.3" in text and "search example.test" in text and "options ndots:3" in text


@pytest.mark.holdfast_only("Docker's client asks for API 1.44 here")
@pytest.mark.newer_client("sends the address elsewhere")
def test_mac_address(cli):
    output = cli("run", "--rm", "--mac-address", "02:11:22:33:44:55", "busybox", "cat",
                 "/sys/class/net/eth0/address")
    assert output.out == "02:11:22:33:44:55\n"
