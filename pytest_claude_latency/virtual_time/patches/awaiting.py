"""Whether a task waits as soon as the coroutine that runs now does.

A wait may skip the loop, and move the clock itself, only if a suspension would get all the way down to the loop. Above
the running coroutine may stand somebody who has more to do: whoever starts a task eagerly goes on when the task waits
for the first time, and a program may drive a coroutine by hand, with `send`.
"""

from __future__ import annotations

from opcode import opmap
from operator import attrgetter
from types import CodeType
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.virtual_time.watch import source_location

if TYPE_CHECKING:
    from collections.abc import Callable

_SEND = opmap["SEND"]  # what `await`, `async for`, `async with` and `yield from` execute


@final
class Chain:
    """The frames above one that waits, as they were when each of them only awaited the next, out to the loop."""

    # Each frame is noted by where it lies in memory, and how far it has come. A recorded stream asks for each chunk,
    # from a dozen frames deep, and always the same ones. Comparing is much faster than reading the code again: `f_code`
    # calls the process's audit hooks, as `id` does, and a frame's hash is the same as its `id`. Frames are not kept
    # alive for it: a place in memory would deceive only if a frame of other code came to lie there, at a call just as
    # far from its start.
    #
    # What lies between a stream and the program are generators of client libraries, most of a dozen. Each is asked by
    # the next, as long as the program asks the outermost in the same place. So only that one is compared, and whether
    # there are as many.

    def __init__(self) -> None:
        self._past_libraries: Callable[[Any], Any] | None = None
        self._links: tuple[tuple[int, int], ...] = ()

    def reaches_loop(self, waiting: Any, coroutine: Any, loop: CodeType) -> bool:
        """Return whether each frame above `waiting`, up to that of the task's own `coroutine`, only awaits the next.

        `loop` is the code from which a loop runs its tasks: the coroutine must have been called from there. Of what is
        not recognized, nothing is assumed: then the answer is no.
        """
        try:
            frame = waiting if self._past_libraries is None else self._past_libraries(waiting)
            for identity, place in self._links:
                frame = frame.f_back
                if frame.f_lasti != place or hash(frame) != identity:
                    return self._find(waiting, coroutine, loop)
        except AttributeError:  # the stack ends here
            return self._find(waiting, coroutine, loop)
        return frame is not waiting or self._find(waiting, coroutine, loop)

    def _find(self, frame: Any, coroutine: Any, loop: CodeType) -> bool:
        root = getattr(coroutine, "cr_frame", None)
        if root is None or root.f_back is None or root.f_back.f_code is not loop:
            return False
        links: list[tuple[int, int]] = []
        libraries: int | None = None
        # `root` is among the frames, unless a library keeps stacks of its own, as greenlet does.
        while frame is not root:
            frame = frame.f_back
            if frame is None:
                return False
            code, place = frame.f_code.co_code, frame.f_lasti
            # Python 3.12 reports the cache entry behind the instruction.
            if code[place] != _SEND and code[place - 2] != _SEND:
                return False
            if libraries is None and source_location.is_program(frame):
                libraries = len(links)
            links.append((hash(frame), place))
        runs = frame.f_back
        links.append((hash(runs), runs.f_lasti))
        # But for the outermost of them.
        passed = max(0, (libraries or 0) - 1)
        self._past_libraries = attrgetter(".".join(["f_back"] * passed)) if passed else None
        self._links = tuple(links[passed:])
        return True


LAST = Chain()
"""That of the task that waited last, for those that keep none of their own."""
