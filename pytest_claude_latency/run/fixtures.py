"""What tests ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pytest_claude_latency.run.stash_keys import MEASURED_ITEM

if TYPE_CHECKING:
    import anthropic

    from pytest_claude_latency.measurement.latency import Latency
    from pytest_claude_latency.run.measured_item import MeasuredItem
    from pytest_claude_latency.run.worlds.world_runs import WorldItem


@pytest.fixture
def claude_latency(request: pytest.FixtureRequest) -> Latency:
    """Return the test's own measurements so far: `.calls`, `.setup_calls`, `.elapsed`, and `.budget(**limits)`."""
    return _measured_item(request).latency


@pytest.fixture
def claude_client(request: pytest.FixtureRequest) -> Iterator[anthropic.Anthropic]:
    """Yield an `anthropic.Anthropic`, closed after the test. A replay needs no key."""
    import anthropic

    _measured_item(request)
    with anthropic.Anthropic() as client:
        yield client


@pytest.fixture
def async_claude_client(request: pytest.FixtureRequest) -> Iterator[anthropic.AsyncAnthropic]:
    """Yield an `anthropic.AsyncAnthropic`, closed on the test's own loop. A replay needs no key."""
    import anthropic

    _measured_item(request)
    client = anthropic.AsyncAnthropic()
    yield client
    # Usually the body closed it, on the loop that its connections belong to. It is still open where the test ran no
    # loop of its own, made one by hand, or runs on a loop that goes on.
    if not client.is_closed():
        import asyncio

        with suppress(RuntimeError):  # a connection may belong to a loop that no longer exists
            asyncio.run(client.close())


def _measured_item(request: pytest.FixtureRequest) -> MeasuredItem | WorldItem:
    # The item is looked up, not made: the world of a latency test begins before its first fixture.
    current: MeasuredItem | WorldItem | None = request.node.stash.get(MEASURED_ITEM, None)
    if current is None:
        from pytest_claude_latency.run import messages
        from pytest_claude_latency.run.session import Failure

        raise Failure(messages.late_fixture(str(request.fixturename)))
    return current
