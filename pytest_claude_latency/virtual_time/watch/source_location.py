"""Where in the program a thread or task stands: the innermost line that is the program's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from types import FrameType
from typing import Literal

from pytest_claude_latency.virtual_time.scheduling.holds import Hold, Line
from pytest_claude_latency.virtual_time.watch import thread_frames

_PACKAGE = __file__.removesuffix(f"virtual_time{os.sep}watch{os.sep}source_location.py").rstrip(os.sep)


@cache
def _folders() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the folders of Python and of this package, and those of installed packages."""
    import sysconfig  # it computes much, which a run without latency tests does not need

    library = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), _PACKAGE, "<frozen"}
    return tuple(library), tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


def of_thread(ident: int) -> str:
    """Return `file:line in function` of a thread; empty if it has no frame."""
    return of_frame(thread_frames.frame_of(ident))


def call_of_thread(ident: int) -> str:
    """Return the call in which a thread entered one of our waits, for example `Event.wait` or `Queue.get`."""
    frame = thread_frames.frame_of(ident)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    if frame is None or not _is_library(frame.f_code.co_filename):
        return "Condition.wait"  # the program calls the patched method itself, and the patch has no such name
    return frame.f_code.co_qualname


def position(ident: int) -> tuple[tuple[int, int], ...]:
    """Return where a thread stands: the code and the instruction of each frame, from the innermost."""
    frame = thread_frames.frame_of(ident)
    found = []
    while frame is not None:
        found.append((id(frame.f_code), frame.f_lasti))
        frame = frame.f_back
    return tuple(found)


def of_program(frame: FrameType | None) -> str:
    """Return `file:line in function` of the innermost frame that is the program's own; empty if none is."""
    while frame is not None and not is_program(frame):
        frame = frame.f_back
    return of_frame(frame)


def is_program(frame: FrameType) -> bool:
    """Return whether a frame runs code of the program: neither Python's own, nor installed, nor this package's."""
    return whose(frame.f_code.co_filename) == "program"


@lru_cache(maxsize=4096)
def whose(filename: str) -> Literal["program", "installed", "library"]:
    """Return whose code a file holds: the program's, an installed package's, or Python's and this package's."""
    if filename.startswith(_PACKAGE):
        return "library"
    if filename.startswith(_folders()[1]):
        return "installed"
    return "library" if _is_library(filename) else "program"


def line_of(frame: FrameType, root: str | Path) -> str:
    """Return `file:line in function` of a frame; the file is relative to `root` where it lies below it."""
    code = frame.f_code
    return _shown(Line(code.co_filename, frame.f_lineno, code.co_name), root)


def of_frame(frame: FrameType | None) -> str:
    """Return `file:line in function`, in the program rather than in a library that it called; empty for None."""
    lines: list[Line] = []
    while frame is not None:
        lines.append(Line(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return of_lines(lines)


def of_lines(lines: Sequence[Line]) -> str:
    """Return `file:line in function` of a stack, the innermost line first, as `of_frame` does; empty for no line."""
    not_library = [line for line in lines if not _is_library(line.file)]
    own = [line for line in not_library if not line.file.startswith(_folders()[1])]
    candidates = own or not_library or lines
    if not candidates:
        return ""
    return _shown(candidates[0], Path.cwd())


def place_of_hold(hold: Hold) -> tuple[str, str]:
    """Return what held a thread, `time.sleep` or `Queue.get` for example, and `file:line in function`."""
    lines = [line for line in hold.lines if not line.file.startswith(_PACKAGE)]
    # A wait without a name is one on a condition, of which the standard library makes everything else.
    entered = lines[0].qualified if lines and _is_library(lines[0].file) else "Condition.wait"
    return hold.what or entered, of_lines(lines)


def _shown(line: Line, root: str | Path) -> str:
    return f"{_relative(line.file, str(root))}:{line.number} in {line.function}"


@lru_cache(maxsize=1024)  # each call of a test asks, most often for the same few files
def _relative(name: str, root: str) -> str:
    relative = os.path.relpath(name, root) if os.path.isabs(name) else name  # noqa: PTH117 - a name such as "<string>" is no path
    return name if relative.startswith("..") else relative


def _is_library(filename: str) -> bool:
    # `site-packages` often lies inside the standard library's folder.
    return filename.startswith(_folders()[0]) and not filename.startswith(_folders()[1])
