"""What the command prints, and the file that it writes instead.

Lines that people read pass through here, so that all of them are printable. Documents (Markdown, JSON) are made
printable by the functions that write them.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final, NoReturn

from pytest_claude_latency.atomic_files import write_text
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.near_names import did_you_mean
from pytest_claude_latency.printable import fitted, printable

STANDARD_OUTPUT: Final = Path("-")


def say(*lines: str, error: bool = False) -> None:
    """Print lines that fit the terminal, to standard error if they are about what went wrong."""
    stream = sys.stderr if error else sys.stdout
    # A file or a program gets whole lines: there nobody reads, but something looks for words in them.
    width = sys.maxsize
    if (wished := os.environ.get("COLUMNS", "")).isdecimal():
        width = max(int(wished), 40)
    elif stream.isatty():
        width = max(os.get_terminal_size(stream.fileno()).columns, 40)
    # flushed, since what a child process prints is to stand behind it
    print(*(fitted(printable(line), width) for line in lines), sep="\n", file=stream, flush=True)


class Parser(argparse.ArgumentParser):
    """A parser whose errors quote an argument with escapes: it may be the name of a file from anywhere."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and end the command. A word that is nearly an accepted one is told."""
        wrong, _, accepted = message.partition(" (choose from ")
        typed = wrong.rpartition("invalid choice: ")[2].strip("'")
        text = printable(message + did_you_mean(typed, re.findall(r"[\w-]+", accepted), form="{}"))
        self.print_usage(sys.stderr)
        say(f"{self.prog}: error: {text}", error=True)
        raise SystemExit(2)


class CommandParser(Parser):
    """The parser of one command. Each command takes `-o`; one that writes a file of its own declares it anew."""

    def __init__(self, **settings: Any) -> None:
        """Make the parser, as `argparse.ArgumentParser` is made."""
        super().__init__(**settings, conflict_handler="resolve")
        self.add_argument(
            "-o",
            "--output",
            dest="print_to",
            metavar="FILE",
            type=Path,
            default=STANDARD_OUTPUT,
            help="write there what it would print; - is standard output",
        )


def run_printing_to(target: Path, chosen: argparse.Namespace) -> int:
    """Run the chosen command, with what it prints in the file `target`; return its exit status.

    Raises:
        LatencyError: the command failed, or the file cannot be written; what was there before is untouched.
    """
    if target == STANDARD_OUTPUT:
        return int(chosen.run(chosen))
    refuse_target(target, chosen)
    with redirect_stdout(io.StringIO()) as printed:
        status = int(chosen.run(chosen))
    try:
        write_text(target, printed.getvalue())
    except OSError as error:
        raise LatencyError(f"cannot write {target}: {error.strerror or error}") from error
    return status


def refuse_target(target: Path, chosen: argparse.Namespace) -> None:
    """Refuse a file that a mistyped command would destroy: one that it reads, or another recording or baseline.

    Raises:
        LatencyError: the file must not be written; it says why.
    """
    if target.is_dir():
        raise LatencyError(f"cannot write {target}: it is a directory")
    if not target.is_file():
        return
    if target.suffix == ".jsonl":
        raise LatencyError(f"{target} holds a recording or a baseline; --output must name another file")
    arguments = [value for name, value in vars(chosen).items() if name != "print_to"]
    places = [place for value in arguments for place in (value if isinstance(value, list) else [value])]
    files = [Path(place) for place in places if isinstance(place, str | Path)]
    if any(file.is_file() and file.samefile(target) for file in files):
        raise LatencyError(f"{target} is read by the command; --output must name another file")
