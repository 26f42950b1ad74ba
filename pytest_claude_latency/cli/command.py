"""The command `claude-latency`. Each subcommand declares its arguments here and finds its work elsewhere.

Exit status: 0 all is well, 1 problems or regressions were found, 2 the command was not understood, or a file could
not be read or written.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cli import baselines, check, recordings_in_use, suggest
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.errors import LatencyError, LimitError
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.report.exports import FORMATS

_RULES = (
    ("tolerance", "X", "exact comparisons ignore changes up to this share (default: 0)"),
    ("min-ratio", "R", "statistical comparisons: the smallest ratio that counts (default: 1.10)"),
    ("min-shift", "D", "statistical comparisons: the smallest shift that counts (default: 25ms)"),
)
_FILE = "the name of a baseline, which is NAME.jsonl in .latency/ of the project, or a path"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the outcome is its exit status."""
    parser = argparse.ArgumentParser(
        prog="claude-latency", description="Work with recordings and baselines of latency tests."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _declare_check(commands)
    _declare_compare(commands)
    _declare_list(commands)
    _declare_merge(commands)
    _declare_export(commands)
    _declare_suggest(commands)
    _declare_explain(commands)
    chosen = parser.parse_args(arguments)
    _escape_what_cannot_be_shown()
    try:
        status = int(chosen.run(chosen))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads has read enough, `head` say: what is still to come goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except (LatencyError, OSError) as error:
        print(f"claude-latency: {error}", file=sys.stderr)
        return 2


def _escape_what_cannot_be_shown() -> None:
    """A test's id may hold characters that the terminal, or the encoding of a pipe, does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


# ── baselines ──


def _declare_compare(commands: Any) -> None:
    parser = commands.add_parser(
        "compare",
        help="compare two baselines: what became slower, and what did not",
        description="Compare what was measured of each test before and now: exactly where it was replayed in "
        "virtual time, by statistics where it was measured. Exit status 1 if something became worse.",
    )
    parser.add_argument("before", metavar="A", help=f"{_FILE}, or the JSON report of a run")
    parser.add_argument("after", metavar="B", help="what is compared with it, likewise")
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text", help="default: text")
    parser.add_argument("--all", action="store_true", help="show also what did not change")
    for name, metavar, text in _RULES:
        parser.add_argument(f"--{name}", metavar=metavar, help=text)
    parser.set_defaults(run=lambda chosen: _compare(parser, chosen))


def _compare(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> int:
    rules = Rules()
    for name, _, _ in _RULES:
        key = name.replace("-", "_")
        if (text := getattr(chosen, key)) is not None:
            try:
                rules = rules.with_text(key, text)
            except LimitError as error:
                parser.error(f"argument --{name}: {error}")
    return baselines.compare(chosen.before, chosen.after, rules, chosen.format, everything=chosen.all)


def _declare_list(commands: Any) -> None:
    parser = commands.add_parser(
        "list",
        help="list baselines: how many tests and samples, how and when they were measured",
        description="List the baselines of a project. Exit status 1 if one cannot be read, or there are none.",
    )
    parser.add_argument(
        "place", nargs="?", type=Path, metavar="DIR", help="a project, or a folder of baselines (default: this project)"
    )
    parser.set_defaults(run=lambda chosen: baselines.show_list(chosen.place))


def _declare_merge(commands: Any) -> None:
    parser = commands.add_parser(
        "merge",
        help="make one baseline of those that sharded jobs saved",
        description="Make one baseline of those that the jobs of a sharded run saved. They must agree where they "
        "hold the same sample of a test.",
    )
    parser.add_argument("parts", nargs="+", metavar="A", help=_FILE)
    parser.add_argument("--output", required=True, metavar="NAME", help="the baseline to write, likewise")
    parser.add_argument("--force", action="store_true", help="replace a baseline that is none of those merged")
    parser.set_defaults(run=lambda chosen: baselines.show_merge(chosen.parts, chosen.output, force=chosen.force))


def _declare_export(commands: Any) -> None:
    parser = commands.add_parser(
        "export",
        help="export a baseline to a tool that keeps a history of benchmarks",
        description="Write the median of each metric of each test, with the lowest and highest sample, in the format "
        "of another tool: bencher, Bencher Metric Format; github, customSmallerIsBetter of github-action-benchmark.",
    )
    parser.add_argument("name", metavar="NAME", help=f"{_FILE}, or the JSON report of a run")
    parser.add_argument("--format", choices=sorted(FORMATS), required=True)
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write it (default: standard output)")
    parser.set_defaults(run=lambda chosen: baselines.export(chosen.name, chosen.format, chosen.output))


# ── budgets ──


def _declare_suggest(commands: Any) -> None:
    parser = commands.add_parser(
        "suggest",
        help="propose budgets from what was measured",
        description="Propose a budget for each test in the JSON report of a run, as markers to paste: the worst sample "
        "and 25 % more, at least 50ms more, rounded up to two digits. Exit status 1 if there is none to propose.",
    )
    parser.add_argument("report", metavar="REPORT", help=f"the JSON report of a run, or {_FILE}")
    parser.set_defaults(run=lambda chosen: suggest.show(chosen.report))


# ── recordings ──


def _declare_check(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="check recordings: readable, free of credentials, used by a test",
        description="Check that every recording is readable, free of credentials, and used by a test that is "
        "still there; show how old each is, and which SDK made it.",
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="DIR", help="a folder to search for recordings, or one")
    parser.add_argument("--no-collect", action="store_true", help="do not ask pytest which tests there are")
    parser.add_argument(
        "--cassettes",
        metavar="DIR",
        help="name of the folders of recordings (default: what the ini file says, else cassettes)",
    )
    parser.set_defaults(run=lambda chosen: _check(parser, chosen))


def _declare_explain(commands: Any) -> None:
    parser = commands.add_parser(
        "explain",
        help="where the time of recordings went, and what would make it less",
        description="Break the time of recordings, and of the JSON reports of runs, down into parts, and list what was "
        "found about them, each with its remedy.",
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="FILE|DIR", help="a recording, a report, or a folder")
    parser.add_argument("--cassettes", default="cassettes", metavar="DIR", help="name of the folders of recordings")
    parser.set_defaults(run=lambda chosen: _explain(parser, chosen))


def _explain(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> int:
    from pytest_claude_latency.cli import explain

    if missing := [place for place in chosen.places if not place.exists()]:
        parser.error(f"there is no {missing[0]}")
    lines, whole = explain.explain(chosen.places, chosen.cassettes)
    print("\n".join(lines) or f"no recordings or reports in {' '.join(map(str, chosen.places))}")
    return 0 if lines and whole else 1


def _check(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> int:
    if missing := [place for place in chosen.places if not place.exists()]:
        parser.error(f"there is no {missing[0]}")
    folder = chosen.cassettes or recordings_in_use.folder_name(chosen.places) or "cassettes"
    found = check.find(chosen.places, folder)
    if not found:
        print(f"no recordings in {' '.join(map(str, chosen.places))}")
        return 1
    checked = check.check(found, folder, collect=not chosen.no_collect)
    now = datetime.now(UTC)
    for each in checked:
        print(_row(each, now))
        for problem in each.problems:
            print(f"    {problem}")
    print(_summary(checked))
    return 1 if any(each.problems for each in checked) else 0


def _row(checked: check.Checked, now: datetime) -> str:
    verdict = "PROBLEM" if checked.problems else "ok"
    recording = checked.recording
    facts = f"{_age(recording, now):>10}  anthropic {recording.anthropic:<8}" if recording else " " * 30
    return f"{verdict:<8}{facts}  {checked.path}"


def _age(recording: Recording, now: datetime) -> str:
    days = max((now - datetime.fromisoformat(recording.recorded)).days, 0)
    return number_of(days, "day")


def _summary(checked: Sequence[check.Checked]) -> str:
    """How many, how many with problems, and the SDK lines they come from: `anthropic 1.x: 3, 2.x: 9`."""
    lines = Counter(f"{each.recording.anthropic.partition('.')[0]}.x" for each in checked if each.recording)
    sdk = f", anthropic {', '.join(f'{line}: {lines[line]}' for line in sorted(lines))}" if lines else ""
    problems = sum(bool(each.problems) for each in checked)
    return f"{number_of(len(checked), 'recording')}{sdk}; {problems or 'none'} with problems"
