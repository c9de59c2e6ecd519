"""Annotations as a page shows and reads them. Decision 13."""

import pytest

from bennu.kernel.errors import SchemaError
from bennu.traces.annotations.model import NOTE, StoredAnnotation
from bennu.web.annotation_view import annotation_of, annotation_row
from bennu.web.forms import Form


def stored(name: str = "correctness", user_id: int | None = 7) -> StoredAnnotation:
    return StoredAnnotation(
        1, b"\1" * 8, name, "", "HUMAN", "good", 0.333333, "because", "{}", "APP", user_id, 1, 2
    )


def form(**fields: str) -> Form:
    return Form({name: [value] for name, value in fields.items()})


@pytest.mark.parametrize(
    ("user_id", "author"), [(7, "ann"), (8, "somebody who has left"), (None, "a program")]
)
def test_a_row_tells_what_was_said_and_by_whom(user_id: int | None, author: str) -> None:
    row = annotation_row(stored(user_id=user_id), {7: "ann", 8: ""}, is_of_trace=True)
    assert (row.name, row.label, row.score, row.text) == (
        "correctness",
        "good",
        "0.3333",
        "because",
    )
    assert (row.author, row.judge, row.is_of_trace, row.updated_at) == (author, "human", True, 2)


def test_a_note_has_no_name() -> None:
    assert annotation_row(stored(NOTE), {}, is_of_trace=False).name == ""


def test_a_form_is_read() -> None:
    said = annotation_of(form(name=" tone ", label="kind", score="0.5", explanation="polite"))
    assert (said.name, said.annotator_kind, said.label, said.score, said.explanation) == (
        "tone",
        "HUMAN",
        "kind",
        0.5,
        "polite",
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "label"),
        ({"label": "x" * 201}, "label"),
        ({"score": "many"}, "score"),
        ({"score": "nan"}, "score"),
        ({"score": "1e999"}, "score"),
    ],
)
def test_mistakes_name_their_field(fields: dict[str, str], field: str) -> None:
    with pytest.raises(SchemaError) as refusal:
        annotation_of(form(name="tone", **fields))
    assert refusal.value.problems[0].loc[-1] == field
