"""The published schemas, of the JSON report and of drift, and checks that a document has what they say and no more."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = DOCS / "report.schema.json"


@cache
def validator(path: Path = SCHEMA) -> Draft202012Validator:
    """A validator that refuses keys which the schema does not name: each must be documented."""
    schema = json.loads(path.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(_closed(schema, schema["$defs"]))


def assert_fits(report: dict[str, Any], path: Path = SCHEMA) -> None:
    """Fail with each place of the report that does not fit."""
    found = [f"{error.json_path}: {error.message[:300]}" for error in validator(path).iter_errors(report)]
    assert not found, "\n".join(found)


def _closed(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return the schema without further keys, and with each definition where it is meant.

    To look a definition up takes jsonschema half of the time of a check, and reports are checked thousands of times.
    """
    if isinstance(schema, list):
        return [_closed(value, definitions) for value in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _closed(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    closed = {key: _closed(value, definitions) for key, value in schema.items() if key != "$defs"}
    return {"additionalProperties": False, **closed} if isinstance(schema.get("properties"), dict) else closed
