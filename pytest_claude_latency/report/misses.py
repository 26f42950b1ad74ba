"""Misses of one cause, told once: one change of a prompt fails each test that sends it.

Each test's own report has the whole message, for JUnit and for editors. Only what the terminal shows at the end is
made shorter: the first test tells the cause, with one command for all, and the others name that test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from pytest_claude_latency.cassettes.mismatch import Explanation
from pytest_claude_latency.report.failures import failure_of

MISSED = "claude_latency_missed"
"""The attribute of a test report that holds the explanation of its miss, and what records it."""


def tell_once(
    reports: Iterable[pytest.TestReport], command: Callable[[Sequence[pytest.TestReport], Sequence[str]], str]
) -> None:
    """Let the first of several reports of one cause tell it for all.

    `command` returns what a user types to record the tests with these node ids, which these reports ask for.
    """
    causes: dict[str, list[tuple[pytest.TestReport, Explanation, str]]] = {}
    for report in reports:
        if (values := getattr(report, MISSED, None)) is not None:
            # Next to the fields of the explanation the report has one more, the test to record.
            recorded_by, facts = values["recorded_by"], {name: values[name] for name in values if name != "recorded_by"}
            causes.setdefault(values["cause"], []).append((report, Explanation(**facts), recorded_by))
    for (first, explanation, _), *others in causes.values():
        if not others:
            continue
        alike = causes[explanation.cause]
        recorded_by_each = list(dict.fromkeys(recorded_by for _, _, recorded_by in alike))
        record = command([report for report, _, _ in alike], recorded_by_each)
        _say(first, explanation.text(record, tests=len(alike)))
        for report, other, _ in others:
            head, *lines = other.body.split("\n")
            elsewhere = [line for line in lines if line.startswith("  made at") and line not in explanation.body]
            _say(report, "\n".join([head, *elsewhere, f"  cause     the same as that of {first.nodeid}"]))


def _say(report: Any, text: str) -> None:
    """Let a report show this text, at the place where it says that the test failed."""
    failure = failure_of(text)
    if (crash := getattr(report.longrepr, "reprcrash", None)) is not None and failure.reprcrash is not None:
        failure.reprcrash.path, failure.reprcrash.lineno = crash.path, crash.lineno
    report.longrepr = failure
