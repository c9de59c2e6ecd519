"""The rules of PHOENIX_SECRET and the derived key, by known answers. Spec: 14-23, 158-162."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from bennu.encryption.secret import derive_fernet_key, secret_problems
from bennu.kernel.secret import Secret

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "pbkdf2.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["primitive"], ids=lambda v: v["password"])
def test_library_gives_the_published_answers(vector: dict[str, Any]) -> None:
    kdf = PBKDF2HMAC(
        SHA256(), vector["length_bytes"], vector["salt"].encode(), vector["iterations"]
    )
    assert kdf.derive(vector["password"].encode()).hex() == vector["derived_hex"]


@pytest.mark.asvs("11.4.4")
@pytest.mark.parametrize("vector", VECTORS["fernet_key"], ids=lambda v: v["secret"][:8])
def test_derived_key_is_the_known_one(vector: dict[str, str]) -> None:
    assert derive_fernet_key(Secret(vector["secret"])).decode() == vector["key"]


@pytest.mark.parametrize("text", VECTORS["accepted"])
def test_good_secrets_are_accepted(text: str) -> None:
    assert secret_problems(text) == ()


@pytest.mark.asvs("13.2.3")
@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda v: repr(v["secret"][-6:]))
def test_bad_secrets_are_refused_without_being_shown(vector: dict[str, Any]) -> None:
    problems = secret_problems(vector["secret"])
    assert len(problems) == vector["problems"], problems
    if vector["secret"]:
        assert vector["secret"] not in " ".join(problems)


def test_each_rule_is_named() -> None:
    text = " ".join(secret_problems("É"))
    for rule in ("32 characters", "digit", "lowercase letter", "ASCII"):
        assert rule in text
    assert secret_problems("a1" * 16 + " a") == ("must not contain white space",)
