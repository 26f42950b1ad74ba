"""How methods of other libraries are patched, so that they follow virtual time where the caller lives in a world."""

from __future__ import annotations

import functools
from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar, final

WrapperT = TypeVar("WrapperT", bound=Callable[..., Any])


@final
class Patches:
    """The wrappers of methods of one module, each declared with a decorator. `install` puts them in place."""

    def __init__(self) -> None:
        self._wrappers: dict[str, Callable[..., Any]] = {}

    def wraps(self, path: str) -> Callable[[WrapperT], WrapperT]:
        """Let the decorated function wrap the method at this path in the module, such as `Thread.start`."""

        def declare(wrapper: WrapperT) -> WrapperT:
            self._wrappers[path] = wrapper
            return wrapper

        return declare

    def install(self, module: Any) -> None:
        """Wrap the methods of this module."""
        for path, wrapper in self._wrappers.items():
            cls, _, name = path.rpartition(".")
            wrap(attrgetter(cls)(module), name, wrapper)


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
