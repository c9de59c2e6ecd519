"""Names and addresses of users."""

import string
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.kernel.errors import SchemaError
from bennu.users.model import clean_email, clean_username

GOOD = (
    "ada@example.com",
    "a.b+c_d-e@mail.example.co.uk",
    "o'neill@example.com",
    "grüße@exämple.de",
    "x@y.z",
    "a" * 64 + "@example.com",
)
BAD = (
    "",
    "ada",
    "ada@example",
    "@example.com",
    "ada@",
    "ada@.com",
    "ada@example..com",
    "ada@example.com.",
    "a@b@example.com",
    "a da@example.com",
    "ada@exa mple.com",
    "ada\n@example.com",
    "ada@example.com\r\nBcc: eve@example.com",
    "ada@example.com>",
    "<ada@example.com>",
    "ada,eve@example.com",
    "ada;eve@example.com",
    '"ada"@example.com',
    "ada(x)@example.com",
    "ada\\@example.com",
    "ada:x@example.com",
    "ada\x7f@example.com",
    "ada\u202e@example.com",
    "ada\0@example.com",
    "a" * 65 + "@example.com",
    "a@" + "b" * 250 + ".com",
)


@pytest.mark.parametrize("text", GOOD)
def test_a_good_address_is_kept_in_lower_case(text: str) -> None:
    assert clean_email(f"  {text.upper()} ") == text.upper().lower()


@pytest.mark.parametrize("text", BAD)
def test_a_bad_address_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(SchemaError) as refused:
        clean_email(text, "body", "user", "email")
    assert refused.value.problems[0].loc == ("body", "user", "email")
    assert text == "" or text not in str(refused.value)


@pytest.mark.asvs("1.3.3")
@pytest.mark.parametrize("text", ["", " ", "a\nb", "a\0", "\u202eada", "a" * 257])
def test_a_bad_name_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(SchemaError) as refused:
        clean_username(text)
    assert refused.value.problems[0].loc == ("body", "username")


def test_a_good_name_is_kept_without_blanks_around_it() -> None:
    for name in ("ada", "Ada Lovelace", "Ñandú", "a" * 256):
        assert clean_username(f" {name} ") == name


@given(
    st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))),
    st.sampled_from([clean_email, clean_username]),
)
def test_anything_is_cleaned_or_refused_and_never_breaks(
    text: str, clean: Callable[[str], str]
) -> None:
    cleaned = None
    with suppress(SchemaError):
        cleaned = clean(text)
    assert cleaned is None or (cleaned == clean(cleaned) and cleaned.isprintable())


_WORD = st.text(string.ascii_letters + string.digits + "äß._+-", min_size=1, max_size=20)


@pytest.mark.asvs("1.3.11")
@given(_WORD, _WORD, st.sampled_from('@<>()[],;:\\" \t\r\n\0\x7f'), st.integers(0, 60))
def test_a_sign_that_means_something_to_a_mail_server_is_never_in_an_address(
    local: str, domain: str, sign: str, place: int
) -> None:
    text = f"{local}@{domain}.example"
    broken = text[:place] + sign + text[place:]
    cleaned = None
    with suppress(SchemaError):
        cleaned = clean_email(broken)
    assert cleaned is None or (sign.isspace() and broken.strip() == text)
