"""The page on which a parent shows its children which test it measures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_claude_latency.measurement.processes.shared_page import SharedPage, Shown

pytestmark = pytest.mark.skipif("not hasattr(os, 'fork')", reason="processes are forked on POSIX only")


def seen_by_a_child(page: SharedPage) -> str:
    """Return what a forked child, which also tries to clear the page, reads on it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        page.clear()
        os.write(writing, repr(page.read()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as told:
        return told.read()


@pytest.mark.parametrize("replays", [True, False])
def test_a_child_reads_what_its_parent_shows_and_cannot_change_it(replays: bool) -> None:
    page = SharedPage()
    shown = Shown(Path("/tmp/claude-latency-ä.jsonl"), replays=replays)

    page.show(shown.path, replays=replays)

    assert seen_by_a_child(page) == repr(shown)
    assert page.read() == shown


def test_nothing_is_shown_at_first_and_when_it_is_cleared() -> None:
    page = SharedPage()
    assert page.read() is None

    page.show(Path("x"), replays=True)
    page.clear()

    assert page.read() is None
