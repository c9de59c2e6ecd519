"""Certificates that change while the server runs."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bennu.kernel.errors import UnavailableError
from bennu.tls import rotation
from bennu.tls.certificate import make_self_signed
from bennu.tls.rotation import CertificateChange, LiveCertificates
from bennu.tls.settings import TlsSettings
from fakes.clock import FrozenClock
from peers.pki import Pki

SUBJECTS = ("one", "two", "three")


class Deployment:
    """Files of a certificate that are exchanged, and who is told."""

    def __init__(self, folder: Path, ca: Path | None = None) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        self.clock = FrozenClock(now)
        self.pairs = {name: make_self_signed([name], 90, now, use_ec=True) for name in SUBJECTS}
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.put("one")
        self.changes: list[CertificateChange] = []
        self.refusal: Exception | None = None
        self.settings = TlsSettings(
            http=True, cert_file=self.cert, key_file=self.key, ca_file=ca, verify_client=bool(ca)
        )
        self.live = LiveCertificates(self.settings, self.clock, self.take)

    async def take(self, change: CertificateChange) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.changes.append(change)

    def put(self, name: str, key: str = "") -> None:
        self.cert.write_bytes(self.pairs[name][0])
        self.key.write_bytes(self.pairs[key or name][1])

    @property
    def shown(self) -> str:
        return self.live.certificate.subject.removeprefix("CN=")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="bennu.tls")
    return caplog


async def test_another_pair_is_served_and_told(deployment: Deployment) -> None:
    context = deployment.live.context
    assert context is not None
    first = context.current
    await deployment.live.look()
    assert deployment.changes == []
    deployment.put("two")
    await deployment.live.look()
    assert deployment.shown == "two"
    assert deployment.live.context is context
    assert context.current is deployment.live.material.context is not first
    (change,) = deployment.changes
    assert change.before.certificate.subject == "CN=one"
    assert change.after is deployment.live.material


async def test_a_broken_pair_is_told_once_and_the_old_one_stays(
    deployment: Deployment, lines: pytest.LogCaptureFixture
) -> None:
    deployment.put("two", key="three")
    await deployment.live.look()
    assert deployment.changes == []  # the key may be on its way
    await deployment.live.look()
    await deployment.live.look()
    assert [change.after for change in deployment.changes] == [None]
    assert lines.messages == ["tls.certificate.refused"]
    assert "not the key of" in lines.records[0].why  # type: ignore[attr-defined]
    assert deployment.shown == "one"
    deployment.put("three")
    await deployment.live.look()
    assert deployment.shown == "three"


async def test_a_pair_that_arrives_in_two_steps_is_no_trouble(
    deployment: Deployment, lines: pytest.LogCaptureFixture
) -> None:
    deployment.put("two", key="one")
    await deployment.live.look()
    deployment.put("two")
    await deployment.live.look()
    assert deployment.shown == "two"
    assert lines.messages == ["tls.certificate.changed"]


async def test_who_asks_gets_an_answer_at_once(
    deployment: Deployment, lines: pytest.LogCaptureFixture
) -> None:
    deployment.cert.unlink()
    await deployment.live.look(is_asked=True)
    await deployment.live.look(is_asked=True)
    assert lines.messages == ["tls.certificate.refused"] * 2
    assert deployment.shown == "one"


async def test_what_could_not_be_recorded_is_told_again(deployment: Deployment) -> None:
    deployment.refusal = UnavailableError("no database")
    deployment.put("two")
    await deployment.live.look()
    assert deployment.shown == "two"
    deployment.refusal = None
    await deployment.live.look()
    assert len(deployment.changes) == 1


async def test_other_authorities_count_as_a_change(tmp_path: Path, pki: Pki) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(pki.authority.cert.read_bytes())
    deployment = Deployment(tmp_path, ca)
    ca.write_bytes(pki.foreign.cert.read_bytes())
    await deployment.live.look()
    (change,) = deployment.changes
    assert change.after is not None
    assert change.after.certificate == change.before.certificate
    assert change.after.authorities != change.before.authorities


async def test_a_link_that_is_turned_counts_as_a_change(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for folder, pair in (("a", "one"), ("b", "two")):
        (tmp_path / folder / "cert.pem").write_bytes(deployment.pairs[pair][0])
        (tmp_path / folder / "key.pem").write_bytes(deployment.pairs[pair][1])
    (tmp_path / "data").symlink_to("a")
    for path in (deployment.cert, deployment.key):
        path.unlink()
        path.symlink_to(Path("data") / path.name)
    await deployment.live.look()
    assert deployment.shown == "one"
    (tmp_path / "new").symlink_to("b")
    (tmp_path / "new").replace(tmp_path / "data")
    await deployment.live.look()
    assert deployment.shown == "two"


async def test_from_thirty_days_on_there_is_a_line_a_day(
    deployment: Deployment, lines: pytest.LogCaptureFixture
) -> None:
    async def lines_of(hours: float) -> list[str]:
        lines.clear()
        deployment.clock.advance(timedelta(hours=hours))
        await deployment.live.look()
        return lines.messages

    assert await lines_of(24 * 59) == []
    assert deployment.live.days_left == 31
    assert await lines_of(24) == ["tls.certificate.expires"]
    assert await lines_of(1) == []
    assert await lines_of(23) == ["tls.certificate.expires"]
    assert lines.records[0].days_left == 29  # type: ignore[attr-defined]
    assert await lines_of(24 * 30) == ["tls.certificate.expired"]


async def test_the_watch_looks_by_itself_and_when_asked(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait_for(name: str) -> None:
        async with asyncio.timeout(30):
            while deployment.shown != name:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    monkeypatch.setattr(rotation, "LOOK_EVERY_SECONDS", 0.05)
    watching = asyncio.create_task(deployment.live.watch())
    try:
        deployment.put("two")
        await wait_for("two")
        monkeypatch.setattr(rotation, "LOOK_EVERY_SECONDS", 3600)
        await asyncio.sleep(0.2)
        deployment.put("three")
        deployment.live.look_now()
        await wait_for("three")
    finally:
        watching.cancel()


def test_two_looks_fit_into_the_five_seconds() -> None:
    assert 2 * rotation.LOOK_EVERY_SECONDS < 5


async def test_no_failure_ends_the_looking(
    deployment: Deployment, lines: pytest.LogCaptureFixture
) -> None:
    """A recipient that breaks stands for whatever nobody thought of."""
    deployment.refusal = LookupError("unthought of")
    deployment.put("two")
    watching = asyncio.create_task(deployment.live.watch())
    deployment.live.look_now()
    async with asyncio.timeout(30):
        while "tls.certificate.look_failed" not in lines.messages:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    deployment.refusal = None
    deployment.put("three")
    deployment.live.look_now()
    async with asyncio.timeout(30):
        while len(deployment.changes) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert deployment.shown == "three"
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
