from __future__ import annotations

import pytest

from pytest_claude_latency.http.guard.open_connections import UnseenConnection
from pytest_claude_latency.measurement.measurement import Misses
from pytest_claude_latency.measurement.miss import Miss
from pytest_claude_latency.measurement.unseen import Unseen

CONNECTION = UnseenConnection("api.anthropic.com", 443, is_older=False)


class _Opened:
    """Connections that code in C opens: each look shows the next of them."""

    def __init__(self, *looks: list[UnseenConnection]) -> None:
        self._looks = list(looks)
        self.count = 0

    def news(self) -> list[UnseenConnection]:
        self.count += 1
        return self._looks.pop(0) if self._looks else []


def _misses(opened: _Opened) -> Misses:
    unseen = Unseen()
    unseen.open_connections = opened  # type: ignore[assignment]
    return Misses(unseen, replays=True)


def test_the_end_of_a_measurement_does_not_look_again_for_what_its_last_block_left() -> None:
    opened = _Opened()
    misses = _misses(opened)
    with misses.failing():
        pass

    misses.end()

    assert opened.count == 1


def test_a_connection_that_a_block_leaves_fails_it() -> None:
    misses = _misses(_Opened([CONNECTION]))

    with pytest.raises(Miss, match="code in C"), misses.failing():
        pass


def test_the_end_looks_where_no_block_did_since_something_of_the_program_ran() -> None:
    opened = _Opened([], [CONNECTION])
    misses = _misses(opened)
    with misses.failing():
        pass
    with pytest.raises(KeyboardInterrupt), misses.failing():
        raise KeyboardInterrupt

    misses.end()

    assert bool(misses)
