"""How methods and functions of other libraries are patched, so that they follow virtual time where the caller lives in
a world.

A program may copy a function before the first latency test is known, so those that are copied are patched when the
plugin is loaded. What they do in a world is imported much later, by then with all that a world needs. Until then a
stand-in does what the machine does.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from types import ModuleType
from typing import Any, TypeVar, final

WrapperT = TypeVar("WrapperT", bound=Callable[..., Any])


@final
class _StandIn:
    """What stands in the place of one function until its wrapper is imported."""

    wrapper: Callable[..., Any] | None = None


# The attribute of a module that has its stand-ins by path: pytester lets Python forget modules and load them anew.
_STAND_INS = "_claude_latency_stand_ins"


@final
class Patches:
    """The wrappers of functions of one module, each declared with a decorator. `install` puts them in place."""

    def __init__(self) -> None:
        self._wrappers: dict[str, Callable[..., Any]] = {}

    def wraps(self, path: str) -> Callable[[WrapperT], WrapperT]:
        """Let the decorated function wrap what is at this path in the module, such as `Thread.start`."""

        def declare(wrapper: WrapperT) -> WrapperT:
            self._wrappers[path] = wrapper
            return wrapper

        return declare

    def install(self, module: Any) -> None:
        """Wrap the functions of this module. One that not all systems have may be missing, a method may not."""
        places: dict[str, _StandIn] = getattr(module, _STAND_INS, {})
        for path, wrapper in self._wrappers.items():
            if path in places:
                places[path].wrapper = wrapper
            elif "." in path or hasattr(module, path):
                wrap(*_owner(module, path), wrapper)


def stand_in(module: Any, path: str, before: Callable[[], object] | None = None) -> None:
    """Let what is at this path in the module do what the machine does until `Patches.install` has a wrapper for it.

    `before` is called before each call until then. What is missing has no stand-in: not every system has each
    function, and a method that is needed is missed when it is wrapped.
    """
    owner, name = _owner(module, path)
    original = getattr(owner, name, None)
    if original is None:
        return
    place = vars(module).setdefault(_STAND_INS, {})[path] = _StandIn()

    # As in `wrap`: one frame above the wrapper.
    @functools.wraps(original)
    def standing_in(*args: Any, **kwargs: Any) -> Any:
        if place.wrapper is None and before is not None:
            before()
        if place.wrapper is None:
            return original(*args, **kwargs)
        return place.wrapper(original, *args, **kwargs)

    setattr(owner, name, standing_in)


def wrap(owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Replace the function `name` of `owner` by one that calls `wrapper` with the original and its arguments."""
    original = getattr(owner, name)

    # A plain function, and not an object: it binds as a method does. It adds one frame to the stack, so a wrapper finds
    # its caller at `sys._getframe(2)`, above itself and this function. No argument has a name here, which leaves every
    # keyword to the original: a job for a thread pool may have an argument named `self`.
    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return wrapper(original, *args, **kwargs)

    setattr(owner, name, wrapped)


def _owner(module: Any, path: str) -> tuple[Any, str]:
    """Return the class or the module that has what is at this path, and its name there."""
    cls, _, name = path.rpartition(".")
    return (attrgetter(cls)(module) if cls else module), name


def replace_copies(replaced: Mapping[Any, Any], modules: Iterable[object] | None = None) -> None:
    """Put the values of a mapping in the place of its keys in modules: `from os import system` made a copy there.

    Without `modules`, in all. What a module keeps elsewhere, for example in a class, stays as it is.
    """
    # By identity: what a module holds may not hash, or may equal anything.
    new = {id(old): value for old, value in replaced.items()}
    # By the type, too: libraries of cffi say that they are modules, and have no names of this kind.
    for module in list(sys.modules.values() if modules is None else modules):
        if not issubclass(type(module), ModuleType):
            continue
        # Past what a lazy module does when it is asked for an attribute: it would be imported.
        names: dict[str, Any] = object.__getattribute__(module, "__dict__")
        if not new.keys().isdisjoint(map(id, list(names.values()))):
            for name in [name for name, value in list(names.items()) if id(value) in new]:
                names[name] = new[id(names[name])]
