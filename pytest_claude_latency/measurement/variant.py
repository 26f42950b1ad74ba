"""Variants: other request bodies that a test is tried with.

A variant is a set of fields that take the place of the application's own in every prompt call it is meant for. Its name
is made of them alone, so that node ids and recordings are the same wherever the test runs: values that a name cannot
hold stand in it by their beginning and a hash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from hashlib import sha256
from itertools import product
from typing import Any
from urllib.parse import urlsplit

from pytest_claude_latency.errors import VariantError
from pytest_claude_latency.messages_api.endpoints import requested_model
from pytest_claude_latency.messages_api.exchange import Request, header

ACCEPTED = (
    'latency_variants(model=["claude-haiku-4-5", "claude-sonnet-4-6"], temperature=[0.2, 1.0]) for all combinations, '
    'latency_variants({"output_config.effort": ["low", "high"]}) where a name has dots, '
    'latency_variants([{"model": "claude-haiku-4-5"}, {"max_tokens": 150}]) for these alone; '
    'None removes a field; when={"model": "claude-opus-*"} limits them to some calls'
)

_FIELD = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_PLAIN = re.compile(r"[A-Za-z0-9._@+/-]{1,40}")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._@+/-]+")
_SHOWN = 24  # characters of a value that is not plain


@dataclass(frozen=True)
class Variant:
    """One combination of fields.

    `fields` are dotted names and the JSON values they get; None removes the field. `when` are dotted names and the
    patterns that their values in the request have to match, for the request to be changed.
    """

    fields: tuple[tuple[str, Any], ...]
    when: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """What node ids and reports call it: `"~model=claude-haiku-4-5,temperature=0.2"`."""
        return "~" + ",".join(f"{field}={_named(value)}" for field, value in self.fields)

    def applied(self, request: Request) -> Request:
        """The request with the variant's fields; the same object where nothing changes.

        Raises:
            VariantError: it has no JSON object for a body, is signed, or has no place for a field.
        """
        body = request.json
        if not isinstance(body, dict):
            raise VariantError("its body is not a JSON object")
        if not all(_fits(request, body, field, pattern) for field, pattern in self.when):
            return request
        for field, value in self.fields:
            body = _replaced(body, field.split("."), value, field)
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
        if content == request.content:
            return request
        self._refuse(request)
        return replace(request, content=content)

    def _refuse(self, request: Request) -> None:
        if _is_signed(request):
            raise VariantError("it is signed (AWS Signature Version 4), and its signature fits no other body")
        if "model" not in request.json and requested_model(request) is not None and "model" in dict(self.fields):
            raise VariantError("its model stands in its path, not in its body")


# ── markers ──


def parse(args: Sequence[Any], kwargs: Mapping[str, Any], origin: str) -> tuple[Variant, ...]:
    """The variants that `latency_variants(*args, **kwargs)` declares; `origin` is where it stands.

    Raises:
        VariantError: they are not understood; says where, why, and what is accepted.
    """
    try:
        return tuple(_parsed(args, kwargs))
    except VariantError as error:
        raise VariantError(f"{origin}: {error}; accepted: {ACCEPTED}") from None


def _parsed(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[Variant]:
    when, lists = tuple(_conditions(kwargs.get("when"))), {**kwargs}
    lists.pop("when", None)
    if len(args) > 1:
        raise VariantError(f"it takes one positional argument, not {len(args)}")
    given = args[0] if args else {}
    if isinstance(given, list | tuple):
        if lists:
            raise VariantError("a list of combinations takes no further fields beside it")
        combinations = [_combination(each) for each in given]
    elif isinstance(given, Mapping):
        if both := given.keys() & lists.keys():
            raise VariantError(f"{min(map(str, both))} is given twice")
        combinations = _combinations({**given, **lists})
    else:
        raise VariantError(f"{given!r} is neither a mapping nor a list of mappings")
    if not combinations:
        raise VariantError("it declares no variant")
    yield from {each.name: each for each in (_variant(fields, when) for fields in combinations)}.values()


def _combinations(lists: Mapping[Any, Any]) -> list[dict[Any, Any]]:
    for field, values in lists.items():
        if not isinstance(values, list | tuple) or not values:
            raise VariantError(f"{field}={values!r} is no list of values")
    return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())] if lists else []


def _combination(given: object) -> dict[Any, Any]:
    if not isinstance(given, Mapping) or not given:
        raise VariantError(f"{given!r} is no mapping of fields to values")
    return dict(given)


def _conditions(when: object) -> Iterator[tuple[str, str]]:
    if when is None:
        return
    if not isinstance(when, Mapping) or not when:
        raise VariantError(f"when={when!r} is no mapping of fields to patterns")
    for field, pattern in when.items():
        if not _is_field(field) or not isinstance(pattern, str):
            raise VariantError(f"when={{{field!r}: {pattern!r}}} is no field and the pattern of its value")
        yield field, pattern


def _variant(fields: Mapping[Any, Any], when: tuple[tuple[str, str], ...]) -> Variant:
    for field, value in fields.items():
        if not _is_field(field):
            raise VariantError(f"{field!r} is no name of a field")
        if field == "stream":
            raise VariantError("stream cannot vary, since the application would not understand the answer")
        if not _is_json(value):
            raise VariantError(f"{field}: {value!r} is no JSON value")
        if inner := next((each for each in fields if str(each).startswith(f"{field}.")), None):
            raise VariantError(f"{inner} lies inside {field}, which is replaced as a whole")
    return Variant(tuple(fields.items()), when)


def _is_field(name: object) -> bool:
    return isinstance(name, str) and _FIELD.fullmatch(name) is not None


def _is_json(value: object) -> bool:
    if isinstance(value, Mapping):
        return isinstance(value, dict) and all(isinstance(key, str) and _is_json(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor NaN
    return value is None or isinstance(value, str | int)


# ── names ──


def _named(value: Any) -> str:
    """A value in a name: no two values have the same, and none reads like that of another type."""
    if value is None:
        return "none"
    is_text = isinstance(value, str) and value != "none" and not _reads_as_json(value)
    text = value if is_text else _json(value)
    if _PLAIN.fullmatch(text):
        return text
    shown = _NOT_PLAIN.sub("_", text)[:_SHOWN].strip("_")
    return f"{shown}-{sha256(_json(value).encode(errors='surrogatepass')).hexdigest()[:8]}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _reads_as_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


# ── bodies ──


def _replaced(node: Any, steps: Sequence[str], value: Any, field: str) -> Any:
    """A copy of `node` with another value at the end of `steps`; what lies beside them is shared with it."""
    step, *rest = steps
    if isinstance(node, dict):
        if rest and (inside := node.get(step)) is None and value is None:
            return node
        if rest:
            return node | {step: _replaced({} if inside is None else inside, rest, value, field)}
        return {key: each for key, each in node.items() if key != step} if value is None else node | {step: value}
    if isinstance(node, list) and step.isdecimal() and int(step) < len(node):
        place = int(step)
        if not rest:
            return [*node[:place], *([] if value is None else [value]), *node[place + 1 :]]
        return [*node[:place], _replaced(node[place], rest, value, field), *node[place + 1 :]]
    raise VariantError(f"it has no place for {field}")


def _fits(request: Request, body: Mapping[str, Any], field: str, pattern: str) -> bool:
    value = requested_model(request) if field == "model" else _value_at(body, field.split("."))
    if value is None:
        return False
    return fnmatchcase(value if isinstance(value, str) else _json(value), pattern)


def _value_at(node: Any, steps: Iterable[str]) -> Any:
    for step in steps:
        if isinstance(node, dict):
            node = node.get(step)
        elif isinstance(node, list) and step.isdecimal() and int(step) < len(node):
            node = node[int(step)]
        else:
            return None
    return node


def _is_signed(request: Request) -> bool:
    authorization = header(request.headers, "authorization") or ""
    return authorization.startswith("AWS4-") or "X-Amz-Signature=" in urlsplit(request.url).query
