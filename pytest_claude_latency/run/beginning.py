"""When a run begins to be one with latency tests.

A run in which the user asks for nothing, and which has no latency test, has no `Session` either: nothing of it is
imported. A fork needs one, since the child must find what its parent will measure later.
"""

from __future__ import annotations

import os
from functools import cache, partial
from typing import TYPE_CHECKING
from weakref import WeakSet

import pytest

from pytest_claude_latency.run.stash_keys import SESSION

if TYPE_CHECKING:
    from pytest_claude_latency.run.session import Session


def session_of(config: pytest.Config) -> Session:
    """Return the session of a run, which begins now if it has not begun yet.

    Raises:
        pytest.UsageError: an option or an ini key is not understood.
    """
    if SESSION not in config.stash:
        from pytest_claude_latency.options import reading
        from pytest_claude_latency.run.session import Session

        config.stash[SESSION] = Session(config, reading.read(config))
    return config.stash[SESSION]


_RUNS: WeakSet[pytest.Config] = WeakSet()
"""Those that are to have a session before the process forks."""


def begin_before_a_fork(config: pytest.Config) -> None:
    """Let the session of this run be there before the process is forked."""
    _RUNS.add(config)
    config.add_cleanup(partial(_RUNS.discard, config))
    _meet_forks()


@cache  # once a process: nothing takes such a function back
def _meet_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork)


def _before_fork() -> None:
    for config in list(_RUNS):
        session_of(config)
