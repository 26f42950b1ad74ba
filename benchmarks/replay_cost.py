"""What a replay costs: a replayed `messages.stream` of 200 chunks against the same chunks from a bare respx route.

Both on the HTTP stack of the installed SDK. The bare route knows nothing of time, recordings or measurements.

    python benchmarks/replay_cost.py
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, ClassVar

import anthropic
import httpx
import respx
from respx.mocks import HTTPCoreMocker
from streams import HEADERS, URL, exchange, frames, read, read_async, recording

from pytest_claude_latency import play
from pytest_claude_latency.clock import WallClock
from pytest_claude_latency.duration import MICROSECOND, MILLISECOND, Nanoseconds
from pytest_claude_latency.stack import Stack

CHUNKS = 200
STREAMS = 10
ROUNDS = 40
TARGET = 1.10

BODY = frames(CHUNKS)
CLOCK = WallClock()  # the machine's, inside a replay too


class Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The chunks, one by one."""

    def __iter__(self) -> Iterator[bytes]:
        yield from BODY

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in BODY:
            yield chunk


class BareHttpcore2(HTTPCoreMocker):
    """respx's own mocker, on the stack it does not know."""

    name = "benchmark-httpcore2"
    targets: ClassVar[list[str]] = [target.replace("httpcore.", "httpcore2.") for target in HTTPCoreMocker.targets]

    @classmethod
    def from_sync_httpx_response(cls, httpx_response: httpx.Response, target: Any, **kwargs: Any) -> Any:
        import httpcore2  # there with the newer stack only

        response = httpx_response
        return httpcore2.Response(response.status_code, headers=response.headers.raw, content=response.stream)

    @classmethod
    async def from_async_httpx_response(cls, httpx_response: httpx.Response, target: Any, **kwargs: Any) -> Any:
        return cls.from_sync_httpx_response(httpx_response, target)


@contextmanager
def bare() -> Iterator[None]:
    using = "httpcore" if Stack.of_sdk().name == "httpx" else BareHttpcore2.name
    with respx.mock(using=using) as router:
        router.post(URL).mock(side_effect=lambda request: httpx.Response(200, headers=HEADERS, stream=Chunks()))
        yield


@contextmanager
def replayed() -> Iterator[None]:
    with play(recording([exchange(BODY, 20 * MILLISECOND)] * STREAMS)):
        yield


def read_all() -> Nanoseconds:
    with anthropic.Anthropic(api_key="none") as client:
        before = CLOCK.now()
        for _ in range(STREAMS):
            read(client)
        return CLOCK.now() - before


def read_all_async() -> Nanoseconds:
    async def main() -> Nanoseconds:
        async with anthropic.AsyncAnthropic(api_key="none") as client:
            before = CLOCK.now()
            for _ in range(STREAMS):
                await read_async(client)
            return CLOCK.now() - before

    return asyncio.run(main())


def compare(kind: str, work: Callable[[], Nanoseconds]) -> None:
    """Time both in turn, many times over: what else the machine does then hits both alike."""
    pairs = []
    for _ in range(ROUNDS + 1):
        gc.collect()
        with bare():
            plain = work()
        gc.collect()
        with replayed():
            pairs.append((plain, work()))
    del pairs[0]  # the first round warms up
    plain, full = (min(each) / STREAMS / MICROSECOND for each in zip(*pairs, strict=True))
    ratio = median(full / plain for plain, full in pairs)
    verdict = "within" if ratio <= TARGET else "OVER"
    print(
        f"{kind:5}  bare route {plain:7.0f} µs   replay {full:7.0f} µs   of the fastest {full / plain:.3f}   "
        f"median of {ROUNDS} ratios {ratio:.3f}, {verdict} {TARGET:.2f}"
    )


if __name__ == "__main__":
    print(f"a stream of {CHUNKS} chunks, anthropic {anthropic.__version__} on {Stack.of_sdk().name}")
    compare("sync", read_all)
    compare("async", read_all_async)
