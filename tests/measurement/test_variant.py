"""Variants: what a marker declares, what they are called, and what becomes of a request."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_claude_latency.errors import LatencyError, VariantError
from pytest_claude_latency.measurement.variant import ACCEPTED, Variant, parse
from pytest_claude_latency.messages_api.exchange import Headers, Request, canonical

ORIGIN = "@latency_variants on test_it.py::test_it"
BODY = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "temperature": 1.0,
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "messages": [{"role": "user", "content": "größer als 1.0?"}],
}
MESSAGES = "https://api.anthropic.com/v1/messages"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-opus-4-6/invoke"
CONVERSE = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-opus-4-6/converse"
CHAT = "https://gateway.example.com/v1/chat/completions"


def request(body: Any = BODY, url: str = MESSAGES, headers: Headers = ()) -> Request:
    return Request("POST", url, headers, canonical(json.dumps(body).encode()))


def declared(*args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    return [dict(variant.fields) for variant in parse(args, kwargs, ORIGIN)]


def variant(when: dict[str, str] | None = None, /, **fields: Any) -> Variant:
    (only,) = parse([[{name.replace("__", "."): value for name, value in fields.items()}]], {"when": when}, ORIGIN)
    return only


def sent(tried: Variant, body: Any = BODY) -> Any:
    return tried.applied(request(body)).json


# ── markers ──


def test_keywords_make_all_combinations_in_their_order() -> None:
    assert declared(model=["a", "b"], temperature=[0.2, 1.0]) == [
        {"model": "a", "temperature": 0.2},
        {"model": "a", "temperature": 1.0},
        {"model": "b", "temperature": 0.2},
        {"model": "b", "temperature": 1.0},
    ]


def test_a_mapping_of_lists_takes_names_with_dots_beside_keywords() -> None:
    assert declared({"output_config.effort": ["low", "high"]}, model=["a"]) == [
        {"output_config.effort": "low", "model": "a"},
        {"output_config.effort": "high", "model": "a"},
    ]


def test_a_list_of_mappings_is_these_combinations_and_no_others() -> None:
    assert declared([{"model": "a"}, {"max_tokens": 150, "stop_sequences": ["."]}]) == [
        {"model": "a"},
        {"max_tokens": 150, "stop_sequences": ["."]},
    ]


def test_a_combination_given_twice_is_one() -> None:
    assert declared(model=["a", "b", "a"]) == [{"model": "a"}, {"model": "b"}]


@pytest.mark.parametrize(
    ("args", "kwargs", "why"),
    [
        ((), {}, "it declares no variant"),
        ((), {"when": {"model": "x"}}, "it declares no variant"),
        (([],), {}, "it declares no variant"),
        ((), {"model": "claude-haiku-4-5"}, "model='claude-haiku-4-5' is not a list of values"),
        ((), {"model": []}, "model=[] is not a list of values"),
        (({"model": "a"},), {}, "model='a' is not a list of values"),
        (("model",), {}, "'model' is neither a mapping nor a list of mappings"),
        (([{"a": 1}], 2), {}, "it takes one positional argument, not 2"),
        (([{"a": 1}],), {"model": ["a"]}, "a list of combinations takes no further fields next to it"),
        (([{}],), {}, "{} is not a mapping of fields to values"),
        ((["model"],), {}, "'model' is not a mapping of fields to values"),
        (({"model": ["a"]},), {"model": ["b"]}, "model is given twice"),
        (({"a..b": [1]},), {}, "'a..b' is not the name of a field"),
        (({1: [1]},), {}, "1 is not the name of a field"),
        ((), {"system": [{1: 2}]}, "system: {1: 2} is not a JSON value"),
        ((), {"temperature": [float("nan")]}, "temperature: nan is not a JSON value"),
        ((), {"stream": [True]}, "stream cannot vary"),
        (({"thinking": [None], "thinking.budget_tokens": [1]},), {}, "thinking.budget_tokens lies inside thinking"),
        ((), {"model": ["a"], "when": "claude-opus-*"}, "when='claude-opus-*' is not a mapping of fields to patterns"),
        ((), {"model": ["a"], "when": {"model": 3}}, "when={'model': 3} is not a field and the pattern of its value"),
    ],
)
def test_a_marker_that_is_not_understood_is_an_error_that_says_what_is_accepted(
    args: tuple[Any, ...], kwargs: dict[str, Any], why: str
) -> None:
    with pytest.raises(VariantError) as error:
        parse(args, kwargs, ORIGIN)

    assert isinstance(error.value, LatencyError)
    assert str(error.value).startswith(f"{ORIGIN}: {why}")
    assert str(error.value).endswith(f"; accepted: {ACCEPTED}")


def test_headers_vary_like_fields_each_with_a_list_of_values() -> None:
    assert declared(model=["a"], headers={"Anthropic-Beta": ["x-2026-01-01", None]}) == [
        {"model": "a", "headers.anthropic-beta": "x-2026-01-01"},
        {"model": "a", "headers.anthropic-beta": None},
    ]
    assert declared([{"model": "a", "headers": {"anthropic-beta": "x"}}]) == [
        {"model": "a", "headers.anthropic-beta": "x"}
    ]


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ("anthropic-beta", "headers='anthropic-beta' is not a mapping of names to values"),
        ({}, "headers={} is not a mapping of names to values"),
        ({"anthropic-beta": "x"}, "headers.anthropic-beta='x' is not a list of values"),
        ({"anthropic-beta": ["x"], "Anthropic-Beta": ["y"]}, "the header anthropic-beta is given twice"),
        ({"a b": ["x"]}, "'a b' is not the name of a header"),
        ({"anthropic-beta": [1]}, "the header anthropic-beta: 1 is not a text"),
        ({"anthropic-beta": ["a\r\nx-api-key: b"]}, "the header anthropic-beta: 'a\\r\\nx-api-key: b' is not a text"),
        ({"X-Api-Key": ["x"]}, "the header x-api-key cannot vary, since a credential would stand in the test's name"),
        ({"Content-Length": ["1"]}, "the header content-length cannot vary, since the client sets it"),
    ],
)
def test_a_header_that_cannot_vary_is_an_error_that_says_why(headers: Any, why: str) -> None:
    with pytest.raises(VariantError) as error:
        parse((), {"headers": headers}, ORIGIN)

    assert str(error.value).startswith(f"{ORIGIN}: {why}")


# ── names ──


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"model": "claude-haiku-4-5", "temperature": 0.2}, "~model=claude-haiku-4-5,temperature=0.2"),
        ({"thinking__budget_tokens": 1024, "system": None}, "~thinking.budget_tokens=1024,system=none"),
        ({"flag": True, "stop_sequences": []}, "~flag=true,stop_sequences=-4f53cda1"),
    ],
)
def test_a_variant_is_named_after_its_fields(fields: dict[str, Any], name: str) -> None:
    assert variant(**fields).name == name


def test_a_long_value_is_named_by_its_beginning_and_a_hash() -> None:
    name = variant(system="Answer in one sentence, without any preamble.").name

    assert name.startswith("~system=Answer_in_one_sentence_")
    assert name != variant(system="Answer in one sentence, without any pleasantry.").name


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(VALUES, VALUES)
def test_any_two_values_have_names_of_their_own_that_ids_and_files_can_hold(one: Any, other: Any) -> None:
    assume(json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True))

    names = [variant(system=value).name for value in (one, other)]

    assert names[0] != names[1]
    assert not any(set(name[1:]) & set("~[]:\\\n ") for name in names)


@pytest.mark.parametrize(
    ("one", "other"), [(None, "none"), (1, "1"), (1, 1.0), (True, 1), (True, "true"), ("null", None)]
)
def test_values_of_two_types_have_two_names(one: Any, other: Any) -> None:
    assert variant(system=one).name != variant(system=other).name


# ── bodies ──


def test_a_field_takes_the_place_of_the_application_s() -> None:
    assert sent(variant(model="claude-opus-4-6", temperature=0.2)) == BODY | {
        "model": "claude-opus-4-6",
        "temperature": 0.2,
    }


def test_a_field_the_application_does_not_send_is_added() -> None:
    assert sent(variant(output_config__effort="low")) == BODY | {"output_config": {"effort": "low"}}


def test_a_dotted_name_reaches_inside_and_leaves_what_stands_beside() -> None:
    assert sent(variant(thinking__budget_tokens=1024))["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert sent(variant(messages__0__content="?"))["messages"] == [{"role": "user", "content": "?"}]


def test_none_removes_a_field() -> None:
    without = {name: value for name, value in BODY.items() if name != "temperature"}

    assert sent(variant(temperature=None)) == without
    assert sent(variant(thinking__budget_tokens=None))["thinking"] == {"type": "enabled"}
    assert sent(variant(messages__0=None))["messages"] == []


def test_none_for_what_is_not_there_changes_nothing() -> None:
    asked = request()

    assert variant(system=None, output_config__effort=None).applied(asked) is asked


def test_fields_that_are_so_already_change_nothing() -> None:
    asked = request()

    assert variant(model="claude-haiku-4-5", max_tokens=100).applied(asked) is asked


@pytest.mark.parametrize(
    ("when", "changes"),
    [
        ({"model": "claude-haiku-*"}, True),
        ({"model": "claude-opus-*"}, False),
        ({"thinking.type": "enabled", "max_tokens": "100"}, True),
        ({"model": "claude-haiku-*", "max_tokens": "1"}, False),
        ({"messages.0.role": "user"}, True),
        ({"messages.7.role": "*"}, False),
        ({"system": "*"}, False),
    ],
)
def test_when_limits_a_variant_to_requests_whose_fields_match(when: dict[str, str], changes: bool) -> None:
    asked = request()

    assert (variant(when, temperature=0.5).applied(asked) is not asked) == changes


def test_when_knows_a_model_that_stands_in_the_path() -> None:
    asked = request({"max_tokens": 100}, BEDROCK)

    assert variant({"model": "*claude-opus-*"}, max_tokens=5).applied(asked).json == {"max_tokens": 5}


@pytest.mark.parametrize(
    ("asked", "tried", "why"),
    [
        (Request("POST", MESSAGES, (), b"model=x"), {"model": "a"}, "its body is not a JSON object"),
        (request([1]), {"model": "a"}, "its body is not a JSON object"),
        (request(headers=(("Authorization", "AWS4-HMAC-SHA256 Credential=x"),)), {"model": "a"}, "it is signed"),
        (request(url=f"{MESSAGES}?X-Amz-Signature=0"), {"model": "a"}, "it is signed"),
        (request({"max_tokens": 100}, BEDROCK), {"model": "a"}, "its model stands in its path"),
        (request(), {"model__name": "a"}, "it has no place for model.name"),
        (request(), {"messages__7__content": "a"}, "it has no place for messages.7.content"),
    ],
)
def test_a_request_that_cannot_be_made_into_the_variant_is_refused(
    asked: Request, tried: dict[str, Any], why: str
) -> None:
    with pytest.raises(VariantError, match=why):
        variant(**tried).applied(asked)


def test_a_signed_request_that_stays_as_it_is_is_not_refused() -> None:
    asked = request(headers=(("authorization", "AWS4-HMAC-SHA256 Credential=x"),))

    assert variant({"model": "claude-opus-*"}, temperature=0.5).applied(asked) is asked


NAMES = st.sampled_from(["model", "system", "thinking", "a", "0"])
BODIES = st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=3), max_size=5)


def leaves(node: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """What stands at the end of every path of objects."""
    if isinstance(node, dict) and node:
        return {place: leaf for key, value in node.items() for place, leaf in leaves(value, (*path, key)).items()}
    return {path: json.dumps(node, sort_keys=True)}


@given(BODIES, st.lists(NAMES, min_size=1, max_size=3), VALUES)
def test_rewriting_sets_the_field_and_leaves_everything_else_as_it_was(
    body: dict[str, Any], path: list[str], value: Any
) -> None:
    assume(reachable(body, path))
    asked, before = request(body, headers=(("x", "y"),)), copy.deepcopy(body)

    made = Variant(((".".join(path), value),)).applied(asked)

    after = made.json
    assert body == before
    assert (made.method, made.url, made.headers) == (asked.method, asked.url, asked.headers)
    assert _beside(after, path) == _beside(body, path)
    if value is None:
        assert not any(place[: len(path)] == tuple(path) for place in leaves(after))
    else:
        assert json.dumps(_at(after, path), sort_keys=True) == json.dumps(value, sort_keys=True)


def reachable(body: Any, path: list[str]) -> bool:
    """Whether a path meets nothing but objects, and places that are still empty."""
    node = body
    for step in path:
        if not isinstance(node, dict):
            return node is None
        node = node.get(step)
    return True


def _at(node: Any, path: list[str]) -> Any:
    for step in path:
        node = node[step]
    return node


def _beside(body: Any, path: list[str]) -> dict[tuple[str, ...], str]:
    """Every leaf that is not at or below the path, and not merely an empty or null place on the way to it."""
    way = [tuple(path[:length]) for length in range(len(path))]
    return {
        place: text for place, text in leaves(body).items() if place[: len(path)] != tuple(path) and place not in way
    }


@pytest.mark.parametrize(
    ("url", "body", "fields", "expected"),
    [
        (CONVERSE, {"messages": []}, {"temperature": 0.2}, {"messages": [], "inferenceConfig": {"temperature": 0.2}}),
        (CONVERSE, {"inferenceConfig": {"maxTokens": 9, "topP": 1}}, {"max_tokens": 5}, None),
        (CONVERSE, {}, {"inferenceConfig__maxTokens": 5}, {"inferenceConfig": {"maxTokens": 5}}),
        (CONVERSE, {}, {"top_k": 5}, {"additionalModelRequestFields": {"top_k": 5}}),
        (CONVERSE, {}, {"thinking__type": "off"}, {"additionalModelRequestFields": {"thinking": {"type": "off"}}}),
        (CHAT, {"model": "m", "max_tokens": 9}, {"max_tokens": 5}, {"model": "m", "max_tokens": 5}),
        (CHAT, {"max_completion_tokens": 9}, {"max_tokens": 5}, {"max_completion_tokens": 5}),
    ],
)
def test_a_field_is_put_where_the_form_of_the_request_has_it(
    url: str, body: dict[str, Any], fields: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    changed = variant(**fields).applied(request(body, url)).json

    assert changed == (expected or {"inferenceConfig": {"maxTokens": 5, "topP": 1}})


def test_when_finds_a_field_where_the_form_of_the_request_has_it() -> None:
    cold = request({"inferenceConfig": {"temperature": 0}}, CONVERSE)

    assert variant({"temperature": "0"}, max_tokens=5).applied(cold) is not cold
    assert variant({"temperature": "1"}, max_tokens=5).applied(cold) is cold


def test_a_model_in_the_path_of_converse_cannot_be_changed() -> None:
    with pytest.raises(VariantError, match="its model stands in its path"):
        variant(model="claude-haiku-4-5").applied(request({"messages": []}, CONVERSE))


# ── headers ──


def with_headers(**headers: str | None) -> Variant:
    (only,) = parse([[{"headers": {name.replace("_", "-"): value for name, value in headers.items()}}]], {}, ORIGIN)
    return only


def test_a_header_takes_the_place_of_those_of_its_name_however_they_are_spelt() -> None:
    sent_headers = (("Anthropic-Beta", "old"), ("x-app", "mine"), ("anthropic-beta", "older"))

    changed = with_headers(anthropic_beta="new").applied(request(headers=sent_headers))

    assert changed.headers == (("x-app", "mine"), ("anthropic-beta", "new"))
    assert changed.json == BODY


def test_a_header_that_is_there_already_or_not_there_to_remove_changes_nothing() -> None:
    asked = request(headers=(("anthropic-beta", "x"),))

    assert with_headers(anthropic_beta="x").applied(asked) is asked
    assert with_headers(x_app=None).applied(asked) is asked
    assert with_headers(anthropic_beta=None).applied(asked).headers == ()


def test_a_header_is_named_as_one() -> None:
    assert with_headers(anthropic_beta="fast-mode-2026-02-01").name == "~headers.anthropic-beta=fast-mode-2026-02-01"
