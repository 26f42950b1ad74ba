"""What calls cost, and what is told where something has no price."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.messages_api.exchange import Chunk
from pytest_claude_latency.metrics.metric import dollars
from pytest_claude_latency.metrics.prices import SHIPPED, NoPriceError, Prices
from tests.support.written_calls import asked, refused, streamed, usage, whole

ROW = {"input": 1, "output": 5, "cache_read": 0.1, "cache_write_5m": 1.25, "cache_write_1h": 2}


def prices(**models: dict[str, float]) -> Prices:
    return Prices("2026-12-01", models)


def test_every_kind_of_token_has_its_price() -> None:
    used = usage(1_000_000, 100_000, read=2_000_000, written=400_000)
    used["cache_creation"] = {"ephemeral_1h_input_tokens": 100_000}

    table = Prices("2026-12-01", {"claude-haiku-*": ROW})

    assert table.cost([streamed(used=used)]) == pytest.approx(1 + 0.5 + 0.2 + 0.3 * 1.25 + 0.1 * 2)


def test_an_attempt_that_broke_off_is_billed_and_a_refused_one_is_not() -> None:
    broken_off = streamed(error="RemoteProtocolError", used=usage(1000, 500))
    table = Prices("d", {"claude-haiku-4-5": {"input": 1000, "output": 0}})

    assert table.cost([refused(), broken_off, whole(used=usage(1000, 500))]) == pytest.approx(2)


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("claude-haiku-4-5", 1),
        ("claude-haiku-4-5-20251001", 1),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", 1),
        ("claude-opus-4-8", 5),
        ("claude-opus-4-1", 15),
        ("claude-opus-5-5", 4),
        ("claude-sonnet-4-6", 3),
        ("claude-haiku-5-5", 0.5),  # a prompt so long has another price
    ],
)
def test_the_shipped_table_tells_models_apart(model: str, dollars: float) -> None:
    answered = whole(asked(model=model), used=usage(1_000_000, 0))

    assert SHIPPED.cost([answered]) == pytest.approx(dollars)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"model": "claude-next-1"},
            'claude-next-1 has no price for input, output: add {"claude-',
        ),
        ({"usage": {"server_tool_use": {"code_execution_requests": 2}}}, "has no price for code_execution_requests"),
        ({"usage": {"speed": "fast"}}, "claude-haiku-4-5:fast has no price"),
    ],
)
def test_what_has_no_price_is_named(change: dict[str, Any], said: str) -> None:
    made = whole()
    message = json.loads(made.chunks[0].data)
    message |= change | {"usage": message["usage"] | change.get("usage", {})}

    with pytest.raises(NoPriceError) as raised:
        SHIPPED.cost([replace(made, chunks=(Chunk(made.chunks[0].at, json.dumps(message).encode()),))])

    assert said in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"models": {}}', '{"dated": "d", "models": {"a": {"input": -1}}}', "{" * 9]
)
def test_a_table_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(LimitError, match=r"not a table of prices.*; accepted"):
        Prices.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n "dated": "d",\n "models": {\n  "a": {"input": 1,\n   "output": "x"}}}', 'line 5: .*, see "output"'),
        ('{"dated": "d",\n "models":\n {"a.b*": {"input": 1}, "c": []}}', 'line 3: .*, see "c"'),
        ('{"dated": "d",\n "models": {"a": {"input": 1},\n "a": {}\n}}', 'line 4: .*"a" appears twice'),
        ('{"dated": "d",\n "models": {"a":\n {"input": NaN}}\n}', "line 3: .*NaN is not a JSON number"),
        ('{"dated": "d",\n "models": {"a":\n {"input" 1}}\n}', "line 3: .*it is not JSON"),
        ('{"dated": "d",\n "models": []}', 'line 2: .*, see "models"'),
        ('\n{"models": {}}', "line 2: "),
    ],
)
def test_what_is_wrong_with_a_table_is_named_by_its_line(text: str, said: str) -> None:
    with pytest.raises(LimitError, match=f"^{said}"):
        Prices.parse(text)


def test_a_table_is_read() -> None:
    assert Prices.parse(json.dumps({"dated": "d", "models": {"claude-*": ROW}})) == Prices("d", {"claude-*": ROW})


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (1.5, "$1.5000"),
        (0.02, "$0.0200"),
        (0.001, "$0.0010"),
        (0.000052, "$0.000052"),
        (4e-6, "$0.0000040"),
        (0, "$0.0000"),
    ],
)
def test_a_small_amount_is_shown_with_digits_that_count(amount: float, text: str) -> None:
    assert dollars(amount) == text
