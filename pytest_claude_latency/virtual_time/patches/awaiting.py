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


def reaches_loop(root: FrameType | None, loop: CodeType) -> bool:
    """Return whether each frame from `root`, the task's own, to that of the caller's caller only awaits the next.

    `loop` is the code from which a loop runs its tasks: `root` must have been called from there. Of what is not
    recognized, nothing is assumed: then the answer is no.
    """
    if root is None or root.f_back is None or root.f_back.f_code is not loop:
        return False
    frame: Any = sys._getframe(2)
    # Written for speed: a recorded stream asks for each chunk, from a dozen frames deep. `root` is among the frames,
    # unless a library keeps stacks of its own, as greenlet does.
    try:
        while frame is not root:
            frame = frame.f_back
            code, place = frame.f_code.co_code, frame.f_lasti
            # Python 3.12 reports the cache entry behind the instruction.
            if code[place] != _SEND and code[place - 2] != _SEND:
                return False
    except AttributeError:
        return False
    return True
