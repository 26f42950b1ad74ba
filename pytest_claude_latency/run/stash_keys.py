"""What pytest's stashes hold for this plugin. Every run of every suite imports this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_claude_latency.duration import Nanoseconds
    from pytest_claude_latency.run.session import Session

SESSION: pytest.StashKey[Session] = pytest.StashKey()
"""The run, in the stash of its config; see `beginning.session_of`."""

MEASURED_ITEM: pytest.StashKey[Any] = pytest.StashKey()
"""The latency test that an item is running as: a `MeasuredItem`, or a `WorldItem` in one of its simulated worlds."""

IN_WORLD: pytest.StashKey[bool] = pytest.StashKey()
"""Whether the item runs in one of its simulated worlds."""

SETTLED: pytest.StashKey[bool] = pytest.StashKey()
"""In the stash of an item: it was not run, since the samples before it settled the limits of its test."""

LACKS_ANSWERS: pytest.StashKey[Nanoseconds] = pytest.StashKey()
"""In the stash of an item with a fault whose replay asked for what no recording fits: how long it had run by then."""

CALLS_API: pytest.StashKey[bool] = pytest.StashKey()
"""In the stash of such an item while it runs again, with the API."""
