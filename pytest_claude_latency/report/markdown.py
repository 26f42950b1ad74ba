"""The Markdown report: one table and the broken budgets, made to be appended to a CI job's summary page.

Test ids may hold any character, so they stand in code spans whose fences are
longer than what they enclose, with pipes escaped as tables want it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_claude_latency.budgets.judgement import message
from pytest_claude_latency.report import variants
from pytest_claude_latency.report.summary import Summary
from pytest_claude_latency.report.table import Table, against_baseline, counts, not_judged, over_samples, table


def render(summary: Summary) -> str:
    """The whole file."""
    parts = ["## Claude latency", _table(summary) if summary.rows else "", _plain(counts(summary))]
    if line := not_judged(summary):
        parts.append(_plain(line))
    parts += _variants(summary) + _broken(summary) + _listed("Over all samples", over_samples(summary))
    parts += _listed("Against the baseline", against_baseline(summary))
    parts += _listed("Warnings", summary.warnings) + _listed("Notes", summary.notes)
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(summary: Summary) -> str:
    content = table(summary)
    notes = [f"\n{_plain(footnote)}" for footnote in content.footnotes]
    return "\n".join([*_lines(content), *notes])


def _lines(content: Table) -> list[str]:
    header = "| " + " | ".join(content.headers) + " |"
    rule = "|:--|" + "--:|" * (len(content.headers) - 2) + ":--|"
    return [header, rule, *map(_row, content.cells)]


def _variants(summary: Summary) -> list[str]:
    """Each test that was tried in variants: a table, and what to make of it."""
    blocks = []
    for ranking in summary.variant_rankings:
        content = variants.table(ranking)
        said = [_plain(text) for text in (ranking.recommendation(), *content.footnotes)]
        blocks += [code(ranking.nodeid), "\n".join(_lines(content)), *said]
    return ["### Variants", *blocks] if blocks else []


def _row(cells: Sequence[str]) -> str:
    nodeid, *facts, verdict = cells
    strong = f"**{verdict}**" if verdict == "broken" else verdict
    return "| " + " | ".join([code(nodeid, in_table=True), *map(_plain, facts), strong]) + " |"


def code(text: str, *, in_table: bool = False) -> str:
    """`text` as a code span, whatever it holds."""
    line = re.sub(r"[\r\n]", " ", text)
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line.replace('|', chr(92) + '|') if in_table else line}{space}{fence}"


def _plain(text: str) -> str:
    """`text` with what Markdown or HTML would read as markup escaped."""
    return re.sub(r"([\\`*_\[\]<>|#&~+])", r"\\\1", re.sub(r"[\r\n]+", " ", text))


def _broken(summary: Summary) -> list[str]:
    blocks = []
    for result in summary.results:
        if result.broken:
            text = message(result.broken, result.calls, result.recording)
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            blocks.append(f"{code(result.nodeid)}\n\n{fence}text\n{text}\n{fence}")
    return ["### Broken budgets", *blocks] if blocks else []


def _listed(title: str, texts: Sequence[str]) -> list[str]:
    return [f"### {title}", "\n".join(f"- {_plain(text)}" for text in texts)] if texts else []
