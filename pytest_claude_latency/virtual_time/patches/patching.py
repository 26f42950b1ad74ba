"""How a method of another library is wrapped, so that it follows virtual time where the caller lives in a world."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def wrap(cls: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Replace the method `name` of `cls` by one that calls `wrapper` with the original method and its arguments."""
    original = getattr(cls, name)

    # A plain function, and not an object: it binds as a method does. It adds one frame to the stack, so a wrapper finds
    # its caller at `sys._getframe(2)`, above itself and this function. The slash leaves every keyword to the original:
    # a job for a thread pool may have an argument named `self`.
    @functools.wraps(original)
    def wrapped(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return wrapper(original, self, *args, **kwargs)

    setattr(cls, name, wrapped)
