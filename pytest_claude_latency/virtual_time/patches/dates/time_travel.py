"""time-machine: the dates to which a program travels win, while durations follow the world.

time-machine writes into the functions of `time` and `datetime` that are made in C. It takes what it finds under their
names for such functions, without a look, and would crash the interpreter on what this package puts in their places. So
it finds the machine's own whenever it looks: when its C code is imported, or, in its versions before 3, when a travel
begins. Ours ask at each call whether a travel is under way.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, SimpleNamespace
from typing import Any

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.virtual_time.patches import time_functions
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS
from pytest_claude_latency.virtual_time.scheduling.real_clock import TRAVELS, get_ident, monotonic_ns
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS

_LOOKING = ("patch", "patch_if_needed", "unpatch")


@contextmanager
def machines_functions() -> Iterator[None]:
    """Give `time` and `datetime` the machine's functions back for so long."""
    # Before the first latency test nothing is patched in the type, and its module of ours is not imported.
    datetime_type = sys.modules.get(f"{__package__}.datetime_type")
    with time_functions.left_to_the_machine():
        if datetime_type is None:
            yield
        else:
            with datetime_type.left_to_the_machine():
                yield


def install_c_code(module: Any) -> None:
    """Patch `_time_machine`, which is written in C."""
    for name in [name for name in _LOOKING if hasattr(module, name)]:
        setattr(module, name, _finding_the_machines(getattr(module, name)))
    TRAVELS.machine_time_ns = module.original_time_ns


def _finding_the_machines(look: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(look)
    def looking() -> Any:
        with machines_functions():
            return look()

    return looking


def install(module: Any) -> None:
    """Patch `time_machine`, whose travels may tick."""
    TRAVELS.under_way = module.traveller_stack if hasattr(module, "traveller_stack") else module.coordinates_stack
    traveller = module.Traveller if hasattr(module, "Traveller") else module.Coordinates
    # It ticks with the machine's date, for which it asks its C code by this name. Only this method gets another answer:
    # the program may ask for the machine's date in the same way.
    names = {**vars(module), "_time_machine": SimpleNamespace(original_time_ns=_ticks)}
    traveller.time_ns = FunctionType(traveller.time_ns.__code__, names, "time_ns")


def _ticks() -> Nanoseconds:
    """Return the time by which travels tick: that of the active world, whoever asks, or else the machine's."""
    # It goes on from world to world, whatever date each begins with. One clock for all threads: the first that asks for
    # the date sets where the ticks begin.
    member = MEMBERS.get(get_ident())
    if member is not None and member.world.readings is not None:
        return member.world.readings.monotonic_ns()
    for other in tuple(MEMBERS.values()):
        if not other.world.ended and (readings := other.world.readings) is not None:
            return readings.origin + readings.now()
    return monotonic_ns() + LEADS.latest.monotonic
