"""Interception: the doors of this process, one for each client library that is loaded."""

from __future__ import annotations

import importlib
from contextlib import ExitStack
from types import ModuleType
from typing import Final, final

from pytest_claude_latency import required_names
from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.door import Door, Responders
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.messages_api.recognition import Recognition
from pytest_claude_latency.virtual_time.patches.import_hook import Watcher, on_import

_LIBRARIES = ("httpx", "httpx2", "aiohttp", "urllib3")
"""The modules that are patched, outermost door first."""

_UNSUPPORTED: Final = (
    "requests of this version of {library} cannot be intercepted: {error}; install another version of it, or a newer "
    "pytest-claude-latency"
)


@final
class Interception:
    """The doors through which each request of a Claude client passes after `start`.

    It is started once per run and stays. What happens to a request is up to the responder of the moment; without one,
    requests go on untouched.
    """

    def __init__(self, responder: Responders, recognition: Recognition | None = None) -> None:
        self._responder = responder
        self._recognition = recognition or Recognition()
        self._doors: list[Door] = []
        self._unsupported: list[str] = []
        self._watcher: Watcher | None = None

    def start(self) -> None:
        """Install the doors of the libraries that are loaded, and of others as soon as they are.

        Raises:
            InterceptionError: pytest, Python, the SDK or respx lacks a name that is needed; nothing is patched.
        """
        for package in ("pytest", "http.client", "ssl"):
            required_names.check(package)
        required_names.check("anthropic")
        # Of older versions the SDK has no such client.
        if hasattr(importlib.import_module("anthropic"), "AnthropicGoogleCloud"):
            required_names.check("anthropic.lib.google_cloud")
        required_names.check("respx")  # loads it, and with it httpx, whose door must not open yet
        HTTPLibrary.of_sdk()  # loads the library that the SDK uses
        transports = dict.fromkeys(required_names.TRANSPORTS_OVER_AIOHTTP, self._check)
        self._watcher = on_import({**transports, **dict.fromkeys(_LIBRARIES, self._open)})

    def stop(self) -> None:
        """Uninstall all doors, the last one first."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
        self._unsupported.clear()
        # A patch restores what it found. Where two doors patch one name, the later one found the earlier one's.
        while self._doors:
            self._doors.pop().uninstall()

    def forget(self) -> None:
        """Drop what the doors hold of past requests."""
        for door in self._doors:
            door.forget()

    def prove(self) -> None:
        """Make sure that each door meets the requests of its library.

        Raises:
            InterceptionError: one does not; nothing has been sent.
        """
        self.require_supported()
        for door in self._doors:
            door.prove()

    def require_supported(self) -> None:
        """Make sure that each library that is loaded has a door.

        Raises:
            InterceptionError: one has none.
        """
        if self._unsupported:
            raise InterceptionError(self._unsupported[0])

    def _check(self, module: ModuleType) -> None:
        """Note a transport over one of the libraries that lacks what its replays need."""
        try:
            required_names.check(module.__name__)
        except InterceptionError as error:
            self._unsupported.append(str(error))

    def _open(self, module: ModuleType) -> None:
        if any(door.name == module.__name__ for door in self._doors):
            return  # two names of one module: `httpx2.alias_httpx()` makes `httpx` another name of `httpx2`
        # This runs while the program imports the library, which must not fail: `prove` says what is wrong.
        try:
            required_names.check(module.__name__)
            # The other doors are imported only here, since they import what they patch: no run pays for a library
            # that it does not use.
            match module.__name__:
                case "aiohttp":
                    from pytest_claude_latency.http.doors.aiohttp import AiohttpDoor

                    door: Door = AiohttpDoor(self._responder, self._recognition)
                case "urllib3":
                    from pytest_claude_latency.http.doors.urllib3 import URLLib3Door

                    door = URLLib3Door(self._responder, self._recognition)
                case _:
                    from pytest_claude_latency.http.doors.httpx import HTTPXDoor

                    door = HTTPXDoor(self._responder, self._recognition, HTTPLibrary.of(module))
            with ExitStack() as installed:
                installed.callback(door.uninstall)  # of an installation that fails half-way nothing stays
                door.install()
                installed.pop_all()
        except InterceptionError as error:
            self._unsupported.append(str(error))
        except (ImportError, AttributeError) as error:
            self._unsupported.append(_UNSUPPORTED.format(library=module.__name__, error=error))
        else:
            self._doors.append(door)
