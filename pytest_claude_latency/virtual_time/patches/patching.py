"""How a method of another library is wrapped, so that it follows virtual time where the caller lives in a world."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def wrap(cls: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Replace the method `name` of `cls` by one that calls `wrapper` with the original method and its arguments.

    The replacement is a plain function that looks like the original: it binds as a method does, subclasses inherit it,
    and `inspect.signature` and tracebacks show the original's name. It adds one frame to the stack. A wrapper that
    asks who called finds the caller at `sys._getframe(2)`: above itself and above the replacement.
    """
    original = getattr(cls, name)

    # The slash leaves every keyword to the original: a job for a thread pool may have an argument named `self`.
    @functools.wraps(original)
    def wrapped(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return wrapper(original, self, *args, **kwargs)

    setattr(cls, name, wrapped)
