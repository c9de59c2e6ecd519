"""Whether a certificate and a key can serve."""

from datetime import UTC, datetime, timedelta

import pytest

from bennu.tls.certificate import make_self_signed, read_certificates
from bennu.tls.pair import PairReport, days_left, inspect_pair
from peers.pki import Pki

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def inspect(cert: bytes, key: bytes, password: str = "", after_days: float = 0) -> PairReport:
    return inspect_pair(cert, key, password, NOW + timedelta(days=after_days))


def texts(report: PairReport) -> tuple[list[str], list[str]]:
    """Return errors and warnings, each as ``part: text``."""
    return (
        [f"{f.part}: {f.text}" for f in report.errors],
        [f"{f.part}: {f.text}" for f in report.warnings],
    )


@pytest.mark.parametrize("use_ec", [False, True])
def test_a_good_pair_has_no_findings(*, use_ec: bool) -> None:
    report = inspect(*make_self_signed(["h"], 365, NOW, use_ec=use_ec))
    assert report.findings == ()
    assert report.key is not None


@pytest.mark.parametrize(
    ("after_days", "error", "warning"),
    [
        (-1, "not valid before 2026-01-02 02:04 UTC", ""),
        (334, "", ""),
        (335, "", "expires in 30 days, on 2027-01-02 03:04 UTC"),
        (364.5, "", "expires in 0 days"),
        (365, "expired on 2027-01-02 03:04 UTC", ""),
    ],
)
def test_dates(after_days: float, error: str, warning: str) -> None:
    cert, key = make_self_signed(["h"], 365, NOW, use_ec=True)
    errors, warnings = texts(inspect(cert, key, after_days=after_days))
    assert bool(error) == bool(errors)
    assert bool(warning) == bool(warnings)
    assert error in "".join(errors)
    assert warning in "".join(warnings)


def test_days_that_are_left() -> None:
    (facts,) = read_certificates(make_self_signed(["h"], 10, NOW, use_ec=True)[0])
    assert days_left(facts, NOW) == 10
    assert days_left(facts, NOW + timedelta(days=10, seconds=1)) == -1


def test_a_key_of_another_certificate(pki: Pki) -> None:
    cert, key = make_self_signed(["h"], 365, NOW)
    _, other = make_self_signed(["h"], 365, NOW)
    (error,), _ = texts(inspect(cert, other))
    assert error == "key: it is not the key of the certificate CN=h"
    chain = pki.authority.cert.read_bytes() + cert
    errors, _ = texts(inspect(chain, key))
    assert "certificate: the certificate of the key must be the first one of the file" in errors


def test_everything_unreadable_is_told_at_once() -> None:
    errors, _ = texts(inspect(b"x", b"y"))
    assert [error.partition(":")[0] for error in errors] == ["certificate", "key"]


def test_a_password_without_use_is_remarked() -> None:
    errors, warnings = texts(inspect(*make_self_signed(["h"], 365, NOW), password="x"))
    assert errors == []
    assert warnings == ["key: a password is set and the key is not encrypted"]


def test_what_clients_would_refuse_is_remarked(pki: Pki) -> None:
    now = datetime.now(UTC)
    client = inspect_pair(pki.client.cert.read_bytes(), pki.client.key.read_bytes(), "", now)
    assert any("extended key usage" in finding.text for finding in client.warnings)
    chain = pki.server.cert.read_bytes() + pki.foreign.cert.read_bytes()
    server = inspect_pair(chain, pki.server.key.read_bytes(), "", now)
    assert any("the chain does not fit" in finding.text for finding in server.warnings)
    assert client.errors == server.errors == ()
