"""Loops that cannot follow virtual time: each is refused at the first wait, with what to do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from pytest_claude_latency import duration
from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.virtual_time.scheduling.errors import UnsupportedLoop

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_NOT_ASYNCIOS = """\
a replayed answer is awaited on {loop}, which does not follow virtual time
  test      {test}
  why       the loop is not one of asyncio's own, or its thread works for pytest or for another library
  fix       let the test create its loop (uvloop is then replaced), or pass --latency-clock=real"""

_NOT_TRIOS = """\
a replayed answer is awaited in a trio run with {clock}, which does not follow virtual time
  test      {test}
  why       the run has a clock of the program, or its thread works for pytest or for another library
  fix       give trio.run no clock (pytest-trio: no mock_clock, no autojump_clock), or pass --latency-clock=real"""

_OWN_CLOCK = """\
the event loop {loop} has a clock of its own, which virtual time does not move
  test      {test}
  why       its tasks waited for {waited}, and its time() went on by {went_on}: its timers would never fire
  fix       use a loop with asyncio's own time() in this test, or pass --latency-clock=real"""

_UNKNOWN_FILES = """\
the selector {selector} of the event loop {loop} does not tell which files it watches
  test      {test}
  why       its get_map() returns no mapping, and virtual time would jump past what these files bring
  fix       let get_map() return what selectors.BaseSelector describes, or pass --latency-clock=real"""


class State(Protocol):
    """What is known of a loop in a world: `asyncio_loops.LoopState`, whose module is on top of this."""

    loop: Any
    world: WorldState
    files: Any


def error(world: WorldState, loop: Any) -> UnsupportedLoop:
    """Return the error for a loop that is none of asyncio's own."""
    return UnsupportedLoop(_NOT_ASYNCIOS.format(loop=_name(loop), test=world.name))


def error_of_trio(world: WorldState, clock: object) -> UnsupportedLoop:
    """Return the error for a run of trio that does not live in this world."""
    return UnsupportedLoop(_NOT_TRIOS.format(clock=_name(clock), test=world.name))


def refuse_own_clock(state: State, waited: Nanoseconds, went_on: float) -> None:
    """Raise if the loop's own clock went on by fewer seconds than virtual time did.

    Raises:
        UnsupportedLoop: it did.
    """
    if went_on < (waited - MILLISECOND) / SECOND:
        name, test = _name(state.loop), state.world.name
        spans = {"waited": duration.show(waited), "went_on": duration.show(duration.nanoseconds(max(went_on, 0.0)))}
        raise UnsupportedLoop(_OWN_CLOCK.format(loop=name, test=test, **spans))


def refuse_unknown_files(state: State, selector: Any) -> None:
    """Raise if it is not known which files the loop's selector watches; a mock watches none.

    Raises:
        UnsupportedLoop: it is not known.
    """
    if state.files is not None:
        return
    mock = sys.modules.get("unittest.mock")
    if mock is None or not isinstance(selector, mock.NonCallableMock):
        names = {"selector": _name(selector), "loop": _name(state.loop), "test": state.world.name}
        raise UnsupportedLoop(_UNKNOWN_FILES.format(**names))


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
