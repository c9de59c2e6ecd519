"""Annotations and notes as a page shows and reads them. Pure.

Decision 11.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from bennu.kernel.errors import FieldProblem, SchemaError
from bennu.traces.annotations.model import NOTE, Annotation, StoredAnnotation
from bennu.web.forms import Form

_LONGEST_WORD = 200


@dataclass(frozen=True, slots=True)
class AnnotationRow:
    """One line.

    Args:
        name: of what is judged, "" for a note.
        is_of_trace: it is about the whole trace.
        judge: human, code or llm.
        author: who wrote it.
        score: as text, "" for none.
    """

    name: str
    is_of_trace: bool
    judge: str
    author: str
    label: str
    score: str
    text: str
    updated_at: int


def annotation_row(
    stored: StoredAnnotation, authors: Mapping[int, str], *, is_of_trace: bool
) -> AnnotationRow:
    """Return what a page shows of an annotation or a note."""
    author = "a program" if stored.user_id is None else authors.get(stored.user_id, "")
    return AnnotationRow(
        name="" if stored.name == NOTE else stored.name,
        is_of_trace=is_of_trace,
        judge=stored.annotator_kind.lower(),
        author=author or "somebody who has left",
        label=stored.label or "",
        score="" if stored.score is None else f"{stored.score:.4g}",
        text=stored.explanation or "",
        updated_at=stored.updated_at,
    )


def annotation_of(form: Form) -> Annotation:
    """Read the form of an annotation by a person.

    Raises:
        SchemaError: the score is no number, or nothing is said.
    """
    label, text, score = form.optional("label"), form.optional("explanation"), _score_of(form)
    if label is None and text is None and score is None:
        raise SchemaError(
            FieldProblem(("body", "label"), "Give a label, a score or an explanation")
        )
    if label is not None and len(label) > _LONGEST_WORD:
        raise SchemaError(FieldProblem(("body", "label"), f"At most {_LONGEST_WORD} characters"))
    return Annotation(form.text("name"), "HUMAN", label, score, text)


def _score_of(form: Form) -> float | None:
    typed = form.text("score")
    if not typed:
        return None
    try:
        score = float(typed)
    except ValueError:
        score = float("nan")
    if not isfinite(score):
        raise SchemaError(FieldProblem(("body", "score"), "Input should be a number such as 0.5"))
    return score
