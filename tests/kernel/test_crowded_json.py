import pytest

from bennu.kernel.crowded_json import MOST_OBJECTS, refuse_crowded_json
from bennu.kernel.errors import TooLargeError


@pytest.mark.parametrize("part", [b"{},", b"[],", b"[{}]"])
def test_a_small_body_of_very_many_objects_is_refused(part: bytes) -> None:
    body = b"[" + part * MOST_OBJECTS
    with pytest.raises(TooLargeError, match="more than 1000000 objects and lists"):
        refuse_crowded_json(body)


def test_what_people_send_is_taken() -> None:
    refuse_crowded_json(b"[" + b"{}," * 100_000)
    refuse_crowded_json(b'{"text": "' + b"x" * 20_000_000 + b'"}')
    refuse_crowded_json(b"[[]]", most=2)
    with pytest.raises(TooLargeError):
        refuse_crowded_json(b"[[[]]]", most=2)
