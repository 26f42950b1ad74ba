"""What the page holds of a report: the same data in a short form, which the page's script and `drawing` both read.

Times are whole microseconds. Texts are numbers of places in one list, since most of them repeat. Segments follow each
other without gaps, so each is its part and its end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.breakdown import Part, told_by_metrics
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.metrics.metric import METRICS, show
from pytest_claude_latency.printable import printable, printable_lines
from pytest_claude_latency.report.faces.limits import budgets_of, limits_of, name_of

Payload: TypeAlias = dict[str, Any]

PARTS: Final = tuple(str(part) for part in Part)
_WORDS: Final = {"back_off": "back-off", "whole": "not streamed", "other": "other requests"}
NAMES: Final = tuple(_WORDS.get(part, part) for part in PARTS)
"""What drawings call the parts, in the same order."""
_PIECE: Final = re.compile(r".+?(?:::|/|\[|\]| on |(?=\.\d+\.jsonl)|$)", re.DOTALL)
TIMES: Final = ("ttfb", "ttft", "ttfa", "total")
"""The moments of a call, in the order in which the payload has them."""


class Texts:
    """All texts of a page, each once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str | None) -> int:
        """Return the place of a text in the list; that of the empty text for `None`."""
        return self._places.setdefault(printable_lines(text or ""), len(self._places))

    def all(self) -> list[str]:
        """Return the list."""
        return list(self._places)


def in_pieces(texts: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """Return the pieces of texts, each once, and each text as the places of its pieces.

    Ids of tests, names of recordings and origins of limits repeat each other: a page of many tests weighs a sixth less.
    """
    pieces: dict[str, int] = {}
    split = [[pieces.setdefault(piece, len(pieces)) for piece in _PIECE.findall(text)] for text in texts]
    return list(pieces), split


def payload_of(report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Payload:
    """Return the short form of a report, its tests in the order of `rows`."""
    texts = Texts()
    texts.place("")  # 0 stands for no text
    samples: dict[str, list[Mapping[str, Any]]] = {}
    for test in report["tests"]:
        samples.setdefault(test["nodeid"], []).append(test)
    percentiles: dict[str, list[Mapping[str, Any]]] = {}
    for verdict in report["verdicts"]:
        if verdict.get("kind") == "percentile":
            percentiles.setdefault(verdict["nodeid"], []).append(verdict)
    tests = [
        {
            "id": texts.place(row["nodeid"]),
            "v": texts.place(row["verdict"]),
            "m": [texts.place(model) for model in row["models"]],
            "k": [row[name]["measured"] for name in ("ttft", "total", "elapsed")],
            "d": row["share"] if row["share"] is not None else 0,
            "c": [row["calls"], row["output_tokens"]],
            "n": [sample["sample"] for sample in samples[row["nodeid"]]].index(row["shown"]),
            "s": [_sample(sample, texts, percentiles.get(row["nodeid"], ())) for sample in samples[row["nodeid"]]],
        }
        for row in rows
    ]
    return {"p": list(NAMES), "t": texts.all(), "r": tests}


def _sample(test: Mapping[str, Any], texts: Texts, percentiles: Sequence[Mapping[str, Any]]) -> Payload:
    calls = [_call(call, texts) for call in test["calls"]]
    setup = [_call(call, texts) for call in test["setup_calls"]]
    sessions = [_call(call, texts) for call in test.get("session_calls", ())]
    blocks = [
        [microseconds(block["start"]), microseconds(block["end"]), texts.place(block["place"])]
        for block in test.get("blocks", ())
    ]
    origin = microseconds(test.get("origin", min((call["sent"] for call in test["calls"]), default=0.0)))
    path = _segments(test.get("path_segments", ()))
    watched: list[list[Any]] = [
        [microseconds(output.get("start", 0.0)), *(_maybe(output[name]) for name in ("ttft", "total"))]
        for output in test.get("watched", ())
    ]
    ends = [call[2] + (call[6] or 0) for call in (*setup, *calls, *sessions)]
    ends += [start + (end or first or 0) for start, first, end in watched]
    ends += [end for _, end, _ in blocks]
    values: Payload = {
        "n": test["sample"],
        "o": origin,
        "e": max([*ends, origin + (path[-1] if path else 0)], default=0),
        "p": path,
        "c": calls,
        "b": [_budget(budget, texts) for budget in budgets_of(test, percentiles)],
    }
    if len(calls) > 1 and "path" in test:
        values["q"] = [
            number
            for step in test["path"]
            if step["call"] is not None
            for number in (step["call"], microseconds(step["start"]), microseconds(step["end"]))
        ]
    optional = {
        "l": limits_of(test, texts.place, percentiles),
        "u": setup,
        "w": watched,
        "k": blocks,
        "z": sessions,
        "g": [[texts.place(line) for line in Finding.from_json(finding).lines()] for finding in test["findings"]],
        "f": texts.place(test.get("failure")),
        "r": texts.place(test.get("traceback")),
        "x": texts.place("" if test["outcome"] == "passed" else test["outcome"]),
        "y": texts.place(test.get("recording")),
    }
    return values | {name: value for name, value in optional.items() if value}


def _call(call: Mapping[str, Any], texts: Texts) -> list[Any]:
    """Return model, place, sent, ttfb, ttft, ttfa, total, prompt and output tokens, how it ended, and its segments."""
    times = [_maybe(call[name]) for name in TIMES]
    ended = [
        "given up" if call.get("given_up") else "",
        "not streamed" if not call["streamed"] else "",
        f"{call['attempts']} attempts" if call["attempts"] > 1 else "",
        call["error"] or (f"closed by the {call['closed']}" if call["closed"] else call["stop_reason"]) or "",
    ]
    return [
        texts.place(printable(call["model"] or "model unknown")),
        texts.place(printable(call["location"] or "")),
        microseconds(call["sent"]),
        *times,
        call["prompt_tokens"],
        call["output_tokens"],
        texts.place(", ".join(filter(None, ended))),
        _segments(call["segments"]) if "segments" in call else _segments(told_by_metrics(call)),
    ]


def _segments(segments: Sequence[Sequence[Any]]) -> list[int]:
    return [number for part, _, end in segments for number in (PARTS.index(part), microseconds(end))]


def _budget(budget: Mapping[str, Any], texts: Texts) -> list[int]:
    """Return its name, limit, measurement, verdict and origin, as texts."""
    metric, scale = METRICS[budget["metric"]], 1.0
    if metric.kind == "duration":
        scale = float(duration.SECOND)
    shown = [
        "" if budget[name] is None else show(metric, round(budget[name] * scale) if scale > 1 else budget[name])
        for name in ("limit", "measured")
    ]
    return [
        texts.place(name_of(budget)),
        texts.place(f"{metric.direction} {shown[0]}"),
        texts.place(shown[1] or budget["reason"]),
        texts.place(budget["verdict"]),
        texts.place(budget["origin"]),
    ]


def _maybe(seconds: float | None) -> int | None:
    return None if seconds is None else microseconds(seconds)


def microseconds(seconds: float) -> int:
    """Return a time of the report in whole microseconds."""
    return round(seconds * 1e6)  # a text, which a damaged report may have here, times a whole number fills the memory
