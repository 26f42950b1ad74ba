"""The HTML report: one file that needs no other, for a browser, a phone, a printer or a mail.

The page holds the report's data once. A script of its own draws a test when it is opened; tests that fail are drawn in
the file, for readers whose scripts are off. The page's policy lets nothing be loaded, and only this script run.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from pytest_claude_latency import duration
from pytest_claude_latency.metrics.metric import METRICS, show
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable, printable_lines
from pytest_claude_latency.report.faces import strips
from pytest_claude_latency.report.faces.drawing import detail
from pytest_claude_latency.report.faces.payload import NAMES, Payload, in_pieces, payload_of
from pytest_claude_latency.results.what_if import HEADERS as WHAT_IF_HEADERS

if TYPE_CHECKING:
    from jinja2 import Template

_MOST_DRAWN: Final = 200
"""How many failing tests are drawn in the file; the script draws the others."""
_MOST_CHARACTERS: Final = 1_420_000
"""What drawings may fill of a page: one of a thousand tests is to weigh less than 1.5 MB, however many of them fail."""
_CHARACTERS_OF_A_ROW: Final = 300
_UNDRAWN: Final = "{tests} {are} drawn by a script when opened"
_HATCHING: Final = (
    '<svg class="defs" aria-hidden="true"><defs><pattern id="over" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><path class="h" d="M0 0V6"/></pattern></defs></svg>'
)
"""What fills the part of a bar that is over its budget."""
_GOOD: Final = frozenset({"kept", "unchanged", "improvement", "passed"})


def render(report: Mapping[str, Any], drawn_at: datetime | None = None) -> str:
    """Return the page of a report's data."""
    summary, payload = report["summary"], payload_of(report, report["summary"]["rows"])
    pieces, texts = in_pieces(payload["t"])
    # so that no text in it can end the element that holds it
    data = json.dumps(payload | {"i": pieces, "t": texts}, ensure_ascii=False, separators=(",", ":")).replace(
        "<", "\\u003c"
    )
    room = _MOST_CHARACTERS - len(data) - _CHARACTERS_OF_A_ROW * len(payload["r"])
    rows, compared = list(_rows(summary, payload, room)), _comparisons(report)
    undrawn = sum(row["kind"] == "broken" and not row["detail"] for row in rows)
    styles, script = _file("drawing.css") + _file("page.css"), _file("page.js")
    samples = [sample for row in payload["r"] for sample in row["s"]]
    bars = [sample["p"] for sample in samples]
    bars += [call[10] for sample in samples for call in (*sample["c"], *sample.get("u", ()), *sample.get("z", ()))]
    shown = sorted({part for bar in bars for part in bar[::2]})
    text: str = _template().render(
        title=f"{'Failed' if summary['fails'] else 'Passed'}: Claude latency",
        hatching=_markup(_HATCHING),
        style=styles,
        style_hash=_hash(styles),
        script=script,
        script_hash=_hash(script),
        summary=summary,
        facts=_facts(report, drawn_at or datetime.now(UTC)),
        rows=rows,
        verdicts=sorted(Counter(row["verdict"] for row in summary["rows"]).items()),
        models=sorted({model for row in summary["rows"] for model in row["models"]}),
        parts_shown=[(part, NAMES[part]) for part in shown],
        columns=[("verdict", "l"), ("test", "l"), *((name, "") for name in _COLUMNS)],
        undrawn=_UNDRAWN.format(tests=number_of(undrawn, "more failing test"), are="is" if undrawn == 1 else "are")
        if undrawn
        else "",
        spreads=[
            {
                "nodeid": printable(row["nodeid"]),
                "drawing": _markup(strips.samples(row, compared.get(row["nodeid"], []))),
            }
            for row in summary["rows"]
            if row.get("spreads")
        ],
        also_failed=_also_failed(report),
        sections=list(_sections(report)),
        data=_markup(data),
    )
    return printable_lines(text) + "\n"


