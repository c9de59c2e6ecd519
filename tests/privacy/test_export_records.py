"""The published schemas are schemas, and refuse what is no record. Spec: line 266."""

import json
from typing import Any

import msgspec
import pytest
from jsonschema import ValidationError

from bennu.privacy.export_records import RECORD_TYPES, AnnotationRecord, schema_of
from peers.json_schema import validator_of

ANNOTATION = AnnotationRecord(
    id="a",
    kind="span",
    project_id="p",
    target_id="s",
    document_position=None,
    name="note",
    identifier="",
    annotator_kind="HUMAN",
    label=None,
    score=0.5,
    explanation=None,
    metadata={"any": ["thing"]},
    source="API",
    user_id=None,
    created_at="2026-01-01T00:00:00+00:00",
    updated_at="2026-01-01T00:00:00+00:00",
)


@pytest.mark.parametrize("name", RECORD_TYPES)
def test_every_file_has_a_schema_that_allows_no_other_field(name: str) -> None:
    validator = validator_of(schema_of(name))
    fields = {field.encode_name for field in msgspec.structs.fields(RECORD_TYPES[name])}
    lacking = {error.message.split("'")[1] for error in validator.iter_errors({})}
    assert lacking == fields
    unknown = [error.message for error in validator.iter_errors({"password": "x"})]
    assert any("'password' was unexpected" in text for text in unknown)


@pytest.mark.parametrize("change", [{"score": "much"}, {"id": None}, {"document_position": 0.5}])
def test_a_wrong_value_is_refused(change: dict[str, Any]) -> None:
    validator = validator_of(schema_of("annotations"))
    record = json.loads(msgspec.json.encode(ANNOTATION))
    validator.validate(record)
    with pytest.raises(ValidationError):
        validator.validate(record | change)
