"""The HTML report: one file that needs no other, readable in light and dark, printed or mailed.

Each call is a bar on the time axis of its test: waiting for headers, for the
first token, for the first answer token, and the answer coming in. Nothing in it
is fetched or run, and its policy forbids both.
"""

from __future__ import annotations

from html import escape

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import message
from pytest_claude_latency.metrics.call_text import describe, moments
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.report import variants
from pytest_claude_latency.report.summary import Row, Summary
from pytest_claude_latency.report.table import Table, against_baseline, counts, not_judged, over_samples, table
from pytest_claude_latency.results.result import TestResult

_STYLE = """
:root { color-scheme: light dark;
  --text: #1f2328; --quiet: #59636e; --page: #ffffff; --line: #d1d9e0; --good: #1a7f37; --bad: #c62828; --warn: #8a5a00;
  --sent: #c3cad2; --headers: #9fb3d1; --thinking: #b48ad9; --answer: #3f7fd6; }
@media (prefers-color-scheme: dark) { :root {
  --text: #e6edf3; --quiet: #9198a1; --page: #0d1117; --line: #3d444d; --good: #3fb950; --bad: #ff7b72; --warn: #d9a514;
  --sent: #4a525c; --headers: #54688a; --thinking: #9a6fc4; --answer: #539bf5; } }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: var(--text); background: var(--page);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; white-space: normal; }
th:last-child, td:last-child { text-align: left; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .6rem; border-left: 3px solid var(--bad); margin: .5rem 0; }
li { white-space: pre-line; }
summary { cursor: pointer; overflow-wrap: anywhere; } details { margin: .4rem 0; }
figure { margin: .4rem 0 .8rem 1rem; } figcaption { color: var(--quiet); font-size: 13px; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: 14px; }
.kept { color: var(--good); } .broken, .failed, .error { color: var(--bad); font-weight: 600; }
.no-calls, .not-measured, .inconclusive { color: var(--warn); } .quiet { color: var(--quiet); }
.sent { fill: var(--sent); } .headers { fill: var(--headers); } .thinking { fill: var(--thinking); }
.answer { fill: var(--answer); } .limit { stroke: var(--bad); stroke-width: 2; }
.legend span { margin-right: 1.2rem; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
"""

_LEGEND = (
    ("sent", "sent, no answer yet"),
    ("headers", "headers, no token yet"),
    ("thinking", "thinking"),
    ("answer", "answer"),
    ("bad", "limit of ttft"),
)


def render(summary: Summary) -> str:
    """The whole file."""
    unjudged = not_judged(summary)
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"><title>Claude latency</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>Claude latency</h1><p>{escape(counts(summary))}</p>",
        f"<p>{escape(unjudged)}</p>" if unjudged else "",
        _table(table(summary), summary),
        _variants(summary),
        _broken(summary),
        _list("Over all samples", over_samples(summary)),
        _list("Against the baseline", against_baseline(summary)),
        _list("Warnings", summary.warnings),
        _calls(summary),
        _list("Notes", summary.notes),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _table(content: Table, summary: Summary) -> str:
    head = "".join(f"<th>{escape(header)}</th>" for header in content.headers)
    rows = [_row(row, cells) for row, cells in zip(summary.rows, content.cells, strict=True)]
    notes = "".join(f'<p class="quiet">{escape(footnote)}</p>' for footnote in content.footnotes)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + f"\n</tbody></table>{notes}"


def _row(row: Row, cells: tuple[str, ...]) -> str:
    nodeid, *facts, verdict = cells
    middle = "".join(f"<td>{escape(fact)}</td>" for fact in facts)
    kind = escape(verdict.replace(" ", "-"))
    return f'<tr><td><code>{escape(nodeid)}</code></td>{middle}<td class="{kind}">{escape(verdict)}</td></tr>'


