"""Threads older than the world that are handed work by a pipe or a socket."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any
from urllib.request import urlopen

import pytest

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import Deadlock, World
from pytest_claude_latency.virtual_time.clock import VirtualClock
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS

Job = Callable[[], object]


class Pipe:
    def __init__(self) -> None:
        self._out, self._in = os.pipe()

    def tell(self) -> None:
        os.write(self._in, b"x")

    def hear(self) -> None:
        os.read(self._out, 1)

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)


class Pair:
    def __init__(self) -> None:
        self._out, self._in = self.sockets()

    def sockets(self) -> tuple[socket.socket, socket.socket]:
        return socket.socketpair()

    def tell(self) -> None:
        self._in.sendall(b"x")

    def hear(self) -> None:
        self._out.recv(1)

    def close(self) -> None:
        self._out.close()
        self._in.close()


class Connection(Pair):
    def sockets(self) -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            writing = socket.create_connection(listener.getsockname())
            return listener.accept()[0], writing


class Elder:
    """A thread that does the jobs of which it is told."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.jobs: list[Job | None] = []
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while True:
            self.channel.hear()
            job = self.jobs.pop(0)
            if job is None:
                return
            job()

    def hand(self, job: Job | None) -> None:
        self.jobs.append(job)
        self.channel.tell()


@pytest.fixture(params=[Pipe, Pair, Connection])
def elder(request: pytest.FixtureRequest) -> Iterator[Elder]:
    elder = Elder(request.param())
    real_clock.sleep(0.02)  # until it waits
    yield elder
    elder.hand(None)
    elder.thread.join()
    elder.channel.close()


@pytest.fixture
def later_world(elder: Elder, request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(VirtualClock(), name=request.node.name)
    world.enter()
    yield world
    world.leave()


def test_an_older_thread_sleeps_in_the_time_of_the_test_that_hands_it_work(elder: Elder, later_world: World) -> None:
    ends: list[int] = []
    done = threading.Event()

    def job() -> None:
        time.sleep(3600)
        ends.append(later_world.clock.now())
        done.set()

    for _ in range(3):
        elder.hand(job)
        done.wait(3601)
        done.clear()

    assert ends == [3600 * SECOND, 7200 * SECOND, 10800 * SECOND]


def test_an_older_thread_is_nobodys_again_when_it_waits_for_more(elder: Elder, later_world: World) -> None:
    done = threading.Event()
    for _ in range(2):
        elder.hand(done.set)
        done.wait()
        done.clear()
    deadline = real_clock.monotonic() + 20
    while elder.thread.ident in MEMBERS and real_clock.monotonic() < deadline:
        real_clock.sleep(0.001)

    assert elder.thread.ident not in MEMBERS


def test_an_older_thread_of_two_worlds_sleeps_in_both(elder: Elder) -> None:
    spans = []
    for name in ("one", "two"):
        world = World(VirtualClock(), name=name)
        world.enter()
        done = threading.Event()
        elder.hand(partial(time.sleep, 60))
        elder.hand(done.set)
        done.wait(61)
        spans.append(world.clock.now())
        world.leave()

    assert spans == [60 * SECOND] * 2


class Application(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(float(self.path[1:]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives it
        pass


@pytest.fixture(params=[HTTPServer, ThreadingHTTPServer])
def server(request: pytest.FixtureRequest) -> Iterator[HTTPServer]:
    server: HTTPServer = request.param(("127.0.0.1", 0), Application)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("worlds", [1, 3])
def test_a_server_of_a_wider_fixture_sleeps_in_the_time_of_its_test(server: HTTPServer, worlds: int) -> None:
    ends = []
    for _ in range(worlds):
        world = World(VirtualClock(), name="served")
        world.enter()
        for _ in range(2):
            with urlopen(f"http://127.0.0.1:{server.server_port}/3", timeout=60) as answer:
                answer.read()
            ends.append(world.clock.now())
        world.leave()

    assert ends == [3 * SECOND, 6 * SECOND] * worlds


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Sleep for as many seconds as the path says, twice: before the answer and in the middle of it."""
    assert scope["type"] == "http"
    seconds = float(scope["path"][1:])
    await asyncio.sleep(seconds)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"o", "more_body": True})
    await asyncio.wait_for(asyncio.to_thread(time.sleep, seconds), 60)
    await send({"type": "http.response.body", "body": b"k"})


@pytest.fixture
def uvicorn_port() -> Iterator[int]:
    uvicorn = pytest.importorskip("uvicorn")
    config = uvicorn.Config(application, port=0, loop="asyncio", lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        real_clock.sleep(0.001)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@pytest.mark.slow
def test_uvicorn_of_a_wider_fixture_sleeps_in_the_time_of_its_test(uvicorn_port: int) -> None:
    ends = []
    with closing(http.client.HTTPConnection("127.0.0.1", uvicorn_port)) as kept:
        for name in ("one", "two"):
            world = World(VirtualClock(), name=name)
            world.enter()
            for _ in range(2):
                kept.request("GET", "/3")
                kept.getresponse().read()
                ends.append(world.clock.now())
            world.leave()

    assert ends == [6 * SECOND, 12 * SECOND] * 2


def test_uvicorn_of_a_wider_fixture_is_nobodys_again_when_it_has_answered(uvicorn_port: int) -> None:
    world = World(VirtualClock(), name="served")
    world.enter()
    with urlopen(f"http://127.0.0.1:{uvicorn_port}/3", timeout=60) as answer:
        answer.read()
    with pytest.raises(Deadlock):
        threading.Event().wait()  # which its older timer, set anew ten times a second, would not let us see
    took = world.clock.now()
    world.leave()

    assert took < 12 * SECOND  # it keeps the connection open for five seconds


@pytest.mark.timeout(30)  # it would hang, since the clock would wait for a thread that is gone
@pytest.mark.parametrize("kind", [Pipe, Pair, Connection])
def test_a_thread_that_ends_while_it_is_lent_holds_nothing_up(kind: Callable[[], Any]) -> None:
    """Not one of `threading`: no patched function sees its end."""
    over = real_clock.allocate_lock()
    over.acquire()
    with closing(kind()) as channel:

        def hear() -> None:
            channel.hear()
            over.release()

        real_clock.start_new_thread(hear, ())
        world = World(VirtualClock(), name="with a guest")
        world.enter()
        try:
            channel.tell()
            for _ in range(5):
                time.sleep(1)
            assert world.clock.now() == 5 * SECOND
        finally:
            world.leave()
        over.acquire()
