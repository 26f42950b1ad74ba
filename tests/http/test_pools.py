"""The pools of a replay: who has a connection, who waits, and in which order."""

from __future__ import annotations

import asyncio
import threading
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.http.pools import Connections, Pools, Turn, async_event

SDK = HTTPLibrary.of_sdk()
HTTP, HTTPS = SDK.module.URL("http://api.example"), SDK.module.URL("https://api.example")


def transport(**more: Any) -> Any:
    return SDK.module.HTTPTransport(verify=False, **more)


@given(st.integers(1, 3), st.lists(st.integers(0, 5), max_size=30))
def test_never_more_than_the_limit_have_a_connection_and_it_goes_to_who_came_first(
    limit: int, steps: list[int]
) -> None:
    connections = Connections(limit)
    line: list[Turn] = []  # all that did not leave, as they came
    for step in steps:
        if step < len(line):
            line.pop(step).leave()
        else:
            line.append(connections.turn(threading.Event))

        having = [turn.has_connection for turn in line]
        assert having == [True] * min(limit, len(line)) + [False] * max(0, len(line) - limit)


def test_leaving_twice_gives_one_connection_back() -> None:
    connections = Connections(1)
    first = connections.turn(threading.Event)
    first.leave()
    first.leave()

    assert connections.turn(threading.Event).has_connection
    assert not connections.turn(threading.Event).has_connection


def test_a_wait_ends_with_a_connection_or_with_its_limit() -> None:
    connections = Connections(1)
    first, second, third = [connections.turn(threading.Event) for _ in range(3)]
    first.leave()

    assert second.wait(None)
    assert not third.wait(0.001)


def test_where_threads_race_for_a_connection_the_one_wins_that_won_in_the_recording() -> None:
    connections = Connections(1, offered_to_all=True)
    first, second, third = [connections.turn(threading.Event, recorded) for recorded in (0, 200, 100)]

    first.leave()

    assert (second.has_connection, third.has_connection) == (False, True)


def test_where_a_connection_is_offered_to_all_who_wait_a_time_out_begins_anew() -> None:
    """httpcore 1.0 restarts the limit of each request that did not get the connection; httpcore2 does not."""
    events: list[threading.Event] = []

    class Event(threading.Event):
        def __init__(self) -> None:
            super().__init__()
            events.append(self)

    for offered_to_all, waits in ((True, 3), (False, 2)):
        events.clear()
        connections = Connections(1, offered_to_all=offered_to_all)
        first, second, third = [connections.turn(Event) for _ in range(3)]
        first.leave()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading, "Event", Event)
            assert second.wait(None)
            assert not third.wait(0.001)
        assert len(events) == waits


def test_a_task_waits_in_the_same_way() -> None:
    async def main() -> tuple[bool, bool]:
        connections = Connections(1)
        first, second, third = [connections.turn(async_event) for _ in range(3)]
        asyncio.get_running_loop().call_soon(first.leave)
        return await second.wait_async(None), await third.wait_async(0.001)

    assert asyncio.run(main()) == (True, False)


def test_each_pool_has_its_own_limit() -> None:
    pools, one = Pools(SDK), transport(limits=SDK.module.Limits(max_connections=1))

    connections = pools.connections_of(one, HTTP)
    assert connections is not None
    assert connections is pools.connections_of(one, HTTP)
    assert connections is not pools.connections_of(transport(), HTTP)
    pools.forget()
    assert connections is not pools.connections_of(one, HTTP)


def test_a_pool_without_a_limit_lets_everybody_through() -> None:
    connections = Pools(SDK).connections_of(transport(limits=SDK.module.Limits(max_connections=None)), HTTP)

    assert connections is not None
    assert all(connections.turn(threading.Event).has_connection for _ in range(2000))


@pytest.mark.parametrize("stranger", [None, object(), type("Stranger", (), {"_pool": object()})()])
def test_what_has_no_pool_of_the_library_is_not_limited(stranger: object) -> None:
    pools = Pools(SDK)

    assert pools.connections_of(stranger, HTTP) is None
    assert not pools.is_full(stranger, HTTP)


def test_requests_over_http2_are_streams_of_one_connection_for_each_server() -> None:
    pools, one = Pools(SDK), transport()
    core = import_module(SDK.name.replace("httpx", "httpcore"))
    one._pool = core.ConnectionPool(http2=True, max_connections=1)

    streams = pools.connections_of(one, HTTPS)

    assert streams is not None
    assert streams.are_streams
    assert [streams.turn(threading.Event).has_connection for _ in range(101)] == [True] * 100 + [False]
    assert streams is not pools.connections_of(one, SDK.module.URL("https://elsewhere.example"))
    # Without TLS the server is not asked for HTTP/2.
    plain = pools.connections_of(one, HTTP)
    assert plain is not None
    assert not plain.are_streams
    assert [plain.turn(threading.Event).has_connection for _ in range(2)] == [True, False]
