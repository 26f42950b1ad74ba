"""Lines that are wider than the terminal which shows them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable

from pytest_claude_latency.printable import columns_of

_LABEL = re.compile(r"(?:E )? *(?:[a-z]+(?: [a-z0-9]+)*\?? +)?")
_OURS = re.compile("=+ claude latency.* =+|-+ where the time went -+")


def too_wide(lines: Iterable[str], width: int = 80) -> list[str]:
    """Return the lines that are wider, but for a single word behind a label: a path, an id or an address stays whole.

    Of a command, the word is one argument, and a backslash may follow.
    """
    wide = (line for line in lines if columns_of(line) > width)
    return [line for line in wide if len(_LABEL.sub("", line.removesuffix(" \\"), count=1).split()) > 1]


def too_wide_in_sections(lines: Iterable[str]) -> list[str]:
    """Return such lines of the sections that this plugin shows below the tests of a run."""
    shown: list[str] = []
    is_ours = False
    for line in lines:
        if re.fullmatch("[=_-]+ .* [=_-]+", line):
            is_ours = _OURS.fullmatch(line) is not None
        elif is_ours and not line.startswith("::"):  # a command to a CI service is one line
            shown.append(line)
    return too_wide(shown, max(shutil.get_terminal_size().columns, 80))
