"""A world for tests that live in one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_claude_latency import virtual_time
from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.clock import VirtualClock

virtual_time.install()


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The calling thread lives in this world until the test ends."""
    world = World(VirtualClock(), name=request.node.name)
    world.enter()
    yield world
    world.leave()
