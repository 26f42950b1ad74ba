"""What a replay changes inside `ssl`: certificates are loaded when a context is first used, and not when it is made.

Each client of an HTTP library makes a context and loads all authorities into it: 20 to 50 ms, and a replay opens no
connection to Claude. A program sees no difference. What uses certificates, or tells of them, loads them first: a
connection to another host, `get_ca_certs`, `cert_store_stats`. Only a file that was loaded in this process before, and
has not changed since, is left for later, so a file that is missing or damaged raises where it is loaded.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, Final, TypeAlias, final
from weakref import WeakKeyDictionary

_Files: TypeAlias = tuple[object, ...]

_CONTEXT: Final[Any] = ssl.SSLContext.__mro__[-3]
"""The class of the standard library: gevent and truststore put their own in its place, which inherit from it."""
_USES: Final = ("_wrap_bio", "_wrap_socket", "cert_store_stats", "get_ca_certs")
_LOAD: Final[Callable[..., None]] = _CONTEXT.load_verify_locations

_replays: Final[list[Callable[[], bool]]] = []
"""Whether a replay is under way, for each run or `play` that asks for the change."""
_loaded: Final[set[_Files]] = set()
_awaited: Final[WeakKeyDictionary[ssl.SSLContext, list[tuple[Any, Any]]]] = WeakKeyDictionary()
"""What is still to be loaded. It may outlive the run in which a context was made, so `ssl` stays patched."""


@final
class LateCertificates:
    """The change, in force while `replaying()` is true."""

    def __init__(self, replaying: Callable[[], bool]) -> None:
        self._replaying = replaying

    def start(self) -> None:
        """Patch `ssl`, if this is the first time."""
        if _CONTEXT.load_verify_locations is _LOAD:
            _CONTEXT.load_verify_locations = _load
            for name in _USES:
                setattr(_CONTEXT, name, _loading_first(getattr(_CONTEXT, name)))
        _replays.append(self._replaying)

    def stop(self) -> None:
        """Let each context be loaded at once again."""
        _replays.remove(self._replaying)


@wraps(_LOAD)
def _load(context: Any, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
    # The context of a server may be put in the place of another one, which no method sees.
    files = _unchanging(cafile, capath) if cadata is None and context.protocol == ssl.PROTOCOL_TLS_CLIENT else None
    if files is not None and files in _loaded and any(replaying() for replaying in _replays):
        _awaited.setdefault(context, []).append((cafile, capath))
        return
    _LOAD(context, cafile, capath, cadata)
    if files is not None:
        _loaded.add(files)


def _unchanging(cafile: Any, capath: Any) -> _Files | None:
    """Return what tells this file from any other and from itself after a change; None if it may be gone later."""
    if not isinstance(cafile, str):
        return None
    file = _place_of(cafile, None if os.path.isabs(cafile) else os.getcwd(), tempfile.gettempdir())  # noqa: PTH109, PTH117
    if file is None:
        return None
    try:
        status = file.stat()
    except OSError:
        return None  # loading it raises the error that a program expects
    return file, capath, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=64)  # each client asks for the same file
def _place_of(cafile: str, folder: str | None, temporary: str) -> Path | None:
    """Return a file as an absolute path, from `folder` if it is a relative one; `None` if it lies in `temporary`."""
    file = Path(folder or "", cafile)
    return None if file.is_relative_to(temporary) else file


def _loading_first(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a context that loads first what the context still lacks."""

    @wraps(original)
    def method(context: Any, *args: Any, **kwargs: Any) -> Any:
        awaited = _awaited.get(context, [])
        for files in tuple(awaited):
            # Taken out behind the loading, or another thread would go on without. To load twice changes nothing.
            _LOAD(context, *files)
            with suppress(ValueError):
                awaited.remove(files)
        return original(context, *args, **kwargs)

    return method
