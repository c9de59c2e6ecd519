"""The printed configurations of proxies work: page docs/operations/proxies.md, real programs.

Spec: lines 205-216 (addresses and origins behind a proxy).
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

from doc_commands import ROOT, samples_of
from fakes.exports import export_request
from flows.test_exporters import send_with
from peers.pki import Pki
from started import ADMIN_EMAIL, ADMIN_SECRET, FIRST_PASSWORD, StartedServer, free_port, tls_context

HOST = "phoenix.example.com"
ORIGIN = f"https://{HOST}"
PAGE = ROOT / "docs" / "operations" / "proxies.md"
#: Where the client sits: another address of this machine than that of the proxy.
CLIENT = "127.0.0.2"


def printed(language: str, server: StartedServer, pki: Pki, port: int) -> str:
    """Return the one block of a language with the ports and files of this run."""
    found = [each for each in samples_of(PAGE.read_text("utf-8")) if each.language == language]
    assert len(found) == 1
    pair = pki.authority.issue("proxy", f"/CN={HOST}", names=f"DNS:{HOST}")
    text = found[0].text
    for word, meaning in {
        "listen 443": f"listen 127.0.0.1:{port}",
        "127.0.0.1:6006": f"127.0.0.1:{server.port}",
        "127.0.0.1:4317": f"127.0.0.1:{server.grpc_port}",
        "/etc/phoenix/tls/cert.pem": str(pair.cert),
        "/etc/phoenix/tls/key.pem": str(pair.key),
    }.items():
        assert word in text or language == "caddyfile"
        text = text.replace(word, meaning)
    return text


def nginx_command(folder: Path, block: str, _port: int) -> list[str]:
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder}/pid;\nerror_log stderr;\nworker_processes 1;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{places}{block}\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def caddy_command(folder: Path, block: str, port: int) -> list[str]:
    options = f"{{\n\tadmin off\n\thttps_port {port}\n\tauto_https disable_redirects\n}}\n"
    (folder / "Caddyfile").write_text(options + block)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


COMMANDS = {"nginx": nginx_command, "caddyfile": caddy_command}


class Visitor(httpx.Client):
    """A client at an address of its own that asks the proxy for the host of the page."""

    def __init__(self, pki: Pki, port: int) -> None:
        context = tls_context(pki)
        context.check_hostname = False  # it asks by address; the authority is checked
        super().__init__(
            base_url=f"https://127.0.0.1:{port}",
            headers={"host": HOST},
            transport=httpx.HTTPTransport(verify=context, local_address=CLIENT),
        )

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        request.extensions["sni_hostname"] = HOST
        return super().send(request, **options)


@contextlib.contextmanager
def running(command: list[str], folder: Path, pki: Pki, port: int) -> Iterator[None]:
    env = {"PATH": f"{os.defpath}:/usr/sbin:/sbin", "HOME": str(folder)}
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env=env, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, (folder / "proxy.log").read_text()
            assert time.monotonic() < deadline, (folder / "proxy.log").read_text()
            with contextlib.suppress(httpx.TransportError), Visitor(pki, port) as visitor:
                if visitor.get("/healthz").status_code == 200:
                    break
            time.sleep(0.05)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("kind", sorted(COMMANDS))
def test_the_printed_configuration(kind: str, tmp_path: Path, pki: Pki) -> None:
    settings = {"PHOENIX_ROOT_URL": ORIGIN, "PHOENIX_TRUSTED_PROXIES": "127.0.0.1"}
    port, folder = free_port(), tmp_path / "proxy"
    folder.mkdir()
    with StartedServer(tmp_path, settings) as server:
        block = printed(kind, server, pki, port)
        with running(COMMANDS[kind](folder, block, port), folder, pki, port):
            _signs_in_with_its_own_address(server, pki, port)
            _takes_exports(server, pki, port)


def _signs_in_with_its_own_address(server: StartedServer, pki: Pki, port: int) -> None:
    body = {"email": ADMIN_EMAIL, "password": FIRST_PASSWORD}
    with Visitor(pki, port) as browser:
        headers = {"origin": ORIGIN, "x-forwarded-for": "203.0.113.9"}
        answer = browser.post("/auth/login", json=body, headers=headers)
        assert answer.status_code == 204, answer.text
        assert all("Secure" in cookie for cookie in answer.headers.get_list("set-cookie"))
        assert "strict-transport-security" in answer.headers
        elsewhere = {"origin": "https://elsewhere.example"}
        refused = browser.post("/auth/login", json=body, headers=elsewhere)
        assert refused.status_code == 403
    trail = server.client(ADMIN_SECRET).get(
        "/v1/audit_events", params={"event": "auth.sign_in.succeeded"}
    )
    assert [record["address"] for record in trail.json()["data"]] == [CLIENT]


def _takes_exports(server: StartedServer, pki: Pki, port: int) -> None:
    admin = server.client(ADMIN_SECRET)
    made = admin.post("/v1/system/api_keys", json={"data": {"name": "exporter"}})
    headers = {"authorization": f"Bearer {made.json()['data']['key']}"}
    with Visitor(pki, port) as sender:
        answer = sender.post(
            "/v1/traces",
            content=export_request(1, project="over-http"),
            headers={**headers, "content-type": "application/x-protobuf"},
        )
        assert answer.status_code == 200, answer.text
    rpc = GrpcExporter(
        f"https://127.0.0.1:{port}",
        credentials=grpc.ssl_channel_credentials(pki.authority.cert.read_bytes()),
        headers=headers,
        channel_options=(("grpc.ssl_target_name_override", HOST),),
    )
    send_with(rpc, "over-grpc")
    for project in ("over-http", "over-grpc"):
        assert len(admin.get(f"/v1/projects/{project}/spans").json()["data"]) == 1
