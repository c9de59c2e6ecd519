"""The chain of keyed hashes."""

import hashlib
import hmac

import pytest

from bennu.audit.chain import (
    CHAINED_FIELDS,
    canonical_json,
    chain_hash_of,
    head_mac_of,
    personal_hash_of,
)

ROW = {name: name for name in CHAINED_FIELDS}
KEY = bytes(32)


@pytest.mark.asvs("11.4.3")
def test_every_field_and_the_hash_before_enter_the_hash() -> None:
    known = chain_hash_of(KEY, "0" * 64, ROW)
    assert chain_hash_of(KEY, "1" * 64, ROW) != known
    assert chain_hash_of(bytes([1]) * 32, "0" * 64, ROW) != known
    for name in CHAINED_FIELDS:
        assert chain_hash_of(KEY, "0" * 64, ROW | {name: "changed"}) != known


def test_fields_cannot_be_shifted_into_each_other() -> None:
    one = ROW | {"reason": "ab", "actor_kind": "c"}
    other = ROW | {"reason": "a", "actor_kind": "bc"}
    assert chain_hash_of(KEY, "0" * 64, one) != chain_hash_of(KEY, "0" * 64, other)


def test_the_head_is_bound_to_the_key() -> None:
    head = {"sequence": 1, "chain_hash": "a", "first_sequence": 1, "base_hash": "b"}
    known = head_mac_of(KEY, head)
    assert head_mac_of(KEY, head | {"sequence": 2}) != known
    assert head_mac_of(bytes([1]) * 32, head) != known


def test_personal_fields_are_salted() -> None:
    assert personal_hash_of("00" * 16, "{}") != personal_hash_of("01" * 16, "{}")


@pytest.mark.asvs("11.4.3")
def test_a_link_has_256_bits() -> None:
    """Of a keyed hash, so that records with equal hashes can neither be found nor made."""
    links = {chain_hash_of(KEY, "0" * 64, ROW | {"id": str(n)}) for n in range(1_000)}
    assert len(links) == 1_000
    assert {len(bytes.fromhex(link)) for link in links} == {32}
    fields = canonical_json(["0" * 64, *(ROW[name] for name in CHAINED_FIELDS)])
    known = hmac.new(KEY, fields.encode(), hashlib.sha256).hexdigest()
    assert chain_hash_of(KEY, "0" * 64, ROW) == known
