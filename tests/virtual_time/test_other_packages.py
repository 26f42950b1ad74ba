"""Monitors, and fixtures of other plugins, that the page on virtual time names and that no test needs otherwise.

`nox -s monitors` runs these tests in an environment that has them all.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.request import urlopen

import pytest

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import World
from pytest_claude_latency.virtual_time.clock import VirtualClock

COLLECTOR = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        print(self.path, file=sys.stderr, flush=True)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = do_PUT = answer
    log_message = lambda *_: None

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Collector:
    """A process that takes what monitors send."""

    def __init__(self, paths: Path) -> None:
        self._paths = paths
        with paths.open("wb") as file:
            self._process = subprocess.Popen([sys.executable, "-c", COLLECTOR], stdout=subprocess.PIPE, stderr=file)
        assert self._process.stdout is not None
        self.address = f"127.0.0.1:{int(self._process.stdout.readline())}"

    @property
    def paths(self) -> list[str]:
        """To which paths something was sent."""
        return self._paths.read_text().split()

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """A server that is older than the world."""
    collector = Collector(tmp_path / "paths")
    yield collector
    collector.stop()


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The calling thread lives in this world until the test ends."""
    if "collector" in request.fixturenames:
        request.getfixturevalue("collector")
    world = World(VirtualClock(), name=request.node.name)
    world.enter()
    yield world
    world.leave()


def test_a_histogram_of_prometheus_measures_virtual_time_and_is_scraped(world: World) -> None:
    prometheus = pytest.importorskip("prometheus_client")
    registry = prometheus.CollectorRegistry()
    took = prometheus.Histogram("took", "How long a call took.", registry=registry)
    server, thread = prometheus.start_http_server(0, "127.0.0.1", registry)
    with took.time():
        time.sleep(3600)
    page = urlopen(f"http://127.0.0.1:{server.server_port}/metrics").read().decode()
    server.shutdown()
    server.server_close()
    thread.join()

    assert float(page.partition("took_sum ")[2].split()[0]) == pytest.approx(3600, abs=1e-3)


def test_metrics_are_pushed_to_a_gateway_of_prometheus(collector: Collector, world: World) -> None:
    prometheus = pytest.importorskip("prometheus_client")
    registry = prometheus.CollectorRegistry()
    prometheus.Gauge("calls", "How many.", registry=registry).set(3)
    prometheus.push_to_gateway(collector.address, "tests", registry, timeout=30)

    assert collector.paths == ["/metrics/job/tests"]
    assert world.clock.now() == 0


def test_what_sentry_sends_from_its_thread_takes_real_time(collector: Collector, world: World) -> None:
    sentry = pytest.importorskip("sentry_sdk")
    sentry.init(f"http://key@{collector.address}/1", default_integrations=False)
    try:
        sentry.capture_message("something happened")
        time.sleep(3600)
        sentry.flush(timeout=60)
        flushed, sent = world.clock.now(), collector.paths
    finally:
        sentry.get_client().close(timeout=60)

    assert sent == ["/api/1/envelope/"]
    assert flushed == 3600 * SECOND


IN_A_WORLD = """
import asyncio, time
from pytest_claude_latency import virtual_time
from pytest_claude_latency.virtual_time.clock import VirtualClock
virtual_time.install()
world = virtual_time.World(VirtualClock(), name="monitored")
"""
SENTRY = """
import sentry_sdk
sentry_sdk.init("http://key@127.0.0.1:9/1")  # with all that it puts into other libraries; sends nothing
"""
OPEN_TELEMETRY = """
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
ThreadingInstrumentor().instrument()
"""
WATCHED = """
import threading
from concurrent.futures import ThreadPoolExecutor
world.enter()
thread = threading.Thread(target=time.sleep, args=(60,))
thread.start()
thread.join()
with ThreadPoolExecutor() as pool:
    pool.submit(time.sleep, 60).result()
asyncio.run(asyncio.sleep(60))
assert world.clock.now() == 180 * 10**9, world.clock.now()
world.leave()
"""
NEW_RELIC = """
import newrelic.agent as agent
agent.initialize()
world.enter()
application = agent.register_application(timeout=60)
assert application.active
assert world.clock.now() == 0, world.clock.now()  # its thread answers before the limit
with agent.BackgroundTask(application, "work"), agent.FunctionTrace("part") as part:
    time.sleep(3600)
asyncio.run(asyncio.sleep(60))
assert world.clock.now() == 3660 * 10**9, world.clock.now()
assert 3600 <= part.duration < 3600.01, part.duration
agent.shutdown_agent(timeout=60)
world.leave()
"""
DATADOG = """
from ddtrace.trace import tracer
world.enter()
time.sleep(60)
with tracer.trace("work") as span, tracer.trace("part") as part:
    time.sleep(3600)
asyncio.run(asyncio.sleep(60))
assert world.clock.now() == 3720 * 10**9, world.clock.now()
assert span.duration_ns == part.duration_ns == 3600 * 10**9, (span.duration_ns, part.duration_ns)
tracer.shutdown(timeout=60)
world.leave()
"""


def run_in_a_world(source: str, **environment: str) -> None:
    """Run a program in a process of its own: these libraries patch theirs, and never end."""
    command = [sys.executable, "-c", IN_A_WORLD + source]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("module", "source"), [("sentry_sdk", SENTRY), ("opentelemetry.instrumentation.threading", OPEN_TELEMETRY)]
)
def test_threads_pools_and_tasks_that_a_monitor_watches_live_in_virtual_time(module: str, source: str) -> None:
    pytest.importorskip(module)
    run_in_a_world(source + WATCHED)


def test_new_relic_watches_functions_in_virtual_time() -> None:
    pytest.importorskip("newrelic")
    run_in_a_world(NEW_RELIC, NEW_RELIC_DEVELOPER_MODE="true", NEW_RELIC_LICENSE_KEY="0" * 40)  # sends nothing


def test_spans_of_datadog_take_virtual_time_and_its_own_thread_sends_them(collector: Collector) -> None:
    pytest.importorskip("ddtrace")
    run_in_a_world(
        DATADOG,
        DD_TRACE_AGENT_URL=f"http://{collector.address}",
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
        DD_REMOTE_CONFIGURATION_ENABLED="false",
    )

    assert any(path.endswith("/traces") for path in collector.paths)


def test_the_fixture_of_pytest_freezer_freezes_dates_only(request: pytest.FixtureRequest, world: World) -> None:
    pytest.importorskip("pytest_freezer")
    freezer = request.getfixturevalue("freezer")
    freezer.move_to("2020-01-01")
    time.sleep(60)

    assert (datetime.now(), time.time()) == (datetime(2020, 1, 1), 1577836800.0)
    assert world.clock.now() == 60 * SECOND


def test_what_pytest_mock_puts_into_time_is_the_programs(request: pytest.FixtureRequest, world: World) -> None:
    pytest.importorskip("pytest_mock")
    mocker = request.getfixturevalue("mocker")
    spy = mocker.spy(time, "sleep")
    time.sleep(60)
    asyncio.run(asyncio.sleep(60))
    spied = world.clock.now()
    sleep = mocker.patch("time.sleep")
    time.sleep(3600)

    assert (spy.call_count, sleep.call_count) == (1, 1)
    assert spied == world.clock.now() == 120 * SECOND
