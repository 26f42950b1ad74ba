"""The HTML report: one file that needs no other, readable in light and dark, printed or mailed.

Each call is a bar on the time axis of its test: waiting for headers, for the first token, for the first answer token,
and the answer coming in. The page loads nothing and runs nothing, and its policy forbids both.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import message
from pytest_claude_latency.metrics.call_text import describe, moments, names_of
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.printable import printable_lines
from pytest_claude_latency.report import variants
from pytest_claude_latency.report.summary import Summary
from pytest_claude_latency.report.table import counts, not_judged, run_verdict_lines, simulation_lines, table

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
    """Return the file."""
    content, unjudged = table(summary), not_judged(summary)
    # everything is escaped: test ids and messages may hold any text, also what a model answered
    rows = []
    for nodeid, *facts, verdict in content.cells:
        kind = escape(verdict.partition(",")[0].replace(" ", "-"))
        middle = "".join(f"<td>{escape(fact)}</td>" for fact in facts)
        rows.append(f'<td><code>{escape(nodeid)}</code></td>{middle}<td class="{kind}">{escape(verdict)}</td>')
    broken = []
    for result in summary.results:
        if result.broken:
            text = escape(message(result.broken, result.calls, result.evidence))
            broken.append(f"<p><code>{escape(result.nodeid)}</code></p><pre>{text}</pre>")
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"><title>Claude latency</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # a mailed report opens in any browser: it must not load or run what an answer put into it
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>Claude latency</h1><p>{escape(counts(summary))}</p>",
        f"<p>{escape(unjudged)}</p>" if unjudged else "",
        _table(content.headers, rows) + "".join(f'<p class="quiet">{escape(text)}</p>' for text in content.footnotes),
        *_variants(summary),
        *(["<h2>Broken budgets</h2>", *broken] if broken else []),
        _list("Over all samples", run_verdict_lines(summary, "percentile")),
        _list("Simulated", simulation_lines(summary)),
        _list("Against the baseline", run_verdict_lines(summary, "comparison")),
        _list("Warnings", summary.warnings),
        *_calls(summary),
        _list("Notes", summary.notes),
        "</body></html>",
    ]
    return printable_lines("\n".join(part for part in parts if part)) + "\n"


def _table(headers: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _list(title: str, texts: tuple[str, ...]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<h2>{title}</h2><ul>{items}</ul>" if texts else ""


def _variants(summary: Summary) -> list[str]:
    """Return a table for each test that was tried in variants, and what to make of it."""
    parts = ["<h2>Variants</h2>"] if summary.variant_rankings else []
    for ranking in summary.variant_rankings:
        content = variants.table(ranking)
        rows = ["".join(f"<td>{escape(cell)}</td>" for cell in cells) for cells in content.cells]
        parts += [f"<p><code>{escape(ranking.nodeid)}</code></p>", _table(content.headers, rows)]
        parts += [f"<p>{escape(text)}</p>" for text in (ranking.recommendation(), *content.footnotes)]
    return parts


def _calls(summary: Summary) -> list[str]:
    """Return the calls of each test on one time axis, shown open if a budget is broken."""
    tests = []
    for row in summary.rows:
        limit = row.figures["ttft"].limit
        for result in row.samples:
            if not result.calls and not result.setup_calls:
                continue
            # the axis is as long as this test: two tests are not to be compared by their bars, but the calls of one
            length = max(call.sent + (call.total or 0.0) for call in result.setup_calls + result.calls)
            figures = [
                _figure(f"set-up call {number}", call, length) for number, call in enumerate(result.setup_calls, 1)
            ]
            named = zip(names_of(result.calls), result.calls, strict=True)
            figures += [_figure(name, call, length, limit) for name, call in named]
            sample = f", sample {result.sample}" if len(row.samples) > 1 else ""
            title = f"<summary><code>{escape(result.nodeid)}</code>{sample}</summary>"
            is_open = " open" if result.broken else ""
            tests.append(f"<details{is_open}>{title}\n" + "\n".join(figures) + "</details>")
    if not tests:
        return []
    legend = "".join(
        f'<span><i style="background: var(--{name})"></i>{escape(meaning)}</span>' for name, meaning in _LEGEND
    )
    return [f'<h2>Calls</h2><p class="legend quiet">{legend}</p>', *tests]


def _figure(name: str, call: Call, length: float, limit: duration.Nanoseconds | None = None) -> str:
    """Return a call as a bar on an axis of `length` seconds; a line marks the limit of `ttft`."""
    # a call may end while it waits for headers or for a token, so its last phase is named by what came before
    last = "sent" if call.ttfb is None else "headers" if call.ttft is None else "thinking"
    phases = [("sent", call.ttfb), ("headers", call.ttft), ("thinking", call.ttfa)]
    phases.append((last if call.ttfa is None else "answer", call.total or 0.0))
    scale = 1000 / length if length else 0.0
    shapes, since = [], 0.0
    for kind, until in phases:
        if until is not None and until > since:
            x, width = (call.sent + since) * scale, (until - since) * scale
            shapes.append(f'<rect class="{kind}" x="{x:.2f}" y="2" width="{width:.2f}" height="10"/>')
            since = until
    if limit is not None and 0 < (x := (call.sent + duration.seconds(limit)) * scale) <= 1000:
        # the drawing is stretched to the page; the line must not become wider with it
        line = f'x1="{x:.2f}" x2="{x:.2f}" y1="0" y2="14" vector-effect="non-scaling-stroke"'
        shapes.append(f'<line class="limit" {line}/>')
    label = escape(moments(call), quote=True)
    attributes = f'viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" aria-label="{label}"'
    made_at = "" if call.location is None else f" · {call.location}"
    caption = escape(f"{name}: {describe(call)} — {moments(call)}{made_at}")
    return f"<figure><svg {attributes}>{''.join(shapes)}</svg><figcaption>{caption}</figcaption></figure>"
