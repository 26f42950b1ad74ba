"""What the command prints: lines that people read pass through here, so that all of them are printable.

Documents (Markdown, JSON) are made printable by the functions that write them.
"""

from __future__ import annotations

import argparse
import re
import sys
from difflib import get_close_matches
from typing import NoReturn

from pytest_claude_latency.printable import printable


def say(*lines: str, error: bool = False) -> None:
    """Print lines, to standard error if they are about what went wrong."""
    # flushed, since what a child process prints is to stand behind it
    print(*map(printable, lines), sep="\n", file=sys.stderr if error else sys.stdout, flush=True)


class Parser(argparse.ArgumentParser):
    """A parser whose errors quote an argument with escapes: it may be the name of a file from anywhere."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and end the command. A word that is nearly an accepted one is told."""
        wrong, _, accepted = message.partition(" (choose from ")
        typed = wrong.rpartition("invalid choice: ")[2].strip("'")
        near = get_close_matches(typed, re.findall(r"[\w-]+", accepted), 1)
        super().error(printable(f"{message}; did you mean {near[0]}?" if near else message))
