"""Where in the program a thread or task stands: the innermost line that is the program's own."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from types import FrameType

_PACKAGE = str(Path(__file__).parents[2])
_LIBRARY = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), _PACKAGE, "<frozen"})
_INSTALLED = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


def of_thread(ident: int) -> str:
    """`file:line in function` of a thread; empty if it has no frame."""
    return of_frame(sys._current_frames().get(ident))


def call_of_thread(ident: int) -> str:
    """The call in which a thread entered one of our waits: `Event.wait`, `Queue.get`, `Future.result`."""
    frame = sys._current_frames().get(ident)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    if frame is None or not _is_library(frame.f_code.co_filename):
        return "Condition.wait"
    return frame.f_code.co_qualname


def of_frame(frame: FrameType | None) -> str:
    """`file:line in function`, in the program rather than in a library it called."""
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    called = [found for found in frames if not _is_library(found.f_code.co_filename)]
    own = [found for found in called if not found.f_code.co_filename.startswith(_INSTALLED)]
    best = own or called or frames
    return _show(best[0]) if best else ""


def _is_library(filename: str) -> bool:
    return filename.startswith(_LIBRARY) and not filename.startswith(_INSTALLED)


def _show(frame: FrameType) -> str:
    name = frame.f_code.co_filename
    relative = os.path.relpath(name) if os.path.isabs(name) else name  # noqa: PTH117 - a name such as "<string>" is no path
    shown = name if relative.startswith("..") else relative
    return f"{shown}:{frame.f_lineno} in {frame.f_code.co_name}"
