"""Prices: what calls cost in US dollars.

Only what a price is known for is added up. A model, a kind of token or a server tool without a price makes the cost
unknown, since a budget that leaves something out would be kept by mistake.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.endpoints import requested_model
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.strict_json import JSONFaultError, key_list, line_of, line_of_fault, parse

_MILLION: Final = 1_000_000
_LONG_PROMPT: Final = 100_000  # tokens; a model may cost more beyond
ADD: Final = ": add "
"""What stands between a price that is missing and the line to add, so that a message can show them apart."""
KINDS: Final = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
"""The kinds of tokens that have a price."""
_FORM: Final = (
    'accepted: {"dated": "2026-12-01", "models": {"claude-haiku-4-5*": {"input": 1, "output": 5, "cache_read": 0.1, '
    '"cache_write_5m": 1.25, "cache_write_1h": 2}}}, in dollars per million tokens'
)


class NoPriceError(LimitError):
    """Something that was used has no price."""


@dataclass(frozen=True)
class Prices:
    """Dollars per million tokens, by patterns of model names. The first pattern that fits a model counts."""

    dated: str
    models: Mapping[str, Mapping[str, float]]

    @classmethod
    def parse(cls, text: str) -> Prices:
        """Return the prices in a JSON file.

        Raises:
            LimitError: it is not understood: in which line, and what is.
        """
        place: tuple[str, ...] = ()
        models: dict[str, dict[str, float]] = {}
        try:
            value = parse(text)
            dated = str(value["dated"])
            place = ("models",)
            for pattern, row in value["models"].items():
                place = ("models", pattern)
                models[pattern] = {}
                for kind, price in row.items():
                    place = ("models", pattern, kind)
                    models[pattern][kind] = _price(price)
        except JSONFaultError as fault:
            line = line_of_fault(text, fault)
            raise LimitError(f"line {line}: it is not a table of prices: {fault}; {_FORM}") from None
        except (KeyError, TypeError, AttributeError, OverflowError):
            where = f", see {key_list(place[-1:])}" if place else ""
            raise LimitError(f"line {line_of(text, place)}: it is not a table of prices{where}; {_FORM}") from None
        return cls(dated, models)

    def cost(self, attempts: Iterable[Exchange]) -> float:
        """Return what these exchanges cost together: every answer that reports usage is billed, retried or not.

        Raises:
            NoPriceError: something has no price. The message names the line to add.
        """
        return sum(self._cost_of(attempt) for attempt in attempts)

    def _cost_of(self, attempt: Exchange) -> float:
        answer = read(attempt)
        model = answer.model or requested_model(attempt.request) or "model unknown"
        counts = {kind: count for kind, count in answer.billed.items() if count}
        if not counts:
            return 0.0
        # Fast answers have prices of their own, which a row of that name may give. So may long prompts.
        name = f"{model}:fast" if answer.speed == "fast" else model
        row = self._row_for(name)
        if sum(count for kind, count in counts.items() if kind in KINDS and kind != "output") > _LONG_PROMPT:
            row = self._row_for(f"{name}:long") or row
        missing = [kind for kind in counts if kind not in row]
        if missing:
            line = json.dumps({name: dict.fromkeys(missing, "...")})
            where = f"to the file of latency_prices (the prices in use are of {self.dated})"
            raise NoPriceError(f"{name} has no price for {', '.join(missing)}{ADD}{line} {where}")
        # A server tool has a price for each use, in dollars.
        return sum(count * row[kind] / (_MILLION if kind in KINDS else 1) for kind, count in counts.items())

    def _row_for(self, name: str) -> Mapping[str, float]:
        return next((row for pattern, row in self.models.items() if fnmatchcase(name, pattern)), {})


def _price(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise TypeError(value)
    return float(value)


def _row(read_share: float, given: float, taken: float) -> dict[str, float]:
    return {
        "input": given,
        "output": taken,
        "cache_read": round(given * read_share, 6),
        "cache_write_5m": given * 1.25,
        "cache_write_1h": given * 2,
        "web_search_requests": 0.01,
        "web_fetch_requests": 0,
    }


def _rows(names: Sequence[str], row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    # Bedrock and Vertex put something before and behind the name: `us.anthropic.claude-opus-4-8-v1:0`.
    return {f"{before}{name}{behind}": row for name in names for before in ("", "*.") for behind in _BEHIND}


_BEHIND: Final = ("", "-20[0-9][0-9]*", "@20*", "-v[0-9]*", "-latest")
SHIPPED: Final = Prices(
    "2026-11-01",
    {
        **_rows(["claude-fable-5-1"], _row(0.025, 10, 50)),
        **_rows(["claude-fable-5"], _row(0.1, 10, 50)),
        **_rows(["claude-opus-5-5"], _row(0.05, 4, 20)),
        **_rows([f"claude-opus-{line}" for line in ("5", "4-8", "4-7", "4-6", "4-5")], _row(0.1, 5, 25)),
        **_rows(["claude-opus-4-1", "claude-opus-4", "claude-opus-4-0"], _row(0.1, 15, 75)),
        **_rows(["claude-sonnet-5-5"], _row(0.05, 2, 10)),
        **_rows(["claude-sonnet-5"], _row(0.1, 2, 10)),
        **_rows([f"claude-sonnet-{line}" for line in ("4-6", "4-5", "4", "4-0")], _row(0.1, 3, 15)),
        **_rows(["claude-haiku-5-5"], _row(0.1, 0.1, 0.5)),
        "*claude-haiku-5-5*:long": _row(0.1, 0.5, 2.5),
        **_rows(["claude-haiku-4-5"], _row(0.1, 1, 5)),
        **_rows(["claude-3-5-haiku"], _row(0.1, 0.8, 4)),
    },
)
"""Prices of Anthropic's own API. Those of other clouds, and of models that are not here, belong into a file."""
