"""What forked children of a run can know of the test that runs now: a page of memory that all of them share.

A child that is forked during a test has a copy of its measurement. One from before has none, and one that is still
there when the next test runs has the wrong one. So the parent shows on the page which test it measures.

A child of before the first latency test has no doors and no guard either: it gets a small audit hook when it is forked,
and the whole guard when it first connects while a test is shown. This module is loaded in every run, so it loads no
other of the package.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, final
from weakref import WeakSet

_NOTHING, _REPLAY, _SENDING = range(3)
_CONNECTING: Final = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"})


class Shown(NamedTuple):
    """The test that the parent measures now."""

    path: Path
    """Where its children tell what they do."""
    replays: bool


TOLD: Final = mmap.mmap(-1, 1)
"""A byte that this process shares with all that are forked from it: whether one of them ever told something."""


@final
class SharedPage:
    """The page. Only the process that made it writes to it."""

    def __init__(self) -> None:
        self._parent = os.getpid()
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    def show(self, path: Path, *, replays: bool) -> None:
        """Show that a test is measured."""
        if os.getpid() == self._parent:
            self._page[0] = _NOTHING  # first, so that no child reads half a path
            name = os.fsencode(path)
            self._page[1 : 3 + len(name)] = len(name).to_bytes(2, "big") + name
            self._page[0] = _REPLAY if replays else _SENDING

    def clear(self) -> None:
        """Show that no test is measured."""
        if os.getpid() == self._parent:
            self._page[0] = _NOTHING

    def read(self) -> Shown | None:
        """Return what is shown; `None` if no test is measured."""
        state = self._page[0]
        if state == _NOTHING:
            return None
        length = int.from_bytes(self._page[1:3], "big")
        return Shown(Path(os.fsdecode(self._page[3 : 3 + length])), replays=state == _REPLAY)


# ── when a child is forked ──

_TOLD_OF_FORKS: WeakSet[Any] = WeakSet()
"""Whose `forked` is called in each child."""


def tell_of_forks(told: Any, registered: list[bool] = []) -> None:  # noqa: B006 - once per process
    """Call `told.forked()` in each child that is forked from now on."""
    _TOLD_OF_FORKS.add(told)
    if not registered and hasattr(os, "register_at_fork"):
        registered.append(True)
        os.register_at_fork(after_in_child=_in_child)


def _in_child() -> None:
    for told in list(_TOLD_OF_FORKS):
        told.forked()


def guard_when_shown(page: SharedPage, guard: Callable[[], None]) -> None:
    """Call `guard` before the first connection of this process that is opened while a test is shown."""
    guarded: list[bool] = []

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in _CONNECTING or guarded or page.read() is None:
            return
        guarded.append(True)
        guard()
        # This event is over for a hook that was added in its midst.
        from pytest_claude_latency.http.guard import judging

        host, port = args[1][:2] if event == "socket.connect" and isinstance(args[1], tuple) else (*args, None)[:2]
        judging.judge(host, port, sys._getframe(1))

    with suppress(RuntimeError):  # another hook may forbid new ones
        sys.addaudithook(hook)
