"""`claude-latency report`: any report from the JSON report of a run that is over."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_claude_latency.atomic_files import write_text
from pytest_claude_latency.cli.output import STANDARD_OUTPUT, say
from pytest_claude_latency.errors import LatencyError, ReportError
from pytest_claude_latency.printable import printable
from pytest_claude_latency.report import formats
from pytest_claude_latency.strict_json import JSONFaultError, parse, read_report


def declare(commands: Any) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "report",
        help="make any report from the JSON report of a run",
        description="Write a report from the JSON report of a run that is over, without running it again.",
    )
    parser.add_argument("report", type=Path, metavar="RUN.json", help="the JSON report of a run")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        action="append",
        metavar="FILE",
        help="the report to write, as --latency-report names it, or FORMAT:- for standard output; repeatable",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Write each report.

    Raises:
        LatencyError: the file is not the JSON report of a run, or a format is not known.
    """
    targets = [formats.parse_target(text) for text in chosen.output]
    try:
        report = parse(read_report(chosen.report, ReportError))
    except JSONFaultError as fault:
        raise ReportError(chosen.report, None, str(fault)) from None
    summary = report.get("summary") if isinstance(report, dict) else None
    if not isinstance(summary, dict) or "verdict" not in summary:
        raise ReportError(
            chosen.report, None, "it has no `summary` with a verdict: it is no report, or an earlier version wrote it"
        )
    for form, path in targets:
        try:
            text = formats.render(report, form)
        # anything may be in a file, and what is there is only known where a face needs it
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise LatencyError(f"{chosen.report} is damaged: {type(error).__name__} {error}") from None
        if path == STANDARD_OUTPUT:
            sys.stdout.write(text)
            continue
        write_text(path, text)
        say(f"wrote {printable(str(path))}")
    return 0