def fragment(report: Mapping[str, Any]) -> tuple[str, str]:
    """Return the figures of a report's only test in a line, and the drawing of it, for a page of another plugin."""
    summary, payload = report["summary"], payload_of(report, report["summary"]["rows"])
    cells = dict(zip(summary["table"]["headers"], summary["table"]["cells"][0], strict=True))
    figures = [f"{name} {cells[name]}" for name in ("TTFT", "total", "elapsed") if cells.get(name)]
    sample = payload["r"][0]["s"][0] | {"f": 0, "x": 0}  # why it failed stands on that page already
    drawing = detail(sample, payload["t"])
    line = ", ".join([cells["verdict"], *figures])
    return escape(printable(line)), f'<div class="claude-latency">{printable_lines(drawing)}</div>' if drawing else ""


def fragment_style() -> str:
    """Return what a page of another plugin needs once, for all fragments: styles that hold for them alone, a legend."""
    styles = str(_file("drawing.css")).replace(":root", "&")
    legend = "".join(
        f'<span><svg aria-hidden="true" height="10"><rect class="p{place}" width="12" height="10"/></svg>{name}</span>'
        for place, name in enumerate(NAMES)
    )
    return (
        f"<style>.claude-latency{{{styles}}}</style>"
        f'<div class="claude-latency">{_HATCHING}<p class="legend" aria-label="Parts of a call">{legend}</p></div>'
    )


_COLUMNS: Final = ("calls", "TTFT", "total", "elapsed", "tokens")


@cache
def _template() -> Template:
    # here: most runs draw no page
    from jinja2 import Environment, StrictUndefined

    class Missing(StrictUndefined):
        """What a damaged report lacks: a `KeyError`, as in the code of every face, in place of an error of Jinja2."""

        def __init__(self, *told: Any, **named: Any) -> None:
            super().__init__(*told, **{**named, "exc": KeyError})

    return Environment(autoescape=True, undefined=Missing, trim_blocks=True).from_string(_file("page.html.j2"))


def _file(name: str) -> Any:
    text = files(__package__).joinpath("page", name).read_text("utf-8")
    return text if name.endswith(".j2") else _markup(text)


def _markup(text: str) -> Any:
    """Return a text that is HTML already."""
    from markupsafe import Markup  # comes with Jinja2

    return Markup(text)  # everything in it was escaped where it was put in


