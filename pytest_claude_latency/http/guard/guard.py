"""The guard: meets each connection to a Claude API that no door opened.

A door meets the requests of one client library. The guard is below all of them: an audit hook of Python, which every
library of this process passes through, and which no mock undoes. During a replay such a connection is refused before a
packet or a DNS query leaves. In other runs it is let through and noted. What processes do that are started meanwhile
is not seen, so that is noted too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from pytest_claude_latency.http.guard import judging, patches
from pytest_claude_latency.http.guard.hosts import of_pattern
from pytest_claude_latency.http.guard.judging import Watcher


@final
class Guard:
    """Watches for as long as it is started. `watcher` returns who is told of what the calling thread does.

    `endpoints` are regular expressions over URLs: the hosts that they begin with are Claude's too.
    """

    def __init__(self, watcher: Callable[[], Watcher | None], endpoints: Sequence[str] = ()) -> None:
        self._watcher = watcher
        self._destinations = [named for pattern in endpoints if (named := of_pattern(pattern)) is not None]

    def start(self) -> None:
        """Begin to watch. What has to be patched for that stays patched, and asks each time who watches."""
        judging.install()
        patches.install()
        judging.WATCHING.append(self._watcher)
        judging.DESTINATIONS.extend(self._destinations)

    def stop(self) -> None:
        """Watch no longer."""
        judging.WATCHING.remove(self._watcher)
        for destination in self._destinations:
            judging.DESTINATIONS.remove(destination)
