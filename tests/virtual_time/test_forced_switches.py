from __future__ import annotations

import random

import pytest

from pytest_claude_latency.virtual_time.watch import watchdog
from tests.support.forced_switches import switching
from tests.support.virtual_time_programs import PROGRAMS, Program

TRIED = 12  # steps of each program; benchmarks/forced_switches.py tries all steps


@pytest.fixture
def _no_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the watchdog, nothing corrects a wrong count."""
    monkeypatch.setattr(watchdog.WatchDog, "start", lambda self: None)


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


@pytest.mark.usefixtures("_no_watchdog")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_many_switches_at_once_change_nothing(program: Program) -> None:
    with switching((), library=True) as switches:
        program.run()
    steps = set(random.Random(program.name).sample(range(1, switches.steps), min(60, switches.steps - 1)))

    with switching(steps, library=True):
        end = program.run()

    assert end == program.ends
