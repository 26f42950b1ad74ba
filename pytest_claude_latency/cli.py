"""The command `claude-latency`. Each subcommand declares its arguments here and finds its work elsewhere.

Exit status: 0 all is well, 1 problems were found, 2 the command was not understood.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_claude_latency import check
from pytest_claude_latency.cassette import Recording


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the outcome is its exit status."""
    parser = argparse.ArgumentParser(prog="claude-latency", description="Work with recordings of latency tests.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _declare_check(commands)
    _declare_explain(commands)
    chosen = parser.parse_args(arguments)
    return int(chosen.run(chosen))


def _declare_check(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="check recordings: readable, free of credentials, used by a test",
        description="Check that every recording is readable, free of credentials, and used by a test that is "
        "still there; show how old each is, and which SDK made it.",
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="DIR", help="a folder to search for recordings, or one")
    parser.add_argument("--no-collect", action="store_true", help="do not ask pytest which tests there are")
    parser.add_argument("--cassettes", default="cassettes", metavar="DIR", help="name of the folders of recordings")
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
    from pytest_claude_latency import explain

    if missing := [place for place in chosen.places if not place.exists()]:
        parser.error(f"there is no {missing[0]}")
    lines, whole = explain.explain(chosen.places, chosen.cassettes)
    print("\n".join(lines) or f"no recordings or reports in {' '.join(map(str, chosen.places))}")
    return 0 if lines and whole else 1


def _check(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> int:
    if missing := [place for place in chosen.places if not place.exists()]:
        parser.error(f"there is no {missing[0]}")
    found = check.find(chosen.places, chosen.cassettes)
    if not found:
        print(f"no recordings in {' '.join(map(str, chosen.places))}")
        return 1
    checked = check.check(found, chosen.cassettes, collect=not chosen.no_collect)
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
    return "1 day" if days == 1 else f"{days} days"


def _summary(checked: Sequence[check.Checked]) -> str:
    """How many, how many with problems, and the SDK lines they come from: `anthropic 1.x: 3, 2.x: 9`."""
    lines = Counter(f"{each.recording.anthropic.partition('.')[0]}.x" for each in checked if each.recording)
    sdk = f", anthropic {', '.join(f'{line}: {lines[line]}' for line in sorted(lines))}" if lines else ""
    problems = sum(bool(each.problems) for each in checked)
    noun = "recording" if len(checked) == 1 else "recordings"
    return f"{len(checked)} {noun}{sdk}; {problems or 'none'} with problems"
