"""Misses of one cause, told once: one change of a prompt fails each test that sends it.

Each test's own report has the whole message, for JUnit and for editors. Only what the terminal shows at the end is
made shorter: the first test tells the cause, with one command for all, and the others name that test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from pytest_claude_latency.cassettes.mismatch import Explanation
from pytest_claude_latency.report.failures import failure_of

MISSED = "claude_latency_missed"
"""The attribute of a test report that holds the explanation of its miss, and what records it."""


def tell_once(
    reports: Iterable[pytest.TestReport],
    command: Callable[[Sequence[pytest.TestReport], Mapping[str, str]], str],
) -> None:
    """Let the first of several reports of one cause tell it for all.

    `command` returns what a user types to record the tests with these node ids, which these reports ask for. With each
    comes the test that it is a variant of, or nothing.
    """
    causes: dict[str, list[tuple[pytest.TestReport, Explanation, tuple[str, str]]]] = {}
    for report in reports:
        if (values := getattr(report, MISSED, None)) is not None:
            # Next to the fields of the explanation the report has two more, about the test to record.
            facts = dict(values)
            to_record = facts.pop("recorded_by"), facts.pop("variant_of")
            causes.setdefault(values["cause"], []).append((report, Explanation(**facts), to_record))
    for (first, explanation, _), *others in causes.values():
        if not others:
            continue
        alike = causes[explanation.cause]
        record = command([report for report, _, _ in alike], dict(to_record for _, _, to_record in alike))
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
