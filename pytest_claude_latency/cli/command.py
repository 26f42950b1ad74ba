"""The command `claude-latency`. Each subcommand declares its arguments and does its work in a module of its own.

Exit status: 0 all is well, 1 problems or regressions were found, 2 the command was not understood, or a file could
not be read or written.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from pytest_claude_latency.cli import baselines, check, demo, drift, explain, profile, redraw, show, suggest
from pytest_claude_latency.cli.output import STANDARD_OUTPUT, CommandParser, Parser, run_printing_to, say
from pytest_claude_latency.errors import LatencyError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    parser = Parser(prog="claude-latency", description="Work with recordings and baselines of latency tests.")
    parser.add_argument("--version", action="version", version=f"claude-latency {version('pytest-claude-latency')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=CommandParser)
    for module in (check, show, explain, redraw, baselines, suggest, profile, drift, demo):
        module.declare(commands)
    chosen = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        # a test's id may hold characters that the terminal, or the encoding of a pipe, does not have
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = run_printing_to(getattr(chosen, "print_to", STANDARD_OUTPUT), chosen)
        # here, and not when Python ends: a pipe that was closed must be noticed where it is handled
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # whoever reads has read enough, for example `head`: Python flushes standard output again when it ends, and
        # that must not fail a second time
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except (LatencyError, OSError) as error:
        say(*f"claude-latency: {error}".split("\n"), error=True)
        return 2
