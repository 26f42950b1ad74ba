"""What a replay costs: a replayed stream of 200 chunks, compared with the same chunks from a bare respx route.

Both use the HTTP library of the installed SDK. The bare route knows nothing of time, recordings or measurements.

    python benchmarks/replay_cost.py
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import process_time_ns  # nothing here waits for real, and processor time leaves out other programs
from typing import Any, ClassVar

import anthropic
import httpx
import respx
from respx.mocks import HTTPCoreMocker
from streams import HEADERS, URL, exchange, frames, read, read_async, recording

from pytest_claude_latency import play
from pytest_claude_latency.duration import MICROSECOND, MILLISECOND, Nanoseconds
from pytest_claude_latency.http.library import HTTPLibrary

CHUNKS = 200
STREAMS = 10
ROUNDS = 40
TARGET = 1.05

BODY = frames(CHUNKS)


class Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The chunks, one by one."""

    def __iter__(self) -> Iterator[bytes]:
        yield from BODY

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in BODY:
            yield chunk


class BareHttpcore2(HTTPCoreMocker):
    """respx's own mocker, for an HTTP library that respx does not know."""

    name = "benchmark-httpcore2"
    targets: ClassVar[list[str]] = [target.replace("httpcore.", "httpcore2.") for target in HTTPCoreMocker.targets]

    @classmethod
    def from_sync_httpx_response(cls, httpx_response: httpx.Response, target: Any, **kwargs: Any) -> Any:
        import httpcore2  # installed with newer SDKs only

        response = httpx_response
        return httpcore2.Response(response.status_code, headers=response.headers.raw, content=response.stream)

    @classmethod
    async def from_async_httpx_response(cls, httpx_response: httpx.Response, target: Any, **kwargs: Any) -> Any:
        return cls.from_sync_httpx_response(httpx_response, target)


@contextmanager
def bare() -> Iterator[None]:
    using = "httpcore" if HTTPLibrary.of_sdk().name == "httpx" else BareHttpcore2.name
    with respx.mock(using=using) as router:
        router.post(URL).mock(side_effect=lambda request: httpx.Response(200, headers=HEADERS, stream=Chunks()))
        yield


@contextmanager
def replayed() -> Iterator[None]:
    with play(recording([exchange(BODY, 20 * MILLISECOND)] * STREAMS)):
        yield


def read_all() -> list[Nanoseconds]:
    """Read some streams; return what each costs."""
    costs = []
    with anthropic.Anthropic(api_key="none") as client:
        for _ in range(STREAMS):
            before = process_time_ns()
            read(client)
            costs.append(process_time_ns() - before)
    return costs


def read_all_async() -> list[Nanoseconds]:
    """Read the same streams with the async client."""

    return asyncio.run(async_costs())


async def async_costs() -> list[Nanoseconds]:
    """Return what each of some streams costs in the loop that runs."""
    costs = []
    async with anthropic.AsyncAnthropic(api_key="none") as client:
        for _ in range(STREAMS):
            before = process_time_ns()
            await read_async(client)
            costs.append(process_time_ns() - before)
    return costs


def compare(kind: str, work: Callable[[], list[Nanoseconds]]) -> None:
    """Time both in turn, many times, and compare the fastest runs: other work of the machine can only add time."""
    bare_costs: list[Nanoseconds] = []
    replay_costs: list[Nanoseconds] = []
    for _ in range(ROUNDS):
        for serve, costs in ((bare, bare_costs), (replayed, replay_costs)):
            gc.collect()
            with serve():
                costs.extend(work())
    tell(kind, bare_costs, replay_costs)


def tell(kind: str, bare_costs: list[Nanoseconds], replay_costs: list[Nanoseconds]) -> None:
    """Print what both cost, and whether that is within the target."""
    fastest_bare, fastest_replay = min(bare_costs), min(replay_costs)
    ratio = fastest_replay / fastest_bare
    verdict = "within" if ratio <= TARGET else "OVER"
    print(
        f"{kind:16}  bare route {fastest_bare / MICROSECOND:6.0f} µs   replay {fastest_replay / MICROSECOND:6.0f} µs   "
        f"ratio {ratio:.3f} (of the medians {median(replay_costs) / median(bare_costs):.3f}), {verdict} {TARGET:.2f}"
    )


if __name__ == "__main__":
    gc.disable()  # it runs between the rounds only: a collection would count for the side in which it falls
    print(f"a stream of {CHUNKS} chunks, anthropic {anthropic.__version__} on {HTTPLibrary.of_sdk().name}")
    compare("sync", read_all)
    compare("async", read_all_async)
