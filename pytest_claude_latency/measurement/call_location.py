"""Where in the program a call is made: the line that tells three calls of one model apart.

It is the innermost line of the program on the stack. A task may run the client's own coroutine, as those of
`asyncio.gather(client.messages.create(…), …)` do. Then no line of the program is on its stack, and the line that waits
for the task is the one.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from pytest_claude_latency.virtual_time.watch import source_location

_RUNNER = "pluggy."
"""A package whose frames stand between the program and pytest: what is beyond them is not the program's."""
_FARTHEST = 8  # tasks that wait for each other


def of_this_call(root: Path) -> str | None:
    """Return `file:line in function` for the request that the calling thread is sending.

    The file is relative to `root` where it lies below it. Where no line is the program's own, it is the line that
    called the client library. `None` if there is none either.
    """
    frame: FrameType | None = sys._getframe(1)
    task, outermost = _running_task()
    caller, is_in_library = None, False
    while frame is not None:
        whose = source_location.whose(frame.f_code.co_filename)
        if whose == "program":
            return source_location.line_of(frame, root)
        if whose == "installed":
            if str(frame.f_globals.get("__name__", "")).startswith(_RUNNER):
                break
            is_in_library = True
        elif is_in_library and caller is None:
            caller = frame
        # what comes next on the stack only runs the loop, in which the program may wait elsewhere
        if task is not None and frame is outermost and (waiting := _line_that_waits(task)) is not None:
            return source_location.line_of(waiting, root)
        frame = frame.f_back
    return None if caller is None else source_location.line_of(caller, root)


def caller_of_this_call(root: Path) -> str:
    """Return the program's line that called the function which sends the request; empty where there is none."""
    frame: FrameType | None = sys._getframe(1)
    task, outermost = _running_task()
    is_sender_known = False
    while frame is not None and not str(frame.f_globals.get("__name__", "")).startswith(_RUNNER):
        if source_location.is_program(frame):
            if is_sender_known:
                return source_location.line_of(frame, root)
            is_sender_known = True
        if task is not None and frame is outermost:
            waiting = _line_that_waits(task) if is_sender_known else None
            return "" if waiting is None else source_location.line_of(waiting, root)
        frame = frame.f_back
    return ""


def _running_task() -> tuple[asyncio.Task[Any] | None, FrameType | None]:
    """Return the task that the calling thread runs, and the outermost frame of its coroutine."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        task = None
    return task, getattr(task and task.get_coro(), "cr_frame", None)


def _line_that_waits(task: asyncio.Task[Any]) -> FrameType | None:
    """Return the frame of the program that waits for a task, directly or over other tasks; `None` without one."""
    seen, waiting = {id(task)}, [task]
    for _ in range(_FARTHEST):
        waiting = [parent for task in waiting for parent in _parents(task) if id(parent) not in seen]
        seen.update(map(id, waiting))
        for parent in waiting:
            awaiting: Any = parent.get_coro()
            found: FrameType | None = None
            # from the task's own coroutine to the innermost one that it awaits
            while awaiting is not None:
                frame = getattr(awaiting, "cr_frame", None)
                found = frame if frame is not None and source_location.is_program(frame) else found
                awaiting = getattr(awaiting, "cr_await", None)
            if found is not None:
                return found
    return None


def _parents(future: Any) -> Iterator[asyncio.Task[Any]]:
    """Yield the tasks that wait for a future: directly, or through `gather`, `wait`, `wait_for` or a task group."""
    # Each of these adds a callback to the future, which holds the task, or another future that the task waits for.
    for entry in getattr(future, "_callbacks", None) or ():
        callback = entry[0] if isinstance(entry, tuple) else entry
        held = [getattr(callback, "__self__", None)]
        held += callback.args if isinstance(callback, functools.partial) else ()
        for cell in getattr(callback, "__closure__", None) or ():
            with suppress(ValueError):  # it is empty
                held.append(cell.cell_contents)
        for value in held:
            parent = getattr(value, "_parent_task", value)  # of a task group
            if isinstance(parent, asyncio.Task):
                yield parent
            elif isinstance(parent, asyncio.Future) and parent is not future:
                yield from _parents(parent)
