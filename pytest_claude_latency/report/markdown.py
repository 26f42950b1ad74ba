"""The Markdown report: one table and the broken budgets, made to be appended to a CI job's summary page.

Test ids may hold any character, so they stand in code spans whose fences are longer than what they enclose, with pipes
escaped as tables need it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_claude_latency.budgets.judgement import message
from pytest_claude_latency.printable import printable_lines
from pytest_claude_latency.report import variants
from pytest_claude_latency.report.summary import Summary
from pytest_claude_latency.report.table import Table, counts, not_judged, run_verdict_lines, simulation_lines, table
from pytest_claude_latency.results.what_if import HEADERS


def render(summary: Summary) -> str:
    """Return the file."""
    parts = ["## Claude latency"]
    if summary.rows:
        content = table(summary)
        parts.append("\n".join([_table(content), *(f"\n{_escaped(footnote)}" for footnote in content.footnotes)]))
    parts.append(_escaped(counts(summary)))
    if line := not_judged(summary):
        parts.append(_escaped(line))
    if summary.what_if:
        parts.append("### What if (simulated)")
    for nodeid, what_if in summary.what_if.items():
        rows = zip(what_if.cells(), what_if.bars(), strict=True)
        cells = tuple((name, *facts, f"`{bar}`" if bar else "") for (name, *facts), bar in rows)
        parts += [code(nodeid), _table(Table((*HEADERS, ""), cells, ()))]
    if summary.variant_rankings:
        parts.append("### Variants")
    for ranking in summary.variant_rankings:
        content = variants.table(ranking)
        parts += [code(ranking.nodeid), _table(content)]
        parts += map(_escaped, (ranking.recommendation(), *content.footnotes))
    broken = [result for result in summary.results if result.broken]
    if broken:
        parts.append("### Broken budgets")
    for result in broken:
        text = message(result.broken, result.calls, result.evidence)
        fence = "`" * max(3, _longest_run(text) + 1)
        parts.append(f"{code(result.nodeid)}\n\n{fence}text\n{text}\n{fence}")
    parts += _list("Over all samples", run_verdict_lines(summary, "percentile"))
    parts += _list("Simulated", simulation_lines(summary))
    parts += _list("Against the baseline", run_verdict_lines(summary, "comparison"))
    parts += _list("Warnings", summary.warnings) + _list("Notes", summary.notes)
    return printable_lines("\n\n".join(parts)) + "\n"


def code(text: str, *, in_table: bool = False) -> str:
    """Return the text as a code span, whatever characters it has."""
    line = re.sub(r"[\r\n]", " ", text)
    # a span ends at the first run of backticks as long as its fence, so the fence is longer than any run inside
    fence = "`" * (_longest_run(line) + 1)
    # a backtick next to the fence would be part of it; Markdown removes one space on each side
    space = " " if line.startswith("`") or line.endswith("`") else ""
    # in a table a pipe ends the cell, even in a code span; chr(92) is a backslash, which an f-string may not hold here
    return f"{fence}{space}{line.replace('|', chr(92) + '|') if in_table else line}{space}{fence}"


def _longest_run(text: str) -> int:
    """Return the length of the longest run of backticks, which a fence must be longer than."""
    return max(map(len, re.findall("`+", text)), default=0)


def _escaped(text: str) -> str:
    """Return the text with everything escaped that Markdown or HTML would read as markup."""
    return re.sub(r"([\\`*_\[\]<>|#&~+])", r"\\\1", re.sub(r"[\r\n]+", " ", text))


def _table(content: Table) -> str:
    lines = [f"| {' | '.join(content.headers)} |", "|:--|" + "--:|" * (len(content.headers) - 2) + ":--|"]
    for name, *facts, last in content.cells:
        # Markdown has no colours
        strong = f"**{last}**" if last.startswith("broken") else last
        lines.append("| " + " | ".join([code(name, in_table=True), *map(_escaped, facts), strong]) + " |")
    return "\n".join(lines)


def _list(title: str, texts: Sequence[str]) -> list[str]:
    return [f"### {title}", "\n".join(f"- {_escaped(text)}" for text in texts)] if texts else []