def _variants(summary: Summary) -> str:
    """Each test that was tried in variants: a table, and what to make of it."""
    blocks = []
    for ranking in summary.variant_rankings:
        content = variants.table(ranking)
        head = "".join(f"<th>{escape(header)}</th>" for header in content.headers)
        rows = ["".join(f"<td>{escape(cell)}</td>" for cell in cells) for cells in content.cells]
        said = (ranking.recommendation(), *content.footnotes)
        blocks += [f"<p><code>{escape(ranking.nodeid)}</code></p>", f"<table><thead><tr>{head}</tr></thead><tbody>"]
        blocks += [f"<tr>{row}</tr>" for row in rows]
        blocks += ["</tbody></table>", *(f"<p>{escape(text)}</p>" for text in said)]
    return "<h2>Variants</h2>\n" + "\n".join(blocks) if blocks else ""


def _broken(summary: Summary) -> str:
    blocks = [
        f"<p><code>{escape(result.nodeid)}</code></p>"
        f"<pre>{escape(message(result.broken, result.calls, result.recording))}</pre>"
        for result in summary.results
        if result.broken
    ]
    return "<h2>Broken budgets</h2>\n" + "\n".join(blocks) if blocks else ""


def _list(title: str, texts: tuple[str, ...]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<h2>{title}</h2><ul>{items}</ul>" if texts else ""


def _calls(summary: Summary) -> str:
    legend = "".join(
        f'<span><i style="background: var(--{name})"></i>{escape(meaning)}</span>' for name, meaning in _LEGEND
    )
    parts = [_test(result, row) for row in summary.rows for result in row.samples if result.calls or result.setup_calls]
    return f'<h2>Calls</h2><p class="legend quiet">{legend}</p>\n' + "\n".join(parts) if parts else ""


def _test(result: TestResult, row: Row) -> str:
    """A test's calls on one time axis; shown open where a budget is broken."""
    sample = f", sample {result.sample}" if len(row.samples) > 1 else ""
    span = max((call.sent + (call.total or 0.0) for call in result.setup_calls + result.calls), default=0.0)
    limit = row.figures["ttft"].limit
    figures = [_figure(f"set-up call {number}", call, span, None) for number, call in enumerate(result.setup_calls, 1)]
    figures += [_figure(f"call {number}", call, span, limit) for number, call in enumerate(result.calls, 1)]
    is_open = " open" if result.broken else ""
    title = f"<summary><code>{escape(result.nodeid)}</code>{sample}</summary>"
    return f"<details{is_open}>{title}\n" + "\n".join(figures) + "</details>"


def _figure(name: str, call: Call, span: float, limit: duration.Nanoseconds | None) -> str:
    caption = f"{name}: {describe(call)} — {moments(call)}"
    return f"<figure>{_bar(call, span, limit)}<figcaption>{escape(caption)}</figcaption></figure>"


def _bar(call: Call, span: float, limit: duration.Nanoseconds | None) -> str:
    """The call's bar on an axis of `span` seconds from the start of the test; a line marks the limit of `ttft`."""
    scale = 1000 / span if span else 0.0
    rects, since = [], 0.0
    for kind, until in _phases(call):
        if until > since:
            x, width = (call.sent + since) * scale, (until - since) * scale
            rects.append(f'<rect class="{kind}" x="{x:.2f}" y="2" width="{width:.2f}" height="10"/>')
            since = until
    if limit is not None and 0 < (at := (call.sent + duration.seconds(limit)) * scale) <= 1000:
        # a line is not stretched with the axis
        line = f'x1="{at:.2f}" x2="{at:.2f}" y1="0" y2="14" vector-effect="non-scaling-stroke"'
        rects.append(f'<line class="limit" {line}/>')
    label = escape(moments(call), quote=True)
    drawing = "".join(rects)
    return f'<svg viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" aria-label="{label}">{drawing}</svg>'


def _phases(call: Call) -> list[tuple[str, float]]:
    """What the call was waiting for until when, in seconds since it was sent."""
    ends = [("sent", call.ttfb), ("headers", call.ttft), ("thinking", call.ttfa)]
    phases = [(kind, until) for kind, until in ends if until is not None]
    last = "answer" if call.ttfa is not None else "thinking" if call.ttft is not None else "headers"
    return [*phases, (last if call.ttfb is not None else "sent", call.total or 0.0)]
