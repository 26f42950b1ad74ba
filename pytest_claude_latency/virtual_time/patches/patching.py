"""How methods of other libraries are patched, so that they follow virtual time where the caller lives in a world."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import ModuleType
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


def replace_copies(replaced: Mapping[Any, Any]) -> None:
    """Put the values of a mapping in the place of its keys in all modules: `from os import system` made a copy there.

    What a module keeps elsewhere, for example in a class, stays as it is.
    """
    # By identity: what a module holds may not hash, or may equal anything.
    new = {id(old): value for old, value in replaced.items()}
    # By the type, too: libraries of cffi say that they are modules, and have no names of this kind.
    for module in [module for module in list(sys.modules.values()) if issubclass(type(module), ModuleType)]:
        # Past what a lazy module does when it is asked for an attribute: it would be imported.
        names: dict[str, Any] = object.__getattribute__(module, "__dict__")
        if not new.keys().isdisjoint(map(id, list(names.values()))):
            for name in [name for name, value in list(names.items()) if id(value) in new]:
                names[name] = new[id(names[name])]
