"""Each kind of refusal has one status; details stay in the log."""

import json

import pytest

from bennu.httpio.respond import (
    STATUS_OF,
    empty_answer,
    error_answer,
    json_answer,
    status_of,
    text_answer,
    time_text,
)
from bennu.kernel import errors
from bennu.kernel.errors import (
    AppError,
    ConflictError,
    DeniedError,
    FieldProblem,
    InvalidError,
    MalformedError,
    NotFoundError,
    SchemaError,
    TooLargeError,
    TooManyError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaError,
)

KINDS: list[tuple[type[AppError], int]] = [
    (MalformedError, 400),
    (UnauthenticatedError, 401),
    (DeniedError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (TooLargeError, 413),
    (UnsupportedMediaError, 415),
    (InvalidError, 422),
    (TooManyError, 429),
    (UnavailableError, 503),
]


@pytest.mark.parametrize(("kind", "status"), KINDS)
def test_each_kind_has_its_status_and_so_have_features_below_it(
    kind: type[AppError], status: int
) -> None:
    class FeatureError(kind):  # type: ignore[valid-type, misc]
        code = "feature"

    for made in (kind("public text"), FeatureError("public text")):
        assert status_of(made) == status
        answer = error_answer(made)
        assert (answer.status_code, answer.body) == (status, b"public text")
        assert answer.media_type == "text/plain"


def test_no_kind_is_forgotten_and_none_hides_behind_its_parent() -> None:
    declared = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, AppError) and kind is not AppError
    }
    assert declared - {SchemaError} == {kind for kind, _ in KINDS} == {k for k, _ in STATUS_OF}
    order = [kind for kind, _ in STATUS_OF]
    for place, kind in enumerate(order):
        assert not any(issubclass(kind, earlier) for earlier in order[:place])


def test_an_error_of_no_kind_is_a_defect() -> None:
    assert status_of(AppError("x")) == 500


@pytest.mark.asvs("16.5.1")
def test_the_detail_is_not_for_the_caller() -> None:
    answer = error_answer(UnauthenticatedError("Invalid token", detail="hidden detail"))
    assert b"hidden detail" not in bytes(answer.body) + repr(answer.headers).encode()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TooManyError("x", retry_after_seconds=12.1), "13"),
        (TooManyError("x", retry_after_seconds=0), "0"),
        (UnavailableError("x"), "1"),
        (UnavailableError("x", retry_after_seconds=5), "5"),
        (DeniedError("x", retry_after_seconds=5), None),
    ],
)
def test_who_must_wait_is_told_how_long(error: AppError, expected: str | None) -> None:
    assert error_answer(error).headers.get("retry-after") == expected


def test_wrong_fields_are_json_that_clients_know() -> None:
    problem = FieldProblem(("body", "data", 0), "what is allowed", seen="x")
    answer = error_answer(SchemaError(problem, FieldProblem(("query", "q"), "m", "missing")))
    assert answer.status_code == 422
    assert answer.media_type == "application/json"
    assert json.loads(bytes(answer.body)) == {
        "detail": [
            {
                "type": "value_error",
                "loc": ["body", "data", 0],
                "msg": "what is allowed",
                "input": "x",
            },
            {"type": "missing", "loc": ["query", "q"], "msg": "m", "input": None},
        ]
    }


def test_answers() -> None:
    made = json_answer({"a": "é"}, 201, {"x-a": "b"})
    assert (made.status_code, made.headers["x-a"]) == (201, "b")
    assert json.loads(bytes(made.body)) == {"a": "é"}
    assert text_answer("t").headers["content-type"].startswith("text/plain")
    assert (empty_answer().status_code, bytes(empty_answer().body)) == (204, b"")


def test_times_are_written_as_clients_expect_them() -> None:
    assert time_text(1_767_323_045_678_901) == "2026-01-02T03:04:05.678901+00:00"
    assert time_text(0) == "1970-01-01T00:00:00+00:00"
    assert time_text(-1) == "1969-12-31T23:59:59.999999+00:00"
