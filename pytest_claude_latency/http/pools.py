"""The pools of httpx and httpx2 in a replay: a request waits until a connection is free, as it would in life.

A replayed request opens no connection, so the client's own pool does not hold it back. Here its limit does, in the time
of the test: as many requests as `max_connections` are under way, the others wait in the order they came. One that
waits longer than its pool time-out gets `PoolTimeout`. Over HTTP/2 all requests to a server are streams of one
connection, which has a limit of its own. In httpx each connection that is given back starts the time-outs
of all who wait anew: its core offers the connection to every one of them, and who does not get it waits again from the
beginning. httpx2 offers it to the first alone.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import count
from operator import attrgetter
from typing import Any, final
from weakref import WeakKeyDictionary

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.http.library import HTTPLibrary


@final
class Turn:
    """The place of one request at a pool: it waits for a connection, or uses one."""

    def __init__(self, connections: Connections, recorded: Nanoseconds, called: Any = None) -> None:
        self._connections = connections
        self.recorded = recorded
        """When the recorded request had a connection."""
        self.called = called
        """The event that is set when a connection is offered; `None` if one was free at once."""
        self.has_connection = called is None
        self.has_left = False

    def wait(self, timeout: float | None) -> bool:
        """Wait until a connection is free, at most `timeout` seconds. Return whether one is."""
        while self.called.wait(timeout) and not self.has_connection:
            self._connections.await_next_offer(self, threading.Event)
        return self.has_connection

    async def wait_async(self, timeout: float | None) -> bool:
        """Do the same in a task, of asyncio or trio."""
        import anyio

        while not self.has_connection:
            with anyio.move_on_after(timeout) as limit:
                await self.called.wait()
            if limit.cancelled_caught:
                break
            self._connections.await_next_offer(self, async_event)
        return self.has_connection

    def leave(self) -> None:
        """Give the connection to the next in line, or stop waiting for one. Leaving twice is as good as once."""
        if not self.has_left:
            self._connections.take_back(self)


@final
class Connections:
    """The connections of one pool. `offered_to_all` says whether all who wait are called when one is given back."""

    def __init__(self, limit: int, *, offered_to_all: bool = False, are_streams: bool = False) -> None:
        self._free = limit
        self.are_streams = are_streams
        """Whether they are streams of one connection, for which a request waits as long as it takes."""
        self._offered_to_all = offered_to_all
        self._waiting: deque[Turn] = deque()
        self._lock = threading.Lock()  # a client may be used from several threads

    def turn(self, event: Callable[[], Any], recorded: Nanoseconds = 0) -> Turn:
        """Return the place of a request that asks now. `event` makes what wakes one that has to wait.

        `recorded` is when the request that answers it had a connection.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                return Turn(self, recorded)
            turn = Turn(self, recorded, event())
            self._waiting.append(turn)
            return turn

    def take_back(self, turn: Turn) -> None:
        """Let a request leave, with the connection that it used or without one."""
        with self._lock:
            if turn.has_left:
                return
            turn.has_left = True
            if not turn.has_connection:
                self._waiting.remove(turn)
                return
            if not self._waiting:
                self._free += 1
                return
            # Where threads race for a connection, any of them may win: let it be the one that won in the recording,
            # whose answer contains the shortest wait.
            following = min(self._waiting, key=attrgetter("recorded")) if self._offered_to_all else self._waiting[0]
            self._waiting.remove(following)
            following.has_connection = True
            called = [following, *self._waiting] if self._offered_to_all else [following]
        # Without the lock: who is called may run at once, and ask for it.
        for waiting in called:
            waiting.called.set()

    def await_next_offer(self, turn: Turn, event: Callable[[], Any]) -> None:
        """Let a request that did not get the offered connection be called again."""
        with self._lock:
            if not turn.has_connection:  # else it got the one that was given back in the meantime
                turn.called = event()


@final
class Pools:
    """The pools of all clients of one library."""

    def __init__(self, library: HTTPLibrary) -> None:
        self._library = library
        # By the pool itself, not its address: a later client may lie where an earlier one did.
        self._known: WeakKeyDictionary[Any, dict[object, Connections]] = WeakKeyDictionary()
        self._numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._next = count(1)

    def number_of(self, transport: object) -> int | None:
        """Return a number that tells the transport's pool from every other one; `None` if it has none."""
        pool = self._library.pool_of(transport)
        return None if pool is None else self._numbers.setdefault(pool, next(self._next))

    def connections_of(self, transport: object, url: Any) -> Connections | None:
        """Return the connections that a request to `url` may use; `None` if no limit holds it back."""
        limit = self._library.limit_of(transport, url)
        if limit is None:
            return None
        of_pool = self._known.setdefault(limit.pool, {})
        connections = of_pool.get(limit.server)
        if connections is None:
            are_streams = limit.server is not None
            offered_to_all = self._library.name == "httpx" and not are_streams
            connections = Connections(limit.most, offered_to_all=offered_to_all, are_streams=are_streams)
            of_pool[limit.server] = connections
        return connections

    def is_full(self, transport: object, url: Any) -> bool:
        """Return whether a request that is sent now has to wait until another one gives its connection back.

        aiohttp tells that itself, when the time has come.
        """
        pool, limit = self._library.pool_of(transport), self._library.limit_of(transport, url)
        if pool is None or limit is None:
            return False
        # Not its connections: one still counts as idle while the request that it was given to is about to be sent.
        return len(pool._requests) >= limit.most

    def forget(self) -> None:
        """Begin anew: a past test may have left answers unread, and with them connections in use."""
        self._known = WeakKeyDictionary()


def async_event() -> Any:
    """Return an event on which tasks wait, of asyncio or trio."""
    import anyio  # here: a program without async clients never needs it

    return anyio.Event()
