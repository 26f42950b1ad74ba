"""The Markdown report, for the summary page of a CI job and for the comment on a pull request.

It begins with a marker that readers do not see, so that a job finds its comment of before and replaces it. It keeps to
the size of a comment: what does not fit is counted, and the worst comes first. Test ids may hold any character, so they
stand in code spans whose fences are longer than what they enclose, with pipes escaped as tables need it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.known_files import REPORT_MARKER
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable_lines
from pytest_claude_latency.results.what_if import HEADERS

MOST: Final = 60_000
"""Characters of a report. GitHub takes 65,536 in a comment; what encloses the report needs some of them."""
_MOST_ROWS: Final = 100
_MOST_FAILURES: Final = 20
_LEFT_OUT: Final = "*{sections} did not fit into a comment; the JSON and HTML reports have all.*"


def render(report: Mapping[str, Any]) -> str:
    """Return the file."""
    sections = [printable_lines(section) for section in _sections(report)]
    kept: list[str] = []
    room = MOST - len(_LEFT_OUT.format(sections="9999 more sections"))
    for section in sections:
        room -= len(section) + 2
        if room < 0:
            break
        kept.append(section)
    if len(kept) < len(sections):
        kept.append(_LEFT_OUT.format(sections=number_of(len(sections) - len(kept), "more section")))
    return "\n\n".join([REPORT_MARKER, *kept]) + "\n"


def _sections(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the blocks of the page, the most important first."""
    summary = report["summary"]
    yield f"## Claude latency: {_escaped(summary['verdict'])}"
    yield _escaped(summary["counts"])
    if summary["not_judged"]:
        yield _escaped(summary["not_judged"])
    content = summary["table"]
    cells = content["cells"]
    if cells:
        yield _table(content["headers"], cells[:_MOST_ROWS])
        yield from map(_escaped, content["footnotes"])
        if len(cells) > _MOST_ROWS:
            yield f"and {len(cells) - _MOST_ROWS} more tests"
    yield from _failures(report)
    others = [failure["text"] for failure in summary["also_failed"] if failure["kind"] != "variant"]
    yield from _list("Also failed", others[:_MOST_FAILURES])
    if len(others) > _MOST_FAILURES:
        yield f"and {len(others) - _MOST_FAILURES} more"
    for title, lines in (("Over all samples", "percentiles"), ("Against the baseline", "comparisons")):
        yield from _list(title, summary[lines])
    if "variants" in report:
        yield "### Variants"
    for ranking in report.get("variants", ()):
        yield code(ranking["nodeid"])
        yield _table(ranking["table"]["headers"], ranking["table"]["cells"])
        yield from map(_escaped, (ranking["recommendation"], *ranking["table"]["footnotes"]))
    yield from _list("Warnings", summary["warnings"])
    yield from _list("Simulated", summary["simulated"])
    if "what_if" in report:
        yield "### What if (simulated)"
    for found in report.get("what_if", ()):
        yield code(found["nodeid"])
        rows = [[*facts, f"`{bar}`" if bar else ""] for *facts, bar in found["table"]]
        yield _table((*HEADERS, ""), rows)
    yield from _list("Faults", summary["faults"])
    yield from _list("Notes", summary["notes"])


def _failures(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield why tests failed, the worst test first, each with its findings."""
    failed: dict[str, list[Mapping[str, Any]]] = {}
    for test in report["tests"]:
        # an expected failure is none, whatever it says
        if test["outcome"] in ("failed", "error"):
            failed.setdefault(test["nodeid"], []).append(test)
    ordered = [row for row in report["summary"]["rows"] if row["nodeid"] in failed]
    # variants have no row of their own
    names = list(dict.fromkeys([*(row["nodeid"] for row in ordered), *failed]))
    if names:
        yield "### Failures"
    for nodeid in names[:_MOST_FAILURES]:
        samples = failed[nodeid]
        yield code(nodeid)
        # of several samples the first tells why: others fail for the same reason, or it is told above
        text = samples[0].get("failure") or samples[0].get("traceback") or samples[0]["outcome"]
        fence = "`" * max(3, _longest_run(text) + 1)
        yield f"{fence}text\n{text}\n{fence}"
        if len(samples) > 1:
            yield f"and the same in {number_of(len(samples) - 1, 'more sample')}"
        # what a message says is not said twice
        findings = [Finding.from_json(finding) for finding in samples[0]["findings"]]
        failure = " ".join(text.split())
        lines = [" — ".join(finding.lines()) for finding in findings if finding.fact not in failure]
        if lines:
            yield "\n".join(f"- {_escaped(line)}" for line in lines)
    if len(names) > _MOST_FAILURES:
        yield f"and {len(names) - _MOST_FAILURES} more tests that failed"


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


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(headers)} |", "|:--|" + "--:|" * (len(headers) - 2) + ":--|"]
    for name, *facts, last in rows:
        # Markdown has no colours
        strong = f"**{last}**" if last.startswith("broken") else last
        lines.append("| " + " | ".join([code(name, in_table=True), *map(_escaped, facts), strong]) + " |")
    return "\n".join(lines)


def _list(title: str, texts: Sequence[str]) -> Iterator[str]:
    if texts:
        yield f"### {title}"
        yield "\n".join(f"- {_escaped(text)}" for text in texts)
