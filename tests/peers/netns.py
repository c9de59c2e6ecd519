"""Two machines in network namespaces, joined by a cable, that send each other real packets.

``server`` listens on every address; ``client`` has addresses in several networks and connects
from whichever a test names. Rules are loaded into ``server`` only; the host is not touched.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Self

import pytest

SERVER_ADDRESSES = ("10.0.0.1/8", "192.168.77.1/24", "fd00:1::1/32")
#: In the networks of the spec's lines, outside of the second, outside of both, and over IPv6.
NEAR, INTERNAL, OUTSIDE = "10.0.1.5", "10.9.9.9", "192.168.77.5"
NEAR_6, OUTSIDE_6 = "fd00:1::5", "fd00:1:2::5"
CLIENT_ADDRESSES = (
    f"{NEAR}/8",
    f"{INTERNAL}/8",
    f"{OUTSIDE}/24",
    f"{NEAR_6}/32",
    f"{OUTSIDE_6}/32",
)
_numbers = itertools.count()

_LISTEN = """
import socket, sys, threading
def serve(port):
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", port))
    listener.listen(50)
    ready.release()
    while True:
        listener.accept()[0].close()
ready = threading.Semaphore(0)
for port in sys.argv[1:]:
    threading.Thread(target=serve, args=(int(port),), daemon=True).start()
    ready.acquire()
print("ready", flush=True)
sys.stdin.read()
"""
_CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def attempt(wanted):
    source, target, port = wanted
    probe = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET)
    probe.settimeout(1.0)
    try:
        if source:
            probe.bind((source, 0))
        probe.connect((target, port))
        return "open"
    except TimeoutError:
        return "dropped"
    except OSError as error:
        return "refused" if error.errno in (111, 113, 13, 1) else str(error)
    finally:
        probe.close()
with ThreadPoolExecutor(32) as pool:
    print(json.dumps(list(pool.map(attempt, json.load(sys.stdin)))))
"""


def reason_against() -> str:
    """Say why there can be no namespaces here, "" when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in ("ip", "iptables", "ip6tables", "nft") if not shutil.which(tool)]
    if missing:
        return f"{', '.join(missing)} not installed: make setup-test"
    name = f"bennu-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        return f"network namespaces are not possible here: {made.stderr.decode().strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return ""


class Machines:
    """Both namespaces; a context manager that removes them."""

    def __init__(self, *ports: int) -> None:
        number = f"{os.getpid()}-{next(_numbers)}"
        self.server, self.client = f"bennu-s-{number}", f"bennu-c-{number}"
        self._ports = ports
        self._listening: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        # Short: names of devices have 15 characters at most.
        cable = [f"bs{os.getpid() % 100_000}", f"bc{os.getpid() % 100_000}"]
        for name in (self.server, self.client):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        first, second = cable
        run("ip", "-n", self.server, "link", "add", first, "type", "veth", "peer", "name", second)
        run("ip", "-n", self.server, "link", "set", second, "netns", self.client)
        sides = ((self.server, first, SERVER_ADDRESSES), (self.client, second, CLIENT_ADDRESSES))
        for name, device, addresses in sides:
            for address in addresses:
                nodad = ("nodad",) if ":" in address else ()
                run("ip", "-n", name, "addr", "add", address, "dev", device, *nodad)
            run("ip", "-n", name, "link", "set", device, "up")
        for name in (self.server, self.client):
            self._listen(name)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._listening:
            process.kill()
            process.communicate()
        for name in (self.server, self.client):
            subprocess.run(["ip", "netns", "del", name], check=False)

    def _listen(self, name: str) -> None:
        words = ["ip", "netns", "exec", name, sys.executable, "-c", _LISTEN]
        process = subprocess.Popen(
            [*words, *map(str, self._ports)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._listening.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    def load(self, *command: str, text: str) -> None:
        """Run a command in the server's namespace with this input."""
        run("ip", "netns", "exec", self.server, *command, text=text)

    def flush(self) -> None:
        """Take all rules away."""
        self.load("nft", "-f", "-", text="flush ruleset\n")

    def reach(
        self, *wanted: tuple[str, str, int], start: str = "", user: Sequence[str] = ()
    ) -> list[str]:
        """Connect and say how each ended: open, dropped or refused.

        Args:
            wanted: source address ("" for any), target address and port.
            start: namespace to connect from; that of the client by default.
            user: command that changes the user.
        """
        words = ["ip", "netns", "exec", start or self.client, *user, sys.executable, "-c", _CONNECT]
        found: list[str] = json.loads(run(*words, text=json.dumps(wanted)))
        return found


def run(*words: str, text: str = "") -> str:
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """Both machines, listening on the ports of the spec and a few more."""
    reason = reason_against()
    if reason:
        pytest.skip(reason)
    with Machines(6006, 4317, 9090, 5433, 6379, 8000) as made:
        yield made
