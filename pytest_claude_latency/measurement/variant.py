"""Variants: other requests that a test is tried with.

A variant is a set of fields and headers that replace the application's own in each prompt call it is meant for. Its
name is made of these alone, so that node ids and recordings are the same wherever the test runs. A value that a name
cannot hold is shown there by its beginning and a hash. A header is a field too, below `headers.`: no form of the API
has a field of that name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import product
from typing import Any

from pytest_claude_latency.errors import VariantError
from pytest_claude_latency.messages_api.endpoints import is_signed_by_aws, requested_model
from pytest_claude_latency.messages_api.exchange import Headers, Request
from pytest_claude_latency.messages_api.forms import place_of_field
from pytest_claude_latency.messages_api.request_pattern import fits

ACCEPTED = """fields and their values, headers, or a list of combinations:
  latency_variants(model=["claude-haiku-4-5", "claude-sonnet-4-6"])
  latency_variants({"output_config.effort": ["low", "high"]})
  latency_variants([{"model": "claude-haiku-4-5"}, {"max_tokens": 150}])
  latency_variants(headers={"anthropic-beta": ["...", None]})
  latency_variants([{"headers": {"anthropic-beta": "..."}}])
Several names give all combinations, a list gives these alone. None removes a
field or header. when={"model": "claude-opus-*"} limits them to some calls."""
HEADERS = "headers"

_FIELD = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_FITS_A_NAME = re.compile(r"[A-Za-z0-9._@+/-]{1,40}")
_UNFIT = re.compile(r"[^A-Za-z0-9._@+/-]+")
_HEADER = re.compile(r"[a-z0-9_-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_CREDENTIALS = re.compile(r"authorization|.*-authorization|cookie|.*-api-key|api-key|.*token.*")
"""A value of these would stand in node ids and file names."""
_OF_THE_CLIENT = re.compile(
    r"host|connection|te|trailer|transfer-encoding|upgrade|expect|accept|accept-encoding|content-.*|x-amz.*"
    r"|amz-sdk-.*|x-stainless-.*|idempotency-key"
)
"""What the client says of its own body, connection or retries: with another value it would not be understood."""
_SHOWN = 24  # characters of a value that does not fit a name


@dataclass(frozen=True)
class Variant:
    """One combination of fields."""

    fields: tuple[tuple[str, Any], ...]
    """Dotted names and the JSON values they get. `None` removes the field. Headers are below `headers.`."""
    when: tuple[tuple[str, str], ...] = ()
    """Dotted names and the patterns that their values in a request must match for it to be changed."""

    @property
    def name(self) -> str:
        """The name in node ids and reports: `"~model=claude-haiku-4-5,temperature=0.2"`."""
        return "~" + ",".join(f"{field}={_name_of(value)}" for field, value in self.fields)

    def applied(self, request: Request) -> Request:
        """Return the request with the variant's fields and headers; the same object if nothing changes.

        Raises:
            VariantError: it has no JSON object for a body, is signed, or has no place for a field.
        """
        body = request.json
        if not isinstance(body, dict):
            raise VariantError("its body is not a JSON object")
        if not fits(request, self.when):
            return request
        headers = request.headers
        for field, value in self.fields:
            if field.startswith(f"{HEADERS}."):
                headers = _with_header(headers, field.partition(".")[2], value)
            else:
                body = _replaced(body, place_of_field(request, field).split("."), value, field)
        # Surrogates: a program may send half of a pair, which is no valid UTF-8, and is passed on as it is.
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
        if content == request.content and headers == request.headers:
            return request  # so a signed request that needs no change is not refused
        if is_signed_by_aws(request):
            raise VariantError("it is signed (AWS Signature Version 4), and its signature fits no other request")
        if "model" not in request.json and requested_model(request) is not None and "model" in dict(self.fields):
            raise VariantError("its model stands in its path, not in its body")
        return replace(request, headers=headers, content=content)


# ── markers ──


def parse(args: Sequence[Any], kwargs: Mapping[str, Any], origin: str) -> tuple[Variant, ...]:
    """Return the variants that `latency_variants(*args, **kwargs)` declares; `origin` is where it stands.

    Raises:
        VariantError: they are not understood. The message says where, why, and what is accepted.
    """
    try:
        when = _conditions(kwargs.get("when"))
        lists = {name: values for name, values in kwargs.items() if name != "when"}
        variants = [_variant(fields, when) for fields in _combinations(args, lists)]
    except VariantError as error:
        raise VariantError(f"{error}; accepted: {ACCEPTED}", origin) from None
    # Two combinations may come to the same. They would be two items of one name.
    return tuple({variant.name: variant for variant in variants}.values())


def _combinations(args: Sequence[Any], lists: Mapping[str, Any]) -> list[dict[Any, Any]]:
    """Return the fields of each variant: the combinations that are listed, or all of the values that are listed."""
    if len(args) > 1:
        raise VariantError(f"it takes one positional argument, not {len(args)}")
    given = args[0] if args else {}
    if isinstance(given, list | tuple):
        if lists:
            raise VariantError("a list of combinations takes no further fields next to it")
        # An empty one would be the test as it is written, which runs anyway.
        for combination in given:
            if not isinstance(combination, Mapping) or not combination:
                raise VariantError(f"{combination!r} is not a mapping of fields to values")
        combinations = [_flat(combination) for combination in given]
    elif isinstance(given, Mapping):
        if twice := given.keys() & lists.keys():
            raise VariantError(f"{min(map(str, twice))} is given twice")
        fields = _flat({**given, **lists})
        for field, values in fields.items():
            if not isinstance(values, list | tuple) or not values:
                raise VariantError(f"{field}={values!r} is not a list of values")
        combinations = (
            [dict(zip(fields, values, strict=True)) for values in product(*fields.values())] if fields else []
        )
    else:
        raise VariantError(f"{given!r} is neither a mapping nor a list of mappings")
    if not combinations:
        raise VariantError("it declares no variant")
    return combinations


def _flat(fields: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return fields with each header among them under a name of its own, in lower case: `headers.anthropic-beta`."""
    flat: dict[Any, Any] = {}
    for field, value in fields.items():
        if field != HEADERS:
            flat[field] = value
            continue
        if not isinstance(value, Mapping) or not value:
            raise VariantError(f"headers={value!r} is not a mapping of names to values")
        for name, values in value.items():
            header = f"{HEADERS}.{name}".lower()
            if header in flat:
                raise VariantError(f"the header {str(name).lower()} is given twice")
            flat[header] = values
    return flat


