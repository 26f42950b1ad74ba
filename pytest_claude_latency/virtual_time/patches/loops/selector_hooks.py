"""How waits of a loop's selector are met while the loop runs, whoever runs it and whatever its selector is.

asyncio, and each library that runs a loop in its own way, as nest_asyncio does, tells which loop runs in a thread. From
then on, until another loop or none does, a hook stands in the place of the `select` of that loop's selector. Not all
the time: a hook refers to its loop, and a loop that is forgotten must be found by its own warnings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, final

HOOK = "_claude_latency_hook"  # the attribute of a loop that holds its hook, while the loop runs
_NONE = object()

Select: TypeAlias = Callable[["float | None"], Any]
# What is called in the place of the selector's `select`, which it is given, with the loop and the limit in seconds.
Meet: TypeAlias = Callable[[Any, Select, "float | None"], Any]


@final
class Hook:
    """What stands in the place of `select`, as an attribute of one selector. It can be called as `select` can."""

    __slots__ = ("_loop", "_meet", "_own", "_resolution", "_select", "_stand_in", "selector")

    def __init__(self, loop: Any, meet: Meet) -> None:
        """Put the hook in its place."""
        self.selector: Any = loop._selector
        self._loop = loop
        self._meet = meet
        self._resolution = loop._clock_resolution  # which is another in virtual time
        self._select: Select = self.selector.select
        attributes = _attributes(self.selector)
        # What was put there by a program: a monitor of the loop's lag for example, around the selector's own.
        self._own = attributes.get("select", _NONE)
        # Not by assignment: a mock would make a note of it, and have no `select` after it is deleted.
        attributes["select"] = self
        self._stand_in: _StandIn | None = None
        if self.selector.select is not self:  # it has a fixed set of attributes
            self.selector = self._stand_in = _StandIn(self.selector, self)
            loop._selector = self._stand_in

    def __call__(self, timeout: float | None = None) -> Any:
        """Wait as the selector does, or in the world in which the loop lives."""
        # A program that has put something around this hook may still call it when the loop runs no more, or again.
        return self._select(timeout) if self._loop is None else self._meet(self._loop, self._select, timeout)

    def remove(self) -> None:
        """Give the selector its own `select` back, unless the program has put something else there meanwhile."""
        loop, self._loop = self._loop, None
        loop._clock_resolution = self._resolution
        if self._stand_in is not None:
            if loop._selector is self._stand_in:
                loop._selector = self._stand_in.selector
            return
        attributes = _attributes(self.selector)
        if attributes.get("select") is self:
            del attributes["select"]
            if self._own is not _NONE:
                attributes["select"] = self._own


@final
class _StandIn:
    """Stands in the place of a selector that allows no attributes of ours."""

    def __init__(self, selector: Any, hook: Hook) -> None:
        self.selector = selector
        self.select = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self.selector, name)


def _attributes(selector: Any) -> dict[str, Any]:
    """Return the selector's own attributes, and not those of one to which it hands on; empty if it can have none."""
    try:
        return object.__getattribute__(selector, "__dict__")  # type: ignore[no-any-return] # of any object
    except AttributeError:
        return {}


def put(loop: Any, meet: Meet) -> None:
    """Hook the selector that the loop has now. A hook of another selector, which the loop had before, is removed."""
    remove(loop)
    loop.__dict__[HOOK] = Hook(loop, meet)


def remove(loop: Any) -> None:
    """Remove the loop's hook, if it has one."""
    hook: Hook | None = loop.__dict__.pop(HOOK, None)
    if hook is not None:
        hook.remove()


def on_running(events: Any, begins: Callable[[Any], None]) -> None:
    """Patch how the module `asyncio.events` is told which loop runs; call `begins` with each that begins to.

    Whatever `begins` hooks is unhooked again when the loop ends.
    """
    machine, running = events._set_running_loop, events._get_running_loop

    def _set_running_loop(loop: Any, /) -> None:
        before = running()
        # A loop may run inside of another one, also of itself: nest_asyncio allows it. The outer one has its hook still
        # when the inner one ends.
        if loop is not None and HOOK not in getattr(loop, "__dict__", {HOOK: None}):
            begins(loop)
        elif before is not None and before is not loop and hasattr(before, "__dict__"):
            remove(before)
        machine(loop)

    events._set_running_loop = _set_running_loop
