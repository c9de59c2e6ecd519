"""A validator of JSON Schema 2020-12 that shares nothing with what writes the schemas."""

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator


def validator_of(schema: Mapping[str, Any]) -> Draft202012Validator:
    """Return what checks against a schema, which itself is checked first.

    Raises:
        jsonschema.SchemaError: the schema is none.
    """
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