def _conditions(when: object) -> tuple[tuple[str, str], ...]:
    if when is None:
        return ()
    if not isinstance(when, Mapping) or not when:
        raise VariantError(f"when={when!r} is not a mapping of fields to patterns")
    for field, pattern in when.items():
        if not _is_field(field) or not isinstance(pattern, str):
            raise VariantError(f"when={{{field!r}: {pattern!r}}} is not a field and the pattern of its value")
    return tuple(when.items())


def _variant(fields: Mapping[Any, Any], when: tuple[tuple[str, str], ...]) -> Variant:
    for field, value in fields.items():
        if isinstance(field, str) and field.startswith(f"{HEADERS}."):
            name = field.partition(".")[2]
            if _HEADER.fullmatch(name) is None:
                raise VariantError(f"{name!r} is not the name of a header")
            if _CREDENTIALS.fullmatch(name):
                raise VariantError(f"the header {name} cannot vary, since a credential would stand in the test's name")
            if _OF_THE_CLIENT.fullmatch(name):
                raise VariantError(f"the header {name} cannot vary, since the client sets it for what it sends")
            # Other characters would end the header, or be another text for each client library.
            if value is not None and not (isinstance(value, str) and _HEADER_VALUE.fullmatch(value)):
                raise VariantError(f"the header {name}: {value!r} is not a text of visible ASCII characters, nor None")
            continue
        if not _is_field(field):
            raise VariantError(f"{field!r} is not the name of a field")
        if field == "stream":  # checked before the value: no value would do
            raise VariantError("stream cannot vary, since the application would not understand the answer")
        if not _is_json(value):
            raise VariantError(f"{field}: {value!r} is not a JSON value")
        if inner := next((name for name in fields if str(name).startswith(f"{field}.")), None):
            raise VariantError(f"{inner} lies inside {field}, which is replaced as a whole")
    return Variant(tuple(fields.items()), when)


def _is_field(name: object) -> bool:
    return isinstance(name, str) and _FIELD.fullmatch(name) is not None


def _is_json(value: object) -> bool:
    if isinstance(value, Mapping):
        return isinstance(value, dict) and all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    # no tuple: in a recording it would come back as a list, and be another variant
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor NaN
    return value is None or isinstance(value, str | int)


# ── names ──


def _name_of(value: Any) -> str:
    """Return a value as it stands in a name. No two values have the same one, also of two types."""
    if value is None:
        return "none"
    text = _json(value)
    if isinstance(value, str) and value != "none":
        try:
            json.loads(value)  # the text "1" must not read like the number 1: it keeps its quotes
        except (ValueError, RecursionError):
            text = value
    if _FITS_A_NAME.fullmatch(text):
        return text
    # The hash is of the JSON, so that a text and a number of one look have two names.
    shown = _UNFIT.sub("_", text)[:_SHOWN].strip("_")
    return f"{shown}-{sha256(_json(value).encode(errors='surrogatepass')).hexdigest()[:8]}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


# ── headers and bodies ──


def _with_header(headers: Headers, name: str, value: str | None) -> Headers:
    """Return headers in which only this value has this name; `headers` itself if that is so already."""
    kept = tuple(pair for pair in headers if pair[0].lower() != name)
    same = [pair[1] for pair in headers if pair[0].lower() == name]
    if same == ([] if value is None else [value]):
        return headers
    return kept if value is None else (*kept, (name, value))


def _replaced(node: Any, steps: Sequence[str], value: Any, field: str) -> Any:
    """Return a copy of `node` with another value at the end of `steps`. It shares with `node` all that stays."""
    step, *rest = steps
    if isinstance(node, dict):
        if rest and (inside := node.get(step)) is None and value is None:
            return node  # there is nothing to remove
        if rest:
            return node | {step: _replaced({} if inside is None else inside, rest, value, field)}
        return {key: item for key, item in node.items() if key != step} if value is None else node | {step: value}
    if isinstance(node, list) and step.isdecimal() and int(step) < len(node):
        place = int(step)
        if not rest:
            return [*node[:place], *([] if value is None else [value]), *node[place + 1 :]]
        return [*node[:place], _replaced(node[place], rest, value, field), *node[place + 1 :]]
    raise VariantError(f"it has no place for {field}")
