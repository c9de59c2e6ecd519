"""Signed places of the chain: who could have signed them, and in which form they travel."""

import base64
import json
import logging
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bennu.audit.checkpoint import (
    Checkpoint,
    CheckpointError,
    checkpoint_document,
    is_authentic,
    read_checkpoint_document,
    sign_checkpoint,
    signed_text,
)
from bennu.audit.verify import verify_trail
from bennu.encryption.signing import PublicKeyError, public_key_pem
from bennu.kernel.log_lines import JsonLines
from bennu.storage.database import Database
from fakes.clock import FrozenClock
from fakes.trail import started_trail

SEED = bytes(range(32))
TIME_AT = 1_767_323_045_678_901  # 2026-01-02T03:04:05.678901
SIGNED = sign_checkpoint(SEED, 7, "ab" * 32, TIME_AT)
PUBLIC = public_key_pem(SEED)


def test_the_owner_of_the_key_signed_it_and_nobody_else() -> None:
    assert is_authentic(SIGNED, PUBLIC)
    assert not is_authentic(SIGNED, public_key_pem(bytes(32)))
    with pytest.raises(PublicKeyError):
        is_authentic(SIGNED, "no key")


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 8},
        {"chain_hash": "ac" * 32},
        {"time_at": TIME_AT + 1},
        {"signature": "not base64"},
        {"signature": base64.b64encode(bytes(64)).decode()},
    ],
)
def test_every_part_of_it_is_signed(change: dict[str, object]) -> None:
    assert not is_authentic(replace(SIGNED, **change), PUBLIC)  # type: ignore[arg-type]


def test_it_survives_the_way_out_and_back() -> None:
    document = checkpoint_document(SIGNED, SEED)
    assert document["time_utc"] == "2026-01-02T03:04:05.678901+00:00"
    assert document["public_key"] == PUBLIC
    assert read_checkpoint_document(json.dumps(document).encode()) == SIGNED


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"sequence": 1}',
        b'{"sequence": "1", "chain_hash": "", "time_utc": "2026-01-01T00:00:00Z", "signature": ""}',
        b'{"sequence": 1, "chain_hash": "", "time_utc": "2026-01-01T00:00:00", "signature": ""}',
    ],
)
def test_what_is_no_checkpoint_is_told(text: bytes) -> None:
    with pytest.raises(CheckpointError):
        read_checkpoint_document(text)


def test_openssl_can_check_one(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PUBLIC)
    (tmp_path / "text").write_text(signed_text(7, "ab" * 32, TIME_AT))
    (tmp_path / "signature").write_bytes(base64.b64decode(SIGNED.signature))
    command = "pkeyutl -verify -pubin -inkey key.pem -rawin -in text -sigfile signature"
    done = subprocess.run(
        ["openssl", *command.split()], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.anyio
async def test_a_kept_checkpoint_is_a_line_of_the_log_that_vouches_too(
    database: Database, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    trail = await started_trail(database, clock)
    assert await trail.audit.keep_checkpoint() is None
    await trail.write(3)
    with caplog.at_level(logging.INFO, "bennu.audit"):
        kept = await trail.audit.keep_checkpoint()
        assert await trail.audit.keep_checkpoint() == kept
    (record,) = caplog.records
    assert record.message == "audit.checkpoint"
    told = read_checkpoint_document(JsonLines().format(record).encode())
    assert isinstance(told, Checkpoint)
    assert told == kept
    assert (await database.read(lambda c: verify_trail(c, trail.vault, told))).ok
