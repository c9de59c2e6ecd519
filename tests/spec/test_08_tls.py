"""TLS and mutual TLS on both ports, with real clients.

Spec: lines 179-204, 234-236, 286-292.
"""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

from peers.pki import KEY_PASSWORD, Certificate, Pki
from started import ADMIN_SECRET, StartedServer, tls_context

SAMPLES = Path(__file__).parent / "samples"
PASSWORD = "PHOENIX_TLS_KEY_FILE_PASSWORD"
FORMS = ("plain", "pkcs8", "traditional")
ACCOUNT = "ingest-agent"
SUBJECT = "CN=agent-7,OU=Agents,O=Test"


@pytest.fixture(autouse=True)
def no_other_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients trust what they are given: requests prefers these variables to its own."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@dataclass(frozen=True)
class Clients:
    """Certificates of clients: the good one, and those that are refused."""

    good: Certificate
    refused: dict[str, Certificate | None]


@pytest.fixture(scope="module")
def clients(pki: Pki) -> Clients:
    expired = pki.authority.issue("expired", "/CN=agent-7", usage="clientAuth", days=-1)
    refused = {
        "missing": None,
        "foreign": pki.foreign_client,
        "expired": expired,
        "of a server": pki.server,
    }
    return Clients(pki.client, refused)


def pair_of(pki: Pki, algorithm: str, form: str) -> Certificate:
    pair = pki.authority.issue(f"s-{algorithm}-{form}", "/O=Test/CN=localhost", algorithm=algorithm)
    if form == "pkcs8":
        return pki.authority.encrypt_key(pair)
    return pki.authority.encrypt_key_traditionally(pair) if form == "traditional" else pair


def settings_of(pki: Pki, pair: Certificate, *, mutual: bool = False) -> dict[str, str]:
    found = {
        "PHOENIX_TLS_ENABLED": "true",
        "PHOENIX_TLS_CERT_FILE": str(pair.cert),
        "PHOENIX_TLS_KEY_FILE": str(pair.key),
        PASSWORD: KEY_PASSWORD,
        "PHOENIX_LOGGING_MODE": "structured",
    }
    if mutual:
        found["PHOENIX_TLS_CA_FILE"] = str(pki.authority.cert)
        found["PHOENIX_TLS_VERIFY_CLIENT"] = "true"
    return found


# --- clients -------------------------------------------------------------------------------


