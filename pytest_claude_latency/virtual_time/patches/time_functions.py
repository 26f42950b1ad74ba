"""The functions of the `time` module, each replaced once, early, by an object that keeps it.

`from time import sleep` keeps the replacement for good, so it decides at each call who asks. And
`class A: clock = time.monotonic` must not make a method of it, which a Python function in the place of one written in C
would become.

At first each object calls the function. When the first latency test begins, `time_module` gives it the class that asks
in which world the caller lives: a run without latency tests does not import what a world needs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, ModuleType
from typing import Any

from pytest_claude_latency.virtual_time.patches import patching
from pytest_claude_latency.virtual_time.patches.exempt_callers import EXEMPT

_PACKAGE = sys.modules[__name__.partition(".")[0]]


def _below(package: ModuleType) -> Iterator[tuple[str, ModuleType]]:
    """Return a module, and those below it that were imported, by their names."""
    yield package.__name__, package
    for name, value in tuple(vars(package).items()):
        if isinstance(value, ModuleType) and value.__name__ == f"{package.__name__}.{name}":
            yield from _below(value)


class TimeFunction:
    """Stands in place of one function of the `time` module, which it keeps as `machine`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.machine = function
        self.__name__ = self.__qualname__ = function.__name__
        self.__doc__ = function.__doc__
        self.__module__ = "time"

    @property
    def modules(self) -> dict[str, ModuleType]:
        """The modules of this package, also where `sys.modules` has forgotten them."""
        return dict(_below(_PACKAGE))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do what the machine's function does."""
        return self.machine(*args, **kwargs)

    def __reduce__(self) -> str:
        return self.__name__  # pickled by name, as the function is

    def __repr__(self) -> str:
        return f"<time.{self.__name__}, virtual in latency tests>"


_NAMES = (
    *("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "time", "time_ns"),
    *("localtime", "gmtime", "ctime", "asctime", "strftime", "clock_gettime", "clock_gettime_ns"),
)


FUNCTIONS: dict[str, TimeFunction] = {}
"""The replacements, by name; some libraries put others in their places."""


def install() -> bool:
    """Replace the functions of the `time` module; return False if they were replaced before."""
    if hasattr(time.monotonic, "machine"):
        return False
    names = [name for name in _NAMES if hasattr(time, name)]
    # gevent's own and eventlet's let other greenlets go on, which a world does not know.
    if isinstance(time.sleep, BuiltinFunctionType):
        names.append("sleep")
    for name in names:
        FUNCTIONS[name] = TimeFunction(getattr(time, name))
        setattr(time, name, FUNCTIONS[name])
    _EARLIER.extend(sys.modules)
    return True


# Modules that were imported before, and may have copies of the machine's functions; empty once these are replaced.
_EARLIER: list[str] = []
# Test tools are told apart by their names anyway, and this package needs the machine's functions.
_REAL = EXEMPT | {"time", __name__.partition(".")[0]}


def replace_copies() -> None:
    """Replace the copies that modules made by `from time import …` before `install`. Looking for them takes a while."""
    if not _EARLIER:
        return
    functions = {function.machine: function for function in FUNCTIONS.values()}
    earlier = [name for name in _EARLIER if name in sys.modules and name.partition(".")[0] not in _REAL]
    _EARLIER.clear()
    patching.replace_copies(functions, [sys.modules[name] for name in earlier])


@contextmanager
def left_to_the_machine() -> Iterator[None]:
    """Give the module its own functions back for so long, but for those that somebody else has replaced."""
    in_place = {name: function for name, function in FUNCTIONS.items() if vars(time)[name] is function}
    for name, function in in_place.items():
        setattr(time, name, function.machine)
    try:
        yield
    finally:
        for name, function in in_place.items():
            setattr(time, name, function)
