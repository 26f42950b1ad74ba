from __future__ import annotations

import os
import random
import select
import threading
from collections.abc import Iterator

import pytest

from pytest_claude_latency.virtual_time.scheduling import members
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.watch import watchdog
from tests.support.forced_switches import switching
from tests.support.virtual_time_programs import PROGRAMS, Program

TRIED = 12  # steps of each program; benchmarks/forced_switches.py tries all steps


@pytest.fixture
def _no_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the watchdog, nothing corrects a wrong count.

    Nor does anything ask again whether the thread that an earlier test has left behind is at rest, so it counts for
    nothing here.
    """
    monkeypatch.setattr(watchdog.WatchDog, "start", lambda self: None)
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            for mark in (members._BACKGROUND, members._TOOL):
                monkeypatch.setitem(thread.__dict__, mark, True)
    OUTSIDERS.changed()


@pytest.mark.usefixtures("_no_watchdog")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_switch_between_any_two_steps_changes_nothing(program: Program) -> None:
    with switching((), library=True) as switches:
        program.run()
    steps = random.Random(program.name).sample(range(1, switches.steps), TRIED)

    ends = []
    for step in steps:
        with switching((step,), library=True):
            ends.append(program.run())

    assert dict(zip(steps, ends, strict=True)) == dict.fromkeys(steps, program.ends)


@pytest.fixture
def _poller_left_behind() -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=_poll, args=(over,))
    thread.start()
    yield
    over.set()
    thread.join()


def _poll(over: threading.Event) -> None:
    reader, writer = os.pipe()
    while not over.is_set():
        select.select([reader], [], [], 0.001)
    os.close(reader)
    os.close(writer)


@pytest.mark.usefixtures("_poller_left_behind", "_no_watchdog")
def test_a_thread_of_an_earlier_test_counts_for_nothing() -> None:
    program = next(program for program in PROGRAMS if program.name == "a_result_waited_for_too_short")

    assert {program.run() for _ in range(20)} == {program.ends}


@pytest.mark.usefixtures("_no_watchdog")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_many_switches_at_once_change_nothing(program: Program) -> None:
    with switching((), library=True) as switches:
        program.run()
    steps = set(random.Random(program.name).sample(range(1, switches.steps), min(60, switches.steps - 1)))

    with switching(steps, library=True):
        end = program.run()

    assert end == program.ends
