"""Reading forms: bounded, and whatever is broken is the client's mistake."""

from collections.abc import Mapping

import pytest
from starlette.requests import Request
from starlette.types import Message

from bennu.kernel.errors import MalformedError, TooLargeError
from bennu.web.forms import FORM_LIMIT_BYTES, Form, read_form

FORM = {"content-type": "application/x-www-form-urlencoded"}


def request_with(body: bytes, headers: Mapping[str, str]) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)


async def test_fields_keep_their_values() -> None:
    body = b"name=+a+b+&permissions=x&permissions=y&empty=&password=+p%20"
    form = await read_form(request_with(body, FORM))
    assert form.text("name") == "a b"
    assert form.raw("password") == " p "
    assert form.many("permissions") == ("x", "y")
    assert form.optional("empty") is None
    assert form.is_ticked("empty")
    assert not form.is_ticked("absent")
    assert form.text("absent") == ""


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"a=1", {"content-type": "application/json"}),
        (b"a=1", {}),
        (b"a=%ff", FORM),
        (b"a=\xff", FORM),
        (b"a=%00", FORM),
        (b"&".join([b"a=1"] * 1_201), FORM),
    ],
)
async def test_what_is_no_form_of_ours_is_refused(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(MalformedError):
        await read_form(request_with(body, headers))


async def test_a_form_is_bounded() -> None:
    with pytest.raises(TooLargeError):
        await read_form(request_with(b"a=" + b"x" * FORM_LIMIT_BYTES, FORM))


def test_the_last_of_several_texts_counts() -> None:
    assert Form({"a": ["1", "2"]}).text("a") == "2"
