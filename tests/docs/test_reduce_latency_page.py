"""What docs/reduce-latency.md shows is what the examples are, and what their recordings give."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from pytest_claude_latency import duration

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reduce-latency.md").read_text("utf-8")
TESTS = (ROOT / "examples/tests/test_reduce_latency.py").read_text("utf-8")
SHOWN = re.findall(r"^```console\n\$ (pytest [^\n]*)\n```\n\n```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ROWS = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)


@pytest.fixture(autouse=True)
def _examples(pytester: pytest.Pytester) -> None:
    shutil.copytree(ROOT / "examples", pytester.path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")


def test_the_code_shown_is_the_code_of_the_examples() -> None:
    sources = [TESTS, *(path.read_text("utf-8") for path in (ROOT / "examples/reduce_latency").glob("*.py"))]
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    assert len(blocks) > len(ROWS)
    for block in blocks:
        assert any(block in source for source in sources), block


def test_the_page_shows_what_is_found_about_each_call_that_is_too_slow_and_a_budget() -> None:
    remedies = ("guide, 1: choose the right model", "guide, 2: keep prompt and answer short", "guide, 3: stream")

    *found, suggested = (shown for _, shown in SHOWN)

    assert all(remedy in " ".join(shown.split()) for remedy, shown in zip(remedies, found, strict=True))
    assert "\n@pytest.mark.latency_budget(" in suggested


@pytest.mark.parametrize(("command", "shown"), SHOWN)
def test_the_output_shown_is_what_the_command_prints(command: str, shown: str, pytester: pytest.Pytester) -> None:
    _, *arguments = shlex.split(command)

    result = pytester.runpytest("-p", "no:cacheprovider", *arguments)

    assert shown in result.stdout.str() + "\n"


def test_the_numbers_shown_are_those_of_the_recordings_and_each_remedy_made_its_call_faster(
    pytester: pytest.Pytester,
) -> None:
    result = pytester.runpytest(
        *("-p", "no:cacheprovider", "--latency-budget", "--latency-report=report.json"),
        *("examples/tests/test_reduce_latency.py",),
    )

    report = json.loads(Path("report.json").read_text("utf-8"))
    calls = {function: call_of(function, report) for function, *_ in ROWS}
    result.assert_outcomes(passed=len(ROWS))
    assert [(function, *numbers(calls[function])) for function, *_ in ROWS] == ROWS
    for slow, fast, metric in (
        ("summarize_with_sonnet", "summarize_with_haiku", "total"),
        ("explain_at_length", "explain_in_short", "total"),
        ("hand_over_when_complete", "hand_over_as_it_is_written", "ttft"),
    ):
        assert calls[slow][metric] > calls[fast][metric]


def call_of(function: str, report: dict[str, Any]) -> dict[str, Any]:
    """The one call of the one test that runs this code."""
    (name,) = [
        re.match(r"\w+", body)[0]  # type: ignore[index]  # every test has a name
        for body in TESTS.split("def test_")[1:]
        if function.upper() in body or f"{function}(" in body
    ]
    (test,) = [test for test in report["tests"] if test["nodeid"].endswith(f"::test_{name}")]
    (call,) = test["calls"]
    return dict(call)


def numbers(call: dict[str, Any]) -> tuple[str, ...]:
    """What a row of the page says of it."""
    spans = [duration.show(duration.nanoseconds(call[metric])) for metric in ("ttft", "total")]
    return (*spans, str(call["prompt_tokens"]), str(call["output_tokens"]))
