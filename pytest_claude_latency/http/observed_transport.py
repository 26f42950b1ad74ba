"""The observed transport: what passes through a transport of httpx or httpx2 is noted in an `Attempt`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, final

from pytest_claude_latency.http.library import HTTPLibrary, Transport, name_over_aiohttp
from pytest_claude_latency.http.recorder import Attempt

# Only httpcore traces. Of a transport over aiohttp, the door of aiohttp tells when a connection was opened.
_OPENING = ("connection.connect_tcp.started", "connection.connect_unix_socket.started")
_OPENED = (
    "connection.connect_tcp.complete",
    "connection.connect_unix_socket.complete",
    "connection.start_tls.complete",
)


def note_event(attempt: Attempt, event: str) -> None:
    """Note an event of httpcore's trace extension, which tells most exactly when a connection was opened."""
    attempt.answer_origin.has_connection = True
    # It may come before the head is handed on: a transport of the program's reads whole answers.
    if event.endswith("receive_response_body.complete"):
        attempt.answer_origin.body_has_ended = True
    if event in _OPENING:
        attempt.connecting()
    elif event in _OPENED:
        attempt.connected()
    elif event.endswith("send_request_headers.started"):
        attempt.waited()


@final
class ObservedTransport:
    """A transport that notes in an `Attempt` what passes through it.

    A request that used the network was traced, or an inner door told of it. Otherwise something below played its answer
    back, whatever it is: VCR, a mock or a cache.
    """

    def __init__(self, inner: Transport, attempt: Attempt, library: HTTPLibrary) -> None:
        self._inner = inner
        self._attempt = attempt
        self._library = library

    def handle_request(self, request: Any) -> Any:
        """Answer a sync client's request."""
        attempt = self._attempt
        users = request.extensions
        users_trace = users.get("trace")

        def trace(event: str, info: Any) -> None:
            note_event(attempt, event)
            if users_trace is not None:
                users_trace(event, info)

        # a new dictionary: the program's own may serve its next request, which has another attempt
        request.extensions = {**users, "trace": trace}
        try:
            response = self._inner.handle_request(request)
        except BaseException as error:  # a cancellation, too, ends the attempt
            self._fail(error)
            raise
        finally:
            request.extensions = users  # a transport of the program may send the request again
        attempt.answer_origin.judge()
        stream = response.stream

        def close() -> None:
            attempt.finish(closed="client")  # counts only if the answer was not read to its end
            stream.close()

        # The program gets the body as the library would hand it out: compressed, and by the chunks of the wire.
        attempt.answered(response.status_code, tuple(response.headers.multi_items()))
        response.stream = self._library.sync_body(self._pass_on(stream), close)
        return response

    async def handle_async_request(self, request: Any) -> Any:
        """Answer an async client's request."""
        attempt = self._attempt
        users = request.extensions
        users_trace = users.get("trace")

        async def trace(event: str, info: Any) -> None:
            note_event(attempt, event)
            if users_trace is not None:
                await users_trace(event, info)

        request.extensions = {**users, "trace": trace}
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            request.extensions = users  # a transport of the program may send the request again
        attempt.answer_origin.judge()
        stream = response.stream

        async def close() -> None:
            attempt.finish(closed="client")
            await stream.aclose()

        attempt.answered(response.status_code, tuple(response.headers.multi_items()))
        response.stream = self._library.async_body(self._pass_on_async(stream), close)
        return response

    def _fail(self, error: BaseException) -> None:
        # A mock can raise such an error too: without a traced connection it is not the API's. A cancellation or a miss
        # says nothing about who would have answered.
        if self._library.is_failure_of_the_wire(error):
            self._attempt.answer_origin.judge()
        self._attempt.finish(error, called=name_over_aiohttp(error))

    def _pass_on(self, stream: Any) -> Iterator[bytes]:
        attempt, arrived, asked = self._attempt, self._attempt.arrivals(), self._attempt.asking()
        try:
            if asked is not None:
                asked()
            for data in stream:
                arrived(data)
                yield data
                if asked is not None:
                    asked()
        except GeneratorExit:
            raise  # the reader went away; closing the response notes when
        except BaseException as error:
            attempt.finish(error)
            raise
        attempt.finish()

    async def _pass_on_async(self, stream: Any) -> AsyncIterator[bytes]:
        attempt, arrived, asked = self._attempt, self._attempt.arrivals(), self._attempt.asking()
        try:
            if asked is not None:
                asked()
            async for data in stream:
                arrived(data)
                yield data
                if asked is not None:
                    asked()
        except GeneratorExit:
            raise
        except BaseException as error:
            attempt.finish(error, called=name_over_aiohttp(error))
            raise
        attempt.finish()
