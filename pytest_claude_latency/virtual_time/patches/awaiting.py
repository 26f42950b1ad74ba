"""Whether a task waits as soon as the coroutine that runs now does.

A wait may skip the loop, and move the clock itself, only if a suspension would get all the way down to the loop. Above
the running coroutine may stand somebody who has more to do: whoever starts a task eagerly goes on when the task waits
for the first time, and a program may drive a coroutine by hand, with `send`.
"""

from __future__ import annotations

import sys
from opcode import opmap
from types import CodeType, FrameType
from typing import Any

_SEND = opmap["SEND"]  # what `await`, `async for`, `async with` and `yield from` execute

# The frames that were found to await last, from the caller's caller outwards: where each lies in memory, and how far it
# has come. A recorded stream asks for each chunk, from a dozen frames deep, and always the same ones. Comparing is much
# faster than reading the code again: `f_code` calls the process's audit hooks, as `id` does, and a frame's hash is the
# same as its `id`. Frames are not kept alive for it: a place in memory would deceive only if a frame of other code came
# to lie there, at a call just as far from its start.
_last_chain: tuple[tuple[int, int], ...] = ()


def reaches_loop(root: FrameType | None, loop: CodeType) -> bool:
    """Return whether each frame from `root`, the task's own, to that of the caller's caller only awaits the next.

    `loop` is the code from which a loop runs its tasks: `root` must have been called from there. Of what is not
    recognized, nothing is assumed: then the answer is no.
    """
    if root is None or root.f_back is None or root.f_back.f_code is not loop:
        return False
    start: Any = sys._getframe(2)
    frame = start
    try:
        for identity, place in _last_chain:
            frame = frame.f_back
            if frame.f_lasti != place or hash(frame) != identity:
                return _awaits(start, root)
    except AttributeError:  # the stack ends here
        return _awaits(start, root)
    return frame is root or _awaits(start, root)


def _awaits(frame: Any, root: FrameType) -> bool:
    global _last_chain  # noqa: PLW0603 # it only saves time
    chain = []
    # `root` is among the frames, unless a library keeps stacks of its own, as greenlet does.
    while frame is not root:
        frame = frame.f_back
        if frame is None:
            return False
        code, place = frame.f_code.co_code, frame.f_lasti
        # Python 3.12 reports the cache entry behind the instruction.
        if code[place] != _SEND and code[place - 2] != _SEND:
            return False
        chain.append((hash(frame), place))
    _last_chain = tuple(chain)
    return True
