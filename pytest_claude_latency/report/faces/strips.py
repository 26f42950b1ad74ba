"""Strips: what lies where on one axis of time. Samples of a test, its simulated worlds, its variants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable
from pytest_claude_latency.report.faces.drawing import END, percent, span, tick, ticks_of
from pytest_claude_latency.report.faces.payload import microseconds

_NAME: Final = 8
"""So many percent of the axis a name needs, on a narrow page too."""
_ALMOST_AT_THE_END: Final = 88
"""From here on, in percent of the axis, a text ends where it would begin."""


def samples(row: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]]) -> str:
    """Return a strip for each duration: its samples as dots, percentiles with intervals, limits, and the baseline."""
    by_metric = {found["metric"]: found for found in comparisons}
    return "".join(_samples_of_one(spread, by_metric.get(spread["metric"], {})) for spread in row["spreads"])


def _samples_of_one(spread: Mapping[str, Any], compared: Mapping[str, Any]) -> str:
    before = _came(compared, "before")
    every = [*spread["readings"], *before, *(limit["limit"] for limit in spread["limits"])]
    axis = _Axis(max(every))
    shapes = _dots(axis, spread["readings"], 26, "d")
    texts = [f"{spread['metric']}: {number_of(len(spread['readings']), 'sample')}"]
    y = 46
    for found in spread["percentiles"]:
        name, value, low, high = (found[key] for key in ("statistic", "value", "low", "high"))
        bounds = f"{'0ms' if low is None else _show(low)} to {'no bound' if high is None else _show(high)}"
        texts.append(f"{name} {_show(value)} (95 %: {bounds})")
        start, end, x = axis.place(low or 0.0), "100" if high is None else axis.place(high), axis.place(value)
        shapes += [
            f'<line class="was" x1="{start}%" x2="{end}%" y1="{y}" y2="{y}"/>',
            f'<line class="w" x1="{x}%" x2="{x}%" y1="{y - 5}" y2="{y + 5}"/>',
            _named(x, y - 2, name),
        ]
        y += 14
    for limit in spread["limits"]:
        x, name = axis.place(limit["limit"]), limit["statistic"] or "every sample"
        texts.append(f"{name} at most {_show(limit['limit'])}")
        shapes.append(f'<line class="m" x1="{x}%" x2="{x}%" y1="16" y2="36"><title>{texts[-1]}</title></line>')
    if before:
        texts.append(
            f"baseline {_show(compared['before'])}" if compared["before"] is not None else "baseline never came"
        )
        shapes += [*_dots(axis, before, y, "n"), f'<text class="t" x="0" y="{y + 4}">baseline</text>']
        y += 14
    if spread["never"]:
        texts.append(f"{spread['never']} never came")
    return axis.svg(", ".join(texts), y - 6, shapes)


def baseline(comparisons: Sequence[Mapping[str, Any]]) -> str:
    """Return for each duration of a test what the baseline measured above what is measured now."""
    drawn = [
        (found["metric"], _came(found, "before"), _came(found, "after"))
        for found in comparisons
        if METRICS[found["metric"]].kind == "duration"
    ]
    every = [at for _, before, after in drawn for at in (*before, *after)]
    if not every:
        return ""
    axis, shapes, y = _Axis(max(every)), [], 26
    for metric, before, after in drawn:
        shapes.append(f'<text x="0" y="{y + 9}">{metric}</text>')
        shapes += [*_dots(axis, before, y, "n"), *_dots(axis, after, y + 12, "d")]
        y += 32
    return axis.svg("the baseline as empty dots, this run below it as full ones", y - 10, shapes)


def _came(found: Mapping[str, Any], side: str) -> list[float]:
    """Return the readings of one side of a comparison, without those that never came."""
    return [at for at in found.get(f"readings_{side}", [found.get(side)]) if at is not None]


def _dots(axis: _Axis, readings: Iterable[float], y: int, kind: str) -> list[str]:
    return [f'<circle class="{kind}" cx="{axis.place(at)}%" cy="{y}" r="4"/>' for at in readings]


def simulation(found: Mapping[str, Any]) -> str:
    """Return the percentiles of each duration in the simulated worlds of a test."""
    metrics = {name: shares for name, shares in found["metrics"].items() if shares}
    if not metrics:
        return "<p>nothing measured</p>"
    axis = _Axis(max(at for shares in metrics.values() for at in shares.values()))
    shapes, texts = [], []
    for place, (name, shares) in enumerate(metrics.items()):
        y = 30 + 26 * place
        first, last = axis.place(min(shares.values())), axis.place(max(shares.values()))
        shapes.append(f'<line class="was" x1="{first}%" x2="{last}%" y1="{y}" y2="{y}"/>')
        shapes.append(f'<text x="0" y="{y + 4}">{name}</text>')
        named = -100.0
        for statistic, at in shares.items():
            x = axis.place(at)
            shapes.append(f'<line class="w" x1="{x}%" x2="{x}%" y1="{y - 6}" y2="{y + 6}"/>')
            # a name without room would cover another; the line above has them all
            if float(x) - named >= (_NAME if float(x) <= _ALMOST_AT_THE_END else 2 * _NAME):
                shapes.append(_named(x, y - 4, statistic))
                named = float(x)
        texts.append(" ".join([name, *(f"{statistic} {_show(at)}" for statistic, at in shares.items())]))
    return axis.svg(f"{number_of(found['worlds'], 'world')}: {'; '.join(texts)}", 18 + 26 * len(metrics), shapes)


def _named(x: str, y: int, name: str) -> str:
    """Return the name of a mark, on the side of it where there is room."""
    side = f'{END} dx="-4"' if float(x) > _ALMOST_AT_THE_END else ' dx="4"'
    return f'<text class="t" x="{x}%" y="{y}"{side}>{name}</text>'


def variants(ranking: Mapping[str, Any]) -> str:
    """Return what variants took, from left to right, against the share of samples that passed, from bottom to top."""
    tried = [one for one in ranking["tried"] if one["elapsed"] is not None and one["samples"] and not one["refused"]]
    if not tried:
        return ""
    axis = _Axis(max(one["elapsed"] for one in tried))
    shapes = []
    for place, one in enumerate(tried):
        x, y = axis.place(one["elapsed"]), 106 - round(78 * one["passed"] / one["samples"])
        name = escape(printable(one["variant"] or "as written"))
        side = ' text-anchor="end" dx="-8"' if float(x) > 50 else ' dx="8"'
        shapes.append(f'<circle class="d" cx="{x}%" cy="{y}" r="5"><title>{name}</title></circle>')
        # names of variants that lie close together would cover each other on one line
        shapes.append(f'<text class="t" x="{x}%" y="{y + 4 + 12 * (place % 2)}"{side}>{name}</text>')
    return axis.svg("elapsed from left to right, share of samples that passed from bottom to top", 120, shapes)


class _Axis:
    """An axis of time from 0 to a little more than the last instant, in seconds, that is drawn on it."""

    def __init__(self, last: float) -> None:
        self._end = max(microseconds(last), 1) * 21 // 20 + 1

    def place(self, seconds: float) -> str:
        """Return where an instant is, in percent."""
        return percent(microseconds(seconds), self._end)

    def svg(self, text: str, height: int, shapes: Sequence[str]) -> str:
        """Return the drawing below a text that says the same."""
        ticks = "".join(
            f'<line class="g" x1="{x}%" x2="{x}%" y1="14" y2="{height}"/>'
            f'<text class="t" x="{x}%" y="11"{END if float(x) > _ALMOST_AT_THE_END else ""}>{tick(at)}</text>'
            for at in ticks_of(self._end)
            for x in [percent(at, self._end)]
        )
        label = escape(text)
        drawing = f'<svg role="img" aria-label="{label}" height="{height}">{ticks}{"".join(shapes)}</svg>'
        return f'<p class="quiet">{label}</p>{drawing}'


def _show(seconds: float) -> str:
    return span(microseconds(seconds))
