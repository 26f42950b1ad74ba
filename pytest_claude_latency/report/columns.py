"""Columns: a table in a terminal, its cells padded to the columns that they take up there, and lines that fit it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

import pytest

from pytest_claude_latency.printable import columns_of, fitted, printable_lines

GAP = "  "
_NARROWEST = 16
"""What is left of the first column in the narrowest terminal."""


def width_of(reporter: pytest.TerminalReporter) -> int:
    """Return the columns of a line without the last: some terminals wrap a line that fills it."""
    return max(reporter.config.get_terminal_writer().fullwidth - 1, 40)


def write(reporter: pytest.TerminalReporter, text: str, indent: int = 0, **markup: bool) -> None:
    """Write a text in lines that fit the terminal: all that is not a row of a table gets there through this."""
    # a text may have lines of its own: they are wrapped one by one, or their indentation would be lost
    for line in filter(None, printable_lines(text).split("\n")):
        for part in fitted(" " * indent + line, width_of(reporter) + 1).split("\n"):
            reporter.write_line(part, **markup)


def write_between_tests(reporter: pytest.TerminalReporter, text: str) -> None:
    """Write a text while tests run, when pytest may stand in the middle of a line of dots."""
    reporter.ensure_newline()
    if reporter.config.get_terminal_writer().width_of_current_line:  # with -q pytest itself forgets its dots
        reporter.write("\n")
    write(reporter, text)


def narrowed(
    rows: Iterable[tuple[str, ...]], available: int, expendable: Iterable[str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headers and the other rows without columns that have no room: of the `expendable` ones, the first.

    The first column counts with its header only, since its cells may stand on lines of their own.
    """
    columns = list(zip(*rows, strict=True))
    for header in expendable:
        if (
            columns_of(columns[0][0]) + sum(len(GAP) + max(map(columns_of, column)) for column in columns[1:])
            <= available
        ):
            break
        columns = [column for column in columns if column[0] != header]
    headers, *others = zip(*columns, strict=True)
    return headers, others


def column_widths(
    rows: Iterable[Sequence[str]], available: int | None = None, narrowest: int = _NARROWEST
) -> list[int]:
    """Return the width of each column; the first one gets what the others leave of `available`."""
    widths = [max(map(columns_of, column)) for column in zip(*rows, strict=True)]
    if available is None:
        return widths
    # numbers and verdicts are short and must be readable, so only the first column, the test's id, is made narrower
    rest = available - sum(widths[1:]) - len(GAP) * (len(widths) - 1)
    return [min(widths[0], max(rest, narrowest)), *widths[1:]]


def padded(cells: Sequence[str], widths: Sequence[int], numbers: Container[int] = ()) -> list[str]:
    """Return the cells, each filled up to its width: those at the places `numbers` on the left, others on the right."""
    filled = []
    for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        # not `str.ljust`: it counts characters, and a Chinese one takes two columns
        space = " " * (width - columns_of(cell))
        filled.append(space + cell if place in numbers else cell + space)
    return filled


def line_of(cells: Sequence[str], widths: Sequence[int], numbers: Container[int] = ()) -> str:
    """Return the padded cells as one line, without space at its end."""
    return GAP.join(padded(cells, widths, numbers)).rstrip()


def by_file(nodeids: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return for each file the tests in it, in the order given: the id of each, and its name without the file.

    Names stay whole that way: what a table has no room for is the path, and it is the same for all of them.
    """
    files: dict[str, dict[str, str]] = {}
    for nodeid in nodeids:
        file, _, name = nodeid.partition("::")
        files.setdefault(file, {})[nodeid] = name or nodeid
    return files


def shorten(text: str, width: int) -> str:
    """Return the text in at most `width` columns; a longer one loses its middle, and keeps more of its end."""
    if columns_of(text) <= width:
        return text
    # the end is the test's name, which tells the tests of one file apart
    head, tail = (width - 1) // 3, width - 1 - (width - 1) // 3
    return f"{_start(text, head)}…{_start(text[::-1], tail)[::-1]}"


def _start(text: str, width: int) -> str:
    """Return as much of the start of the text as fits in `width` columns."""
    taken = 0
    for position, char in enumerate(text):
        taken += columns_of(char)
        # a wide character that would only half fit is left out
        if taken > width:
            return text[:position]
    return text
