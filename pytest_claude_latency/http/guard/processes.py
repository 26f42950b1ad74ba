"""New processes: each way in which Python starts one, so that during a replay none finds the way to the API.

Whatever starts a process in Python ends at one of a few functions. `subprocess` and `asyncio` are met at `Popen`, where
the program's line is known; `multiprocessing` and loky below it, at `_posixsubprocess`; the rest in `os`. What a fork
server forks was started long before, so its children are given their environment with the task that they get.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, final

from pytest_claude_latency.http.guard import child_environment, judging
from pytest_claude_latency.virtual_time.patches.patching import replace_copies, wrap

_PLACE_OF_ENV = 10  # among the arguments of `Popen`, where hardly anybody gives it by its place
_OF_THE_SERVER = "_claude_latency_environment"
_PYTHONS_OWN = frozenset({"_aix_support", "_osx_support", "ctypes", "platform", "uuid"})
"""Modules that need processes for themselves: they ask the machine what it is. Others start what the program names."""
_SERVERS = frozenset({"multiprocessing.forkserver", "multiprocessing.resource_tracker"})
"""Modules whose processes serve the whole run. The children of a fork server are met one by one."""


def in_os(module: Any) -> None:
    """Meet `os.system`, `posix_spawn` and `exec`, on which `os.spawn` and `pty` rest."""
    places_of_env = {"system": None, "execv": None, "execve": 2, "posix_spawn": 2, "posix_spawnp": 2}
    starts = {getattr(module, name, None): place for name, place in places_of_env.items()}
    starts.pop(None, None)  # not on this system
    # Test modules are imported before the first latency test, with `from os import system` in them.
    replace_copies({start: _met(start, place) for start, place in starts.items()})


def in_posixsubprocess(module: Any) -> None:
    """Meet what `multiprocessing` and loky spawn."""
    # Written in C, it takes its arguments by place alone: the sixth is the environment.
    module.fork_exec = _met(module.fork_exec, 5)


def in_subprocess(module: Any) -> None:
    """Meet `Popen`."""

    def init(original: Any, popen: Any, *args: Any, **kwargs: Any) -> None:
        frame, watcher = sys._getframe(2), judging.watcher_now()
        caller = _module_above(frame, "subprocess", "os").partition(".")[0]  # `os.popen` rests on `Popen`
        if watcher is not None and caller not in _PYTHONS_OWN:
            is_refused = watcher.replays and len(args) <= _PLACE_OF_ENV
            if is_refused:
                kwargs["env"] = child_environment.refusing(kwargs.get("env"))
            judging.met_process(frame, is_refused=is_refused)
        original(popen, *args, **kwargs)

    wrap(module.Popen, "__init__", init)


def in_forkserver(module: Any) -> None:
    """Meet what a fork server forks: the new process sets its environment before it reads its task."""

    def launch(original: Any, popen: Any, process: Any) -> Any:
        watcher = judging.watcher_now()
        if watcher is None:
            return original(popen, process)
        judging.met_process(sys._getframe(2), is_refused=watcher.replays)
        if not watcher.replays:
            return original(popen, process)
        # First among its attributes, in which order they are read.
        process.__dict__ = {_OF_THE_SERVER: _Environment(), **process.__dict__}
        try:
            return original(popen, process)
        finally:
            del process.__dict__[_OF_THE_SERVER]

    wrap(module.Popen, "_launch", launch)


@final
class _Environment:
    """What sets the addresses of the API in the process that reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Nothing but Python's own: reading it must not import anything.
        return exec, (f"import os; os.environ.update({child_environment.refused_addresses()!r})",)


def _met(start: Any, place_of_env: int | None) -> Callable[..., Any]:
    """Return what meets the process that `start` starts.

    The environment of the process is the argument at that place; with `None` it is that of this process.
    """

    @functools.wraps(start)
    def starting(*args: Any, **kwargs: Any) -> Any:
        frame, watcher = sys._getframe(1), judging.watcher_now()
        caller = _module_above(frame, "multiprocessing.util")
        if watcher is None or caller in _SERVERS:
            return start(*args, **kwargs)
        if caller != "subprocess":  # where it was met already, at `Popen`
            judging.met_process(frame, is_refused=watcher.replays)
        if not watcher.replays:
            return start(*args, **kwargs)
        if place_of_env is not None and kwargs.get("env") is not None:
            kwargs["env"] = _refused(kwargs["env"])
        elif place_of_env is not None and len(args) > place_of_env and args[place_of_env] is not None:
            args = (*args[:place_of_env], _refused(args[place_of_env]), *args[place_of_env + 1 :])
        else:
            with child_environment.refusing_here():
                return start(*args, **kwargs)
        return start(*args, **kwargs)

    return starting


def _refused(given: Any) -> Any:
    """Return an environment in the form in which it was given: a mapping, or a list of `name=value` as bytes."""
    if not isinstance(given, list | tuple):
        return child_environment.refusing(given)
    named = dict(os.fsdecode(entry).split("=", 1) for entry in given)
    return [os.fsencode(f"{name}={value}") for name, value in child_environment.refusing(named).items()]


def _module_above(frame: FrameType | None, *modules: str) -> str:
    """Return the name of the module that calls one of `modules`, or of the caller itself."""
    while frame is not None and frame.f_globals.get("__name__") in modules:
        frame = frame.f_back
    return "" if frame is None else str(frame.f_globals.get("__name__"))


LIBRARIES: dict[str, Callable[[Any], None]] = {
    "multiprocessing.popen_forkserver": in_forkserver,
    "subprocess": in_subprocess,
}
