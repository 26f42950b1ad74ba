"""Who waits in a line is never missed by who brings what it waits for."""

from __future__ import annotations

import pytest

from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.patches.blocking.lines import Line, Place
from pytest_claude_latency.virtual_time.scheduling.table import scheduled


@pytest.mark.parametrize("outside", [False, True], ids=["a member", "an outsider"])
def test_who_waits_stands_in_the_line_before_it_looks_for_what_has_come(world: World, outside: bool) -> None:
    line, seen = Line(), []

    def come() -> bool:
        # Who brings something in this moment must find somebody in the line.
        seen.append(bool(line))
        return True

    member = scheduled()
    assert member is not None
    if outside:
        line.wait_outside(Place(None, "a queue"), None, come)
    else:
        line.wait(member, Place(None, "a queue"), come)

    assert seen == [True]
    assert not line
