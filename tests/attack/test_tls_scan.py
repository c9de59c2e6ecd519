"""What a scanner of TLS finds on both ports: no weak protocol, no weak cipher, no known hole.

Spec: lines 179-196, 268. sslyze is installed apart (requirements/sslyze.txt), as its pins conflict
with ours.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from peers.pki import Pki
from started import StartedServer, tls_context

SSLYZE = Path(sys.prefix) / "sslyze" / "bin" / "sslyze"
OLD = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")
#: What is good to begin with in TLS 1.3, and must have forward secrecy and AEAD in TLS 1.2.
STRONG = ("_GCM_SHA256", "_GCM_SHA384", "_CHACHA20_POLY1305_SHA256")


def scan(port: int, folder: Path) -> dict[str, Any]:
    """Scan a port; return the result of each check."""
    file = folder / f"{port}.json"
    done = subprocess.run(
        [SSLYZE, "--quiet", f"--json_out={file}", f"127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert file.exists(), done.stderr
    (found,) = json.loads(file.read_text())["server_scan_results"]
    assert found["scan_status"] == "COMPLETED", found
    results = found["scan_result"]
    for name, check in results.items():
        assert check["status"] in {"COMPLETED", "NOT_SCHEDULED"}, (name, check)
    return {name: check["result"] for name, check in results.items()}


@pytest.mark.asvs("12.1.2")
@pytest.mark.skipif(not SSLYZE.exists(), reason="make setup-test installs sslyze")
def test_the_scanner_finds_nothing_weak(tmp_path: Path, pki: Pki) -> None:
    pair = pki.authority.issue("scanned", "/CN=localhost", algorithm="RSA")
    env = {
        "PHOENIX_TLS_ENABLED": "true",
        "PHOENIX_TLS_CERT_FILE": str(pair.cert),
        "PHOENIX_TLS_KEY_FILE": str(pair.key),
        "PHOENIX_DISABLE_RATE_LIMIT": "true",
    }
    with StartedServer(tmp_path, env, tls=tls_context(pki)) as server:
        for port in (server.port, server.grpc_port):
            found = scan(port, tmp_path)
            for version in OLD:
                assert found[f"{version}_cipher_suites"]["accepted_cipher_suites"] == []
            for version, start in (("tls_1_2", "TLS_ECDHE_"), ("tls_1_3", "TLS_")):
                accepted = found[f"{version}_cipher_suites"]["accepted_cipher_suites"]
                names = [suite["cipher_suite"]["name"] for suite in accepted]
                assert names
                assert all(n.startswith(start) and n.endswith(STRONG) for n in names), names
            assert not found["heartbleed"]["is_vulnerable_to_heartbleed"]
            assert not found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"]
            assert found["robot"]["robot_result"].startswith("NOT_VULNERABLE")
            assert not found["tls_compression"]["supports_compression"]
            assert found["tls_fallback_scsv"]["supports_fallback_scsv"]
            assert not found["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"]
            assert found["session_renegotiation"]["supports_secure_renegotiation"]
