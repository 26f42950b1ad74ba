"""Drawings for readers whose scripts are off: a test's failure, findings, waterfall, budgets and calls.

`page/page.js` makes the same of the same payload, letter for letter, when any other test is opened. Whoever changes one
changes the other; a test compares them in a browser.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import chain, pairwise
from typing import Final

from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.report.faces.payload import NAMES, Payload

_BAR: Final = 12
_LANE: Final = 34
_LIMIT: Final = 12
_MOST_TICKS: Final = 6
_NARROW, _WIDE = 12, 22
"""How many percent of the axis a bar must have for its name, on a wide page and on any."""
END: Final = ' text-anchor="end"'
_TRACEBACK: Final = ": pytest's own output has its traceback.</p>"


def detail(sample: Payload, texts: Sequence[str]) -> str:
    """Return what is shown of one sample when its test is opened."""
    shown = []
    if sample.get("f"):
        shown.append(f"<pre>{escape(texts[sample['f']])}</pre>")
    elif texts[sample.get("x", 0)] in ("failed", "error"):
        traceback = f":</p><pre>{escape(texts[sample['r']])}</pre>" if sample.get("r") else _TRACEBACK
        shown.append(f"<p>The test failed by itself{traceback}")
    if sample["c"] or sample.get("u") or sample.get("z"):
        shown.append(_waterfall(sample, texts))
    if sample.get("g"):
        items = "".join(
            "<li>" + "".join(f"<p>{escape(texts[line])}</p>" for line in lines) + "</li>" for lines in sample["g"]
        )
        shown.append(f'<h3>Findings</h3><ul class="findings">{items}</ul>')
    if sample["b"]:
        rows = [[escape(texts[place]) for place in budget] for budget in sample["b"]]
        shown.append(_table(("budget", "limit", "measured", "verdict", "set by"), rows))
    if sample["c"]:
        rows = []
        for place, call in enumerate(sample["c"], 1):
            times = ["" if at is None else span(at) for at in call[2:7]]
            tokens = ["" if count is None else str(count) for count in call[7:9]]
            model, line, ended = (escape(texts[call[column]]) for column in (0, 1, 9))
            rows.append([str(place), model, line, *times, *tokens, ended])
        shown.append(_table(_HEADS, rows))
    if sample.get("y"):
        shown.append(f'<p class="quiet">recording <code>{escape(texts[sample["y"]])}</code></p>')
    return "".join(shown)


_HEADS: Final = ("call", "model", "made at", "sent", "TTFB", "TTFT", "TTFA", "total", "prompt", "output", "ended")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table class="small"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _waterfall(sample: Payload, texts: Sequence[str]) -> str:
    drawing = _Drawing(max(sample["e"], 1), texts)
    limits: dict[int, list[Sequence[int]]] = {}
    for bar, _, *limit in sample.get("l", ()):
        limits.setdefault(bar, []).append(limit)
    if sample["p"]:
        drawing.lane("whole test, by its critical path", sample["o"], sample["p"], limits.get(0, ()))
    for place, call in enumerate(sample.get("u", ()), 1):
        drawing.lane(f"set-up call {place} · {texts[call[0]]}", call[2], call[10])
    path = sample.get("q", ())
    for place, call in enumerate(sample["c"], 1):
        for start in range(0, len(path), 3):
            if path[start] == place:
                drawing.path(sample["o"] + path[start + 1], sample["o"] + path[start + 2])
        drawing.lane(f"call {place} · {texts[call[0]]}", call[2], call[10], limits.get(place, ()))
    for place, (since, first, last) in enumerate(sample.get("w", ()), 1):
        segments = [3, first or last or 0, *([5, last] if first is not None and last is not None else [])]
        drawing.lane(f"watched output {place}", since, segments, limits.get(-place, ()))
    below = len(sample.get("w", ()))
    for place, (start, until, line) in enumerate(sample.get("k", ()), 1):
        drawing.block(start, until)
        drawing.lane(f"block {place} · {texts[line]}", start, (), limits.get(-below - place, ()))
    below += len(sample.get("k", ()))
    for place, call in enumerate(sample.get("z", ()), 1):
        drawing.lane(f"session stream {place}", call[2], call[10], limits.get(-below - place, ()))
    drawing.overlap([(call[2], call[2] + (call[6] or 0)) for call in sample["c"]])
    label = f"{number_of(len(sample['c']), 'call')} in {span(drawing.end)}; the table below has the times"
    return drawing.svg(label)


class _Drawing:
    """Bars below each other on one axis of time. `end` is the end of the axis, `y` where the next bar begins."""

    def __init__(self, end: int, texts: Sequence[str]) -> None:
        self.end = end
        self._texts = texts
        self._y = 18
        self._shapes: list[str] = []

    def svg(self, label: str) -> str:
        """Return the drawing, with the ticks of its axis."""
        ticks = "".join(
            f'<line class="g" x1="{x}%" x2="{x}%" y1="14" y2="{self._y}"/>'
            f'<text class="t" x="{x}%" y="11"{anchor}>{tick(at)}</text>'
            for at in ticks_of(self.end)
            # a text on the right of the axis ends where it would begin
            for x, anchor in [(percent(at, self.end), END if at * 10 > self.end * 8 else "")]
        )
        return f'<svg role="img" aria-label="{label}" height="{self._y}">{ticks}{"".join(self._shapes)}</svg>'

    def path(self, start: int, until: int) -> None:
        """Mark a stretch of the critical path on the bar that comes next."""
        x, width = self._box(start, until)
        self._shapes.append(f'<rect class="cp" x="{x}%" width="{width}%" y="{self._y + 28}" height="2"/>')

    def block(self, start: int, until: int) -> None:
        """Outline a block of the test, where the bar is that comes next."""
        x, width = self._box(start, until)
        self._shapes.append(f'<rect class="b" x="{x}%" width="{width}%" y="{self._y + 15}" height="{_BAR}">')
        self._shapes.append(f"<title>block, {span(until - start)}</title></rect>")

    def lane(self, label: str, since: int, segments: Sequence[int], limits: Sequence[Sequence[int]] = ()) -> None:
        """Add a bar with its label above it, and its limits below; those without a place begin on the left."""
        y = self._y
        self._shapes.append(f'<text x="0" y="{y + 11}">{escape(label)}</text>')
        start = 0
        for part, until in zip(segments[::2], segments[1::2], strict=True):
            x, width = self._box(since + start, since + until)
            name = NAMES[part]
            # a name that would be cut is left out: of short bars everywhere, of longer ones on a narrow page
            kind = "i" if float(width) >= _WIDE else "i s"
            inner = f'<text class="{kind}" x="3" y="9.5">{name}</text>' if float(width) >= _NARROW else ""
            title = f"<title>{name}, {span(until - start)}</title>"
            self._shapes.append(
                f'<svg x="{x}%" y="{y + 15}" width="{width}%" height="{_BAR}" overflow="hidden">'
                f'<rect class="p{part}" width="100%" height="{_BAR}">{title}</rect>{inner}</svg>'
            )
            start = until
        self._y += _LANE
        # The limits are marked on the bar, with what is over them.
        for text, at, is_over, *spans in limits:
            for start, until in zip(spans[::2], spans[1::2], strict=True):
                x, width = self._box(start, until)
                self._shapes.append(f'<rect class="o" x="{x}%" width="{width}%" y="{y + 15}" height="{_BAR}"/>')
            # beyond the end of the axis an arrow says where it is
            x, arrow = percent(max(min(at, self.end), 0), self.end), " →" if at > self.end else ""
            kind, anchor = "ot" if is_over else "t", END if at * 2 > self.end else ""
            if at >= 0 and not arrow:
                self._shapes.append(f'<line class="m" x1="{x}%" x2="{x}%" y1="{y + 12}" y2="{self._y - 3}"/>')
            shown = escape(self._texts[text]) + arrow
            self._shapes.append(f'<text class="{kind}" x="{x}%" y="{self._y + 6}"{anchor}>{shown}</text>')
            self._y += _LIMIT

    def overlap(self, spans: Sequence[tuple[int, int]]) -> None:
        """Add how many calls were under way at once, where any overlapped."""
        counts = [
            (start, until, sum(sent <= start and over >= until for sent, over in spans))
            for start, until in pairwise(sorted(set(chain.from_iterable(spans))))
        ]
        most = max((count for _, _, count in counts), default=0)
        if most < 2:
            return
        self._shapes.append(f'<text x="0" y="{self._y + 11}">calls at once, most {most}</text>')
        for start, until, count in counts:
            if count:
                x, width = self._box(start, until)
                height = _BAR * count // most
                y = self._y + 15 + _BAR - height
                self._shapes.append(f'<rect class="n" x="{x}%" width="{width}%" y="{y}" height="{height}"/>')
        self._y += _LANE

    def _box(self, start: int, until: int) -> tuple[str, str]:
        """Return where a bar begins and how wide it is, in percent of the axis."""
        first, last = hundredths(start, self.end), hundredths(until, self.end)
        return f"{first / 100:g}", f"{(last - first) / 100:g}"


def percent(at: int, end: int) -> str:
    """Return where an instant is on the axis."""
    return f"{hundredths(at, end) / 100:g}"


def hundredths(at: int, end: int) -> int:
    """Return where an instant is, in hundredths of a percent; in whole numbers, as the script has no others."""
    return (at * 20000 + end) // (2 * end)


def ticks_of(end: int) -> Iterator[int]:
    """Yield the instants that are marked on an axis: at most six, at round times."""
    step, place = 1, 0
    while end > step * _MOST_TICKS:
        step = (2, 5, 10)[place % 3] * 10 ** (place // 3)
        place += 1
    yield from range(0, end + 1, step)


def tick(at: int) -> str:
    """Return the text of a tick."""
    return f"{at / 1_000_000:g}s" if at >= 1_000_000 else f"{at / 1000:g}ms"


def span(time: int) -> str:
    """Return a span of whole microseconds as messages show it."""
    if time >= 999_500:
        rounded = (time + 500) // 1000
        return f"{rounded // 1000}.{rounded % 1000:03d}s"
    return f"{(time + 500) // 1000}ms" if time >= 10_000 else f"{time / 1000:g}ms"
