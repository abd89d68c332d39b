"""Once the network is closed, a process reaches this machine only: real sockets, in a process of its own."""

import subprocess
import sys

import pytest

REFUSED = (
    "socket.create_connection(('example.org', 80))",
    "socket.socket().connect(('203.0.113.7', 80))",
    "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('203.0.113.7', 53))",
    "socket.gethostbyname('example.org')",
    "urllib.request.urlopen('https://example.org')",
)
OPEN = (
    "socket.create_connection(socket.create_server(('127.0.0.1', 0)).getsockname())",
    "socket.getaddrinfo('localhost', 80)",
    "socket.socketpair()",
)


def outcome(statement: str, allowed: bool = False) -> str:
    """'refused' where vit-trace stopped it, else 'open'."""
    script = f"""
import socket, urllib.request
from vit_trace.base import network
network.allow({allowed})
network.close()
try:
    {statement}
except OSError as error:
    print("refused" if network.refusal_behind(error) else "open")
else:
    print("open")
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.mark.parametrize("statement", REFUSED)
def test_other_machines_are_refused(statement):
    assert outcome(statement) == "refused"


@pytest.mark.parametrize("statement", OPEN)
def test_this_machine_is_open(statement):
    assert outcome(statement) == "open"


def test_allowed_means_open():
    assert outcome("socket.socket().connect_ex(('127.0.0.1', 1))", allowed=True) == "open"
