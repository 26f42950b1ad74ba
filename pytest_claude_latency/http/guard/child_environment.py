"""The environment of processes that are started during a replay: by it, no call finds the way to the API.

What such a process does is not seen. Its key is no use without an address, and clients in every language take the
address from the environment. A placeholder in place of the key would not do: it would be sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from pytest_claude_latency.http.guard.hosts import destination_of, is_loopback
from pytest_claude_latency.http.guard.listening import listens_here

_VARIABLES: Final = (
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_BEDROCK_BASE_URL",
    "ANTHROPIC_VERTEX_BASE_URL",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
)


def refusing(given: Mapping[Any, Any] | None) -> dict[Any, Any]:
    """Return a copy of an environment in which the API's addresses refuse; `None` stands for that of this process.

    An address of the test's own stays: a server of this process, or one on this machine that the program names.
    """
    environment = dict(os.environ if given is None else given)
    for variable in _VARIABLES:
        as_bytes = environment.pop(os.fsencode(variable), None)  # a program may name variables in bytes
        named = environment.get(variable, None if as_bytes is None else os.fsdecode(as_bytes))
        destination = destination_of(named) if isinstance(named, str) else None
        if destination is not None and is_loopback(destination[0]):
            is_programs_own = named != os.environ.get(variable)
            if is_programs_own or listens_here(destination[1]):
                environment[variable] = named
                continue
        environment[variable] = _refusing_address()
    return environment


def refused_addresses() -> dict[str, str]:
    """Return the variables that differ in a process which would get the environment of this one."""
    return {name: value for name, value in refusing(None).items() if name in _VARIABLES}


@contextmanager
def refusing_here() -> Iterator[None]:
    """Let the environment of this process refuse while a process is started that inherits it."""
    before = {variable: os.environ.get(variable) for variable in _VARIABLES}
    # In the process itself: what starts the child reads no other environment.
    os.environ.update(refused_addresses())
    try:
        yield
    finally:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value


@cache
def _refusing_address() -> str:
    """Return the URL of a port that nobody else can have, and on which nobody listens."""
    reserved = socket.socket()
    reserved.bind(("127.0.0.1", 0))
    _RESERVED.append(reserved)
    return f"http://127.0.0.1:{reserved.getsockname()[1]}/refused-during-a-replay-of-pytest-claude-latency"


_RESERVED: Final[list[socket.socket]] = []
"""The socket of that port, kept open."""