def send(exporter: SpanExporter, project: str) -> None:
    provider = TracerProvider(resource=Resource({"openinference.project.name": project}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("root"):
        pass
    provider.shutdown()


def exporters(
    server: StartedServer, pki: Pki, shown: Certificate | None, key: str = ADMIN_SECRET
) -> dict[str, SpanExporter]:
    """Return the official exporters over https and grpcs, with a client certificate if given."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    pair = (None, None) if shown is None else (shown.key.read_bytes(), shown.cert.read_bytes())
    return {
        "https": HttpExporter(
            f"{server.base_url}/v1/traces",
            headers=headers,
            certificate_file=str(pki.authority.cert),
            client_certificate_file=None if shown is None else str(shown.cert),
            client_key_file=None if shown is None else str(shown.key),
        ),
        "grpcs": GrpcExporter(
            f"https://127.0.0.1:{server.grpc_port}",
            headers=headers,
            credentials=grpc.ssl_channel_credentials(pki.authority.cert.read_bytes(), *pair),
        ),
    }


def delivered(server: StartedServer, project: str, key: str = ADMIN_SECRET) -> bool:
    answer = server.client(key).get(f"/v1/projects/{project}/spans")
    return answer.status_code == 200 and len(answer.json()["data"]) == 1


def s_client(pki: Pki, port: int, *options: str, shown: Certificate | None = None) -> str:
    """Connect with openssl and send one request; return everything that it prints."""
    certificate = () if shown is None else ("-cert", str(shown.cert), "-key", str(shown.key))
    done = subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", *certificate),
            *("-CAfile", str(pki.authority.cert), "-verify_return_error", *options),
        ],
        input=b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    return (done.stdout + done.stderr).decode(errors="replace")


def curl(pki: Pki, server: StartedServer, shown: Certificate | None = None) -> str:
    """Ask with curl; return the status, "000" when there was no answer."""
    certificate = () if shown is None else ("--cert", str(shown.cert), "--key", str(shown.key))
    done = subprocess.run(
        [
            *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *certificate),
            *("--cacert", str(pki.authority.cert), f"{server.base_url}/healthz"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


# --- the matrix ----------------------------------------------------------------------------


@contextmanager
def started(
    folder: Path, pki: Pki, env: dict[str, str], shown: Certificate | None = None
) -> Iterator[StartedServer]:
    with StartedServer(folder, env, tls=tls_context(pki, shown)) as server:
        yield server


def check_both_ports(server: StartedServer, pki: Pki, shown: Certificate | None) -> None:
    """Send over both ports with the official exporters, shake hands with openssl and curl."""
    for name, exporter in exporters(server, pki, shown).items():
        send(exporter, name)
        assert delivered(server, name), name
    assert curl(pki, server, shown) == "200"
    said = s_client(pki, server.port, shown=shown)
    assert "TLSv1.3" in said
    assert "200 OK" in said
    assert "TLSv1.3" in s_client(pki, server.grpc_port, "-alpn", "h2", shown=shown)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("algorithm", ["RSA", "EC"])
def test_tls_with_every_form_of_a_key(tmp_path: Path, pki: Pki, algorithm: str, form: str) -> None:
    with started(tmp_path, pki, settings_of(pki, pair_of(pki, algorithm, form))) as server:
        check_both_ports(server, pki, None)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("algorithm", ["RSA", "EC"])
def test_mutual_tls_with_every_form_of_a_key(
    tmp_path: Path, pki: Pki, clients: Clients, algorithm: str, form: str
) -> None:
    env = settings_of(pki, pair_of(pki, algorithm, form), mutual=True)
    with started(tmp_path, pki, env, clients.good) as server:
        check_both_ports(server, pki, clients.good)
        assert curl(pki, server) == "000"


@pytest.mark.asvs("12.2.1")
@pytest.mark.parametrize("name", ["HTTP", "GRPC"])
def test_each_port_can_speak_tls_alone(tmp_path: Path, pki: Pki, name: str) -> None:
    env = settings_of(pki, pki.server)
    del env["PHOENIX_TLS_ENABLED"]
    env[f"PHOENIX_TLS_ENABLED_FOR_{name}"] = "true"
    is_http = name == "HTTP"
    with StartedServer(tmp_path, env, tls=tls_context(pki) if is_http else None) as server:
        headers = {"authorization": f"Bearer {ADMIN_SECRET}"}
        plain_grpc = GrpcExporter(
            f"http://127.0.0.1:{server.grpc_port}", insecure=True, headers=headers
        )
        plain_http = HttpExporter(f"http://127.0.0.1:{server.port}/v1/traces", headers=headers)
        send(exporters(server, pki, None)["https" if is_http else "grpcs"], "encrypted")
        send(plain_grpc if is_http else plain_http, "plain")
        assert delivered(server, "encrypted")
        assert delivered(server, "plain")


# --- what is refused -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def mutual(
    tmp_path_factory: pytest.TempPathFactory, pki: Pki, clients: Clients
) -> Iterator[StartedServer]:
    """One server with mutual TLS and a mapped client certificate."""
    env = settings_of(pki, pki.server, mutual=True)
    env["PHOENIX_TLS_CLIENT_CERT_MAPPINGS"] = json.dumps({SUBJECT: ACCOUNT})
    with started(tmp_path_factory.mktemp("mutual"), pki, env, clients.good) as server:
        made = server.client(ADMIN_SECRET).post(
            "/v1/system/api_keys", json={"data": {"name": ACCOUNT}}
        )
        assert made.status_code == 201, made.text
        yield server


@pytest.mark.asvs("12.1.3")
@pytest.mark.parametrize("who", ["missing", "foreign", "expired", "of a server"])
def test_a_client_certificate_is_refused_on_both_ports(
    mutual: StartedServer, pki: Pki, clients: Clients, who: str
) -> None:
    shown = clients.refused[who]
    assert curl(pki, mutual, shown) == "000"
    assert "200 OK" not in s_client(pki, mutual.port, shown=shown)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{mutual.base_url}/healthz", verify=tls_context(pki, shown))
    pair = (None, None) if shown is None else (shown.key.read_bytes(), shown.cert.read_bytes())
    credentials = grpc.ssl_channel_credentials(pki.authority.cert.read_bytes(), *pair)
    with grpc.secure_channel(f"127.0.0.1:{mutual.grpc_port}", credentials) as channel:
        call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        with pytest.raises(grpc.RpcError) as refusal:
            call(b"", timeout=30, metadata=(("authorization", f"Bearer {ADMIN_SECRET}"),))
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.asvs("12.1.1")
@pytest.mark.parametrize("port", ["port", "grpc_port"])
@pytest.mark.parametrize(
    "options", [("-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"), ("-tls1_2", "-cipher", "AES128-SHA")]
)
def test_old_versions_and_weak_ciphers_are_refused(
    mutual: StartedServer, pki: Pki, clients: Clients, port: str, options: tuple[str, ...]
) -> None:
    number = getattr(mutual, port)
    assert "Cipher is (NONE)" in s_client(pki, number, *options, shown=clients.good)
    good = s_client(pki, number, "-tls1_2", "-alpn", "h2,http/1.1", shown=clients.good)
    assert "Protocol  : TLSv1.2" in good
    assert "Cipher is ECDHE-" in good


def test_only_tls_1_3_over_http(tmp_path: Path, pki: Pki) -> None:
    env = settings_of(pki, pki.server)
    env |= {"PHOENIX_TLS_ENABLED_FOR_GRPC": "false", "PHOENIX_TLS_MIN_VERSION": "1.3"}
    with started(tmp_path, pki, env) as server:
        assert "Cipher is (NONE)" in s_client(pki, server.port, "-tls1_2")
        assert "200 OK" in s_client(pki, server.port)


# --- client certificates as identity -------------------------------------------------------


def test_an_exporter_sends_with_its_certificate_alone(
    mutual: StartedServer, pki: Pki, clients: Clients
) -> None:
    for name, exporter in exporters(mutual, pki, clients.good, key="").items():
        send(exporter, f"alone-{name}")
        assert delivered(mutual, f"alone-{name}", key="")


def test_an_unmapped_certificate_only_opens_the_door(mutual: StartedServer, pki: Pki) -> None:
    other = pki.authority.issue("agent-8", "/O=Test/OU=Agents/CN=agent-8", usage="clientAuth")
    with httpx.Client(base_url=mutual.base_url, verify=tls_context(pki, other)) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/projects").status_code == 401
        bearer = {"authorization": f"Bearer {ADMIN_SECRET}"}
        assert client.get("/v1/projects", headers=bearer).status_code == 200
    for name, exporter in exporters(mutual, pki, other, key="").items():
        send(exporter, f"nobody-{name}")
        assert not delivered(mutual, f"nobody-{name}")


def test_audit_records_name_the_certificate(mutual: StartedServer, clients: Clients) -> None:
    with mutual.client() as client:
        assert client.post("/v1/projects", json={"name": "by-certificate"}).status_code == 200
        assert client.get("/v1/users").status_code == 403
    der = ssl.PEM_cert_to_DER_cert(clients.good.cert.read_text())
    fingerprint = subprocess.run(
        ["openssl", "dgst", "-sha256", "-r"], input=der, capture_output=True, check=True
    ).stdout.split()[0]
    records = mutual.client(ADMIN_SECRET).get("/v1/audit_events?limit=20").json()["data"]
    found = {r["event"]: r for r in records if r["actor"]["kind"] == "certificate"}
    for event in ("project.created", "auth.denied"):
        assert found[event]["credential"] == {"kind": "certificate", "id": fingerprint.decode()}
        assert found[event]["actor"]["name"] == f"{ACCOUNT} ({SUBJECT})"


def test_the_probe_needs_no_certificate(mutual: StartedServer, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bennu", "health"]
    env = {**mutual.env, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ready\n")
    file = tmp_path / "bennu.env"
    file.write_text("\n".join(f"{name}='{value}'" for name, value in mutual.env.items()))
    done = subprocess.run([*command, "--env-file", file], env={}, capture_output=True, check=False)
    assert done.returncode == 0
    env["PHOENIX_WORKING_DIR"] = str(tmp_path)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (socket,) = (mutual.folder / "work").glob("*.sock")
    assert socket.stat().st_mode & 0o777 == 0o600


# --- starting ------------------------------------------------------------------------------


def test_what_does_not_fit_refuses_the_start(tmp_path: Path, pki: Pki) -> None:
    expired = pki.authority.issue("expired-server", "/CN=localhost", days=-1)
    encrypted = pki.authority.encrypt_key(pki.server)
    for pair, password, path, reason in (
        (expired, "", expired.cert, "expired on"),
        (encrypted, "wrong", encrypted.key, "wrong password"),
    ):
        server = StartedServer(tmp_path, settings_of(pki, pair) | {PASSWORD: password})
        done = subprocess.run(
            [sys.executable, "-m", "bennu", "serve"],
            env={"PATH": "/usr/bin:/bin", **{k: v for k, v in server.env.items() if v}},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        said = done.stdout + done.stderr
        assert str(path) in said
        assert reason in said
        assert "Traceback" not in said


def test_a_mapping_that_is_none_refuses_the_start(tmp_path: Path, pki: Pki) -> None:
    env = settings_of(pki, pki.server, mutual=True)
    env["PHOENIX_TLS_CLIENT_CERT_MAPPINGS"] = '{"CNN=agent-7": "x"}'
    with pytest.raises(AssertionError, match="CNN=agent-7"), started(tmp_path, pki, env):
        pass


# --- the printed samples -------------------------------------------------------------------


@pytest.fixture
def spec_pair(tmp_path: Path) -> Certificate:
    """A pair made by the lines 199-203 of the spec, as printed."""
    lines = (
        "openssl genrsa -out key.pem 2048\n"
        "openssl req -new -x509 -key key.pem -out cert.pem -days 365 \\\n"
        '-subj "/CN=phoenix.local"\n'
    )
    subprocess.run(["sh", "-ec", lines], cwd=tmp_path, capture_output=True, check=True)
    return Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")


def sample(name: str, folder: Path) -> dict[str, str]:
    """Return the variables of a printed block, its files in ``folder``."""
    text = (SAMPLES / name).read_text().replace("/etc/phoenix/tls/", f"{folder}/")
    lines = (line.partition(" = ") for line in text.splitlines())
    return {name: value.partition(" #")[0] for name, _, value in lines}


def test_the_printed_lines_make_a_pair_that_serves(tmp_path: Path, spec_pair: Certificate) -> None:
    encrypted = tmp_path / "encrypted.pem"
    subprocess.run(
        [
            *("openssl", "rsa", "-aes256", "-in", spec_pair.key, "-out", encrypted),
            *("-passout", f"pass:{KEY_PASSWORD}"),
        ],
        capture_output=True,
        check=True,
    )
    encrypted.replace(spec_pair.key)
    env = sample("182-185-http-tls.env", tmp_path) | sample("187-189-grpc-tls.env", tmp_path)
    env[PASSWORD] = KEY_PASSWORD  # what ${ KEY_PASSWORD } stands for
    context = ssl.create_default_context(cafile=spec_pair.cert)
    context.check_hostname = False  # that certificate names no host in subjectAltName
    with StartedServer(tmp_path, env, tls=context) as server:
        roots = grpc.ssl_channel_credentials(spec_pair.cert.read_bytes())
        options = (("grpc.ssl_target_name_override", "phoenix.local"),)
        exporter = GrpcExporter(
            f"https://127.0.0.1:{server.grpc_port}",
            credentials=roots,
            channel_options=options,
            headers={"authorization": f"Bearer {ADMIN_SECRET}"},
        )
        send(exporter, "printed")
        assert delivered(server, "printed")
        assert "subjectAltName" in server.log()


def test_the_printed_block_of_mutual_tls(tmp_path: Path, pki: Pki, clients: Clients) -> None:
    for name, path in (
        ("server-cert.pem", pki.server.cert),
        ("server-key.pem", pki.server.key),
        ("ca-cert.pem", pki.authority.cert),
    ):
        (tmp_path / name).write_bytes(path.read_bytes())
    env = sample("192-196-mutual-tls.env", tmp_path)
    with started(tmp_path, pki, env, clients.good) as server:
        assert curl(pki, server, clients.good) == "200"
        assert curl(pki, server) == "000"


def test_the_troubleshooting_lines_agree_on_a_pair_of_ours(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "bennu", "tls", "selfsigned", "--host", "phoenix.local"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0
    lines = (
        "openssl x509 -in cert.pem -noout -dates",
        "openssl x509 -in cert.pem -noout -modulus | openssl md5",
        "openssl rsa -in key.pem -noout -modulus | openssl md5",
    )
    said = [
        subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, capture_output=True, check=True
        ).stdout
        for line in lines
    ]
    assert b"notAfter=" in said[0]
    assert said[1] == said[2]
    assert len(said[1]) > 32
