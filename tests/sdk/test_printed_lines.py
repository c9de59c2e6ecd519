"""The printed lines run as they stand: the host of the example, port 443, a real certificate.

Spec: lines 143-151. They run in a network of their own, in which the example's host is this
machine; nothing but the placeholder of the key is replaced.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from peers.pki import Pki
from sdk.conftest import UserPython

CURL = r"""curl -H "Authorization: Bearer YOUR_API_KEY" \
https://phoenix.example.com/api/v1/projects"""
LINES = """import phoenix as px
px.Client(
endpoint = "https://phoenix.example.com" ,
api_key = "YOUR_API_KEY"
)"""
INSIDE = """
import json, subprocess, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from peers.pki import Certificate
from started import StartedServer
import ssl
context = ssl.create_default_context(cafile={ca!r})
context.check_hostname = False  # our own probe asks by address
server = StartedServer(Path({folder!r}), {env!r}, tls=context)
server.port = 443
with server:
    key = server.api_key()
    said = [
        subprocess.run(command, env={variables!r}, capture_output=True, text=True).stdout
        for command in (
            ["sh", "-c", {curl!r}.replace("YOUR_API_KEY", key)],
            [{python!r}, "-c", {code!r}.replace("YOUR_API_KEY", key)],
        )
    ]
    print(json.dumps(said))
"""


def has_networks_of_its_own() -> bool:
    done = subprocess.run(["unshare", "-rnm", "true"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.skipif(not has_networks_of_its_own(), reason="unshare is not allowed here")
def test_the_printed_lines(user: UserPython, tmp_path: Path, pki: Pki) -> None:
    host = "phoenix.example.com"
    pair = pki.authority.issue("example", f"/CN={host}", names=f"DNS:{host}")
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {host}\n")
    code = LINES.replace("px.Client(", "client = px.Client(", 1)
    code += "\nprint([project['name'] for project in client.projects.list()])"
    ca = str(pki.authority.cert)
    inside = INSIDE.format(
        tests=str(Path(__file__).parents[1]),
        ca=ca,
        folder=str(tmp_path),
        env={
            "PHOENIX_PORT": "443",
            "PHOENIX_TLS_ENABLED_FOR_HTTP": "true",
            "PHOENIX_TLS_CERT_FILE": str(pair.cert),
            "PHOENIX_TLS_KEY_FILE": str(pair.key),
            "PHOENIX_ROOT_URL": f"https://{host}",
            "PHOENIX_ALLOWED_HOSTS": f"{host},127.0.0.1",
        },
        variables={"PATH": os.defpath, "SSL_CERT_FILE": ca, "CURL_CA_BUNDLE": ca},
        python=str(user.program),
        curl=CURL,
        code=code,
    )
    script = (
        f'ip link set lo up && mount --bind {hosts} /etc/hosts && exec {sys.executable} -c "$0"'
    )
    done = subprocess.run(
        ["unshare", "-rnm", "sh", "-c", script, inside],
        env={"PATH": f"{os.defpath}:/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    curl, python = json.loads(done.stdout.splitlines()[-1])
    assert [project["name"] for project in json.loads(curl)["data"]] == ["default"]
    assert python == "['default']\n"
