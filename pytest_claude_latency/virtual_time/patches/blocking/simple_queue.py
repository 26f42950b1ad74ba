"""`queue.SimpleQueue` as programs make it: members wait in virtual time for what comes into it.

Everything about its items stays with the type written in C, so it is as safe in signal handlers and finalizers as
before. Only a thread that finds it empty waits next to the queue. An outsider does so too: when a member puts something
in, the outsider works for the member's world until it finds the queue empty again.

Programs may copy the type early, so this module is imported in every run that has the module `queue`. It imports what
a wait needs only in a wait.
"""

from __future__ import annotations

import _queue
import sys
from typing import TYPE_CHECKING, Any, final
from weakref import ref

from pytest_claude_latency.virtual_time.patches.exempt_callers import EXEMPT, package
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS, scheduled, spin

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.patches.blocking.lines import Line
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

# Whose queues stay the machine's. Thread pools have theirs in `concurrent`: an idle worker waits there as an outsider,
# and `thread_pools` counts it.
_OTHERS = (EXEMPT - {"multiprocessing"}) | {"concurrent", __name__.partition(".")[0]}

_put = _queue.SimpleQueue.put
_take = _queue.SimpleQueue.get_nowait


@final
class SimpleQueue(_queue.SimpleQueue[Any]):
    """An unbounded queue, first in, first out."""

    def __new__(cls) -> Any:
        """Make a queue, for thread pools one of the machine's."""
        return _queue.SimpleQueue() if package(sys._getframe(1)) in _OTHERS else super().__new__(cls)

    def __init__(self) -> None:
        self.line: Line | None = None  # who waits, None until somebody does
        # The world for which something was put in last: a queue may live as long as the process, a world may not.
        self._giver: ref[WorldState] | None = None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put the item into the queue; it never blocks, so the other arguments are ignored."""
        if MEMBERS:  # else no world is active
            from pytest_claude_latency.virtual_time.scheduling.members import served

            world = served()
            if world is not None:
                self._giver = ref(world)
        _put(self, item)  # `super()` costs more than the call
        if self.line:
            from pytest_claude_latency.virtual_time.patches.blocking import queue_waits

            queue_waits.wake_first(self)

    def put_nowait(self, item: Any) -> None:
        """Put the item into the queue."""
        self.put(item)

    def get_nowait(self) -> Any:
        """Take the first item.

        Raises:
            queue.Empty: there is none.
        """
        item, giver = _take(self), self._giver
        world = None if giver is None else giver()
        if world is not None and not world.ended:
            from pytest_claude_latency.virtual_time.patches.blocking import queue_waits

            queue_waits.took(self, world)
        return item

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the first item, after a wait if need be.

        Raises:
            queue.Empty: there is none, and none came in time.
        """
        if not self.empty():
            try:
                return self.get_nowait()
            except _queue.Empty:  # another thread was faster
                pass
        if not block or (timeout is not None and timeout <= 0):
            if not block or timeout == 0:
                spin()
            return super().get(block, timeout)  # also raises for a negative limit
        from pytest_claude_latency.virtual_time.patches.blocking import queue_waits

        return queue_waits.wait(self, scheduled(), timeout)


def install(module: Any) -> None:
    """Patch the module `queue`. Where its simple queue is written in Python, it waits on a semaphore already."""
    if module.SimpleQueue is _queue.SimpleQueue:
        module.SimpleQueue = SimpleQueue
