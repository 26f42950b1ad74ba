from __future__ import annotations

import pytest

from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.virtual_time.watch import stalls
from pytest_claude_latency.virtual_time.watch.stalls import StallWatch


class Machine:
    """Clocks that a test sets, in place of the machine's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.computed = 0
        monkeypatch.setattr(stalls, "monotonic_ns", lambda: self.now)
        monkeypatch.setattr(stalls, "process_time_ns", lambda: self.computed)

    def wake(self, watch: StallWatch, *, after: int, computed: int = 0) -> None:
        """Let the watch look after so many milliseconds, in which the process computed for so long."""
        self.now += after * MILLISECOND
        self.computed += computed * MILLISECOND
        watch._look()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_a_thread_that_wakes_late_while_nothing_computed_saw_a_stall(machine: Machine) -> None:
    watch = StallWatch()

    machine.wake(watch, after=50)
    machine.wake(watch, after=650)

    assert watch.stalls == [(100 * MILLISECOND, 700 * MILLISECOND)]


@pytest.mark.parametrize(("after", "computed"), [(340, 0), (900, 700), (900, 2000)])
def test_a_short_wait_for_a_processor_and_a_program_that_computes_are_no_stalls(
    machine: Machine, after: int, computed: int
) -> None:
    watch = StallWatch()

    machine.wake(watch, after=after, computed=computed)

    assert watch.stalls == []


def test_a_stall_that_ends_together_with_the_watch_is_seen(machine: Machine) -> None:
    watch = StallWatch()
    watch.start()
    machine.now += 2000 * MILLISECOND

    watch.stop()
    watch.stop()

    assert watch.stalls[-1][1] == 2000 * MILLISECOND
