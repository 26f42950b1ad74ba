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
    _close(schema)
    return Draft202012Validator(schema)


def assert_fits(report: dict[str, Any], path: Path = SCHEMA) -> None:
    """Fail with each place of the report that does not fit."""
    found = [f"{error.json_path}: {error.message[:300]}" for error in validator(path).iter_errors(report)]
    assert not found, "\n".join(found)


def _close(schema: Any) -> None:
    if isinstance(schema, dict):
        if "properties" in schema and isinstance(schema["properties"], dict):
            schema.setdefault("additionalProperties", False)
        for value in schema.values():
            _close(value)
    elif isinstance(schema, list):
        for value in schema:
            _close(value)