def _hash(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()


def _facts(report: Mapping[str, Any], drawn_at: datetime) -> list[tuple[str, str]]:
    moment = datetime.fromisoformat(report["date"]) if "date" in report else drawn_at
    environment = dict(report.get("environment", {}))
    commit, _, changed = environment.pop("commit", "").partition(",")
    return [
        ("mode", f"{report['mode']}, {report['clock']} clock"),
        *([("commit", commit[:12] + changed)] if commit else []),
        *environment.items(),
        # a replay has no date of its own: it says the same on any day
        ("measured" if "date" in report else "drawn", moment.strftime("%Y-%m-%d %H:%M UTC")),
    ]


def _rows(summary: Mapping[str, Any], payload: Payload, room: int) -> Iterator[dict[str, Any]]:
    """Yield what the table shows of each test, and the drawings that fit into `room`, a number of characters."""
    drawn = 0
    cells_of = {name: place for place, name in enumerate(summary["table"]["headers"])}
    for row, cells, short in zip(summary["rows"], summary["table"]["cells"], payload["r"], strict=True):
        good = row["verdict"] in _GOOD
        values = []
        file, colons, rest = cells[0].partition("::")
        for name in _COLUMNS:
            shown, _, limit = (cells[cells_of[name]] if name in cells_of else "").partition("/")
            broken = name.lower() in row and row[name.lower()]["broken"] if name in ("TTFT", "total", "elapsed") else 0
            values.append((shown, limit, broken))
        drawing = ""
        if row["fails"] and drawn < _MOST_DRAWN and room > 0:
            drawing = f"<div>{detail(short['s'][short['n']], payload['t'])}</div>"
        drawn, room = drawn + bool(drawing), room - len(drawing)
        yield {
            "kind": "broken" if row["fails"] else "kept" if good else "open",
            # a sign as well as a colour
            "mark": "✗" if row["fails"] else "✓" if good else "·",
            "verdict": cells[-1],
            "file": file + colons if rest else "",
            "name": rest or file,
            "cells": values,
            "detail": _markup(drawing),
        }


def _also_failed(report: Mapping[str, Any]) -> tuple[list[tuple[str, Any]], list[str]]:
    """Return why each failed that has no row, under its name, and a line for those that do not tell why."""
    lines = {failure["name"]: failure["text"] for failure in report["summary"]["also_failed"]}
    reasons = {
        test["nodeid"]: _markup(f"<pre>{escape(reason)}</pre>")
        for test in report["tests"]
        if test["nodeid"] in lines and (reason := test.get("failure") or test.get("traceback"))
    }
    return list(reasons.items()), [text for name, text in lines.items() if name not in reasons]


def _sections(report: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, Any]], Sequence[str]]]:
    """Yield a title, tables under their headings, and lines."""
    summary = report["summary"]
    by_test = {row["nodeid"]: row for row in summary["rows"]}
    faulty = {test["nodeid"]: test for test in report["tests"] if "fault" in test}
    faults: list[list[str]] = []
    for nodeid, test in faulty.items():
        took = "" if test["elapsed"] is None else duration.show(duration.nanoseconds(test["elapsed"]))
        faults.append([test["written"], test["fault"], str(test["injected"]), took, by_test[nodeid]["verdict"]])
    named: list[tuple[str, list[tuple[str, Any]], Sequence[str]]] = [
        ("Over all samples", [], summary["percentiles"]),
        ("Against the baseline", list(_against_baseline(report)), summary["comparisons"]),
        (
            "Faults",
            [("", _table(("test", "fault", "injected", "elapsed", "verdict"), faults))] if faults else [],
            summary["faults"],
        ),
        (
            "Simulation",
            [(found["nodeid"], _markup(strips.simulation(found))) for found in report.get("simulations", ())],
            summary["simulated"],
        ),
        (
            "What if (simulated)",
            [(found["nodeid"], _table((*WHAT_IF_HEADERS, ""), found["table"])) for found in report.get("what_if", ())],
            [],
        ),
        ("Variants", [pair for ranking in report.get("variants", ()) for pair in _variants(ranking)], []),
        ("Warnings", [], summary["warnings"]),
        ("Notes", [], summary["notes"]),
    ]
    yield from ((title, tables, lines) for title, tables, lines in named if tables or lines)


def _comparisons(report: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Return what was compared with a baseline, by test."""
    compared: dict[str, list[Mapping[str, Any]]] = {}
    for verdict in report["verdicts"]:
        if verdict.get("kind") == "comparison" and "metric" in verdict:
            compared.setdefault(verdict["nodeid"], []).append(verdict)
    return compared


def _against_baseline(report: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each test that changed, with every metric that the baseline has of it, as a drawing and as a table."""
    changed = {
        nodeid: found
        for nodeid, found in _comparisons(report).items()
        if any(verdict["verdict"] != "unchanged" for verdict in found)
    }
    for nodeid, found in list(changed.items())[:_MOST_DRAWN]:
        yield nodeid, _markup(strips.baseline(found))
        rows = []
        for verdict in found:
            metric = METRICS[verdict["metric"]]
            scale = float(duration.SECOND) if metric.kind == "duration" else 1.0
            sides = [verdict.get(side) for side in ("before", "after")]
            shown = ["never" if at is None else show(metric, round(at * scale) if scale > 1 else at) for at in sides]
            rows.append([metric.name, *shown, verdict["verdict"]])
        yield "", _table(("metric", "baseline", "now", "verdict"), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(printable(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return _markup(
        f'<div class="scroll"><table class="small"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _variants(ranking: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what variants took against how many samples passed, as a drawing and as a table."""
    yield ranking["nodeid"], _markup(strips.variants(ranking))
    content = ranking["table"]
    yield "", _table(content["headers"], content["cells"])
    lines = (ranking["recommendation"], *content["footnotes"])
    yield "", _markup("".join(f"<p>{escape(printable(line))}</p>" for line in lines))
