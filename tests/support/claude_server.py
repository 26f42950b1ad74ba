"""The test server: it answers like the Messages API, over real sockets on 127.0.0.1, with a timetable for each answer.

    with ClaudeServer() as server:
        server.answer(text("Hello wor|ld", ttfb="20ms", gaps=["5ms", "10ms"]))
        client = anthropic.Anthropic(base_url=server.url, api_key="test")
        ...
    assert [write.at for write in server.log[0].writes] == ...

It stands for the API where recording and live measuring are tested: HTTP/1.1
with keep-alive, a thread per connection, a system call per write, and a log of
what it did when. Its clock and its waits are the machine's, and its threads are
started below `threading`, so that it never becomes part of the virtual time it
helps to test. Answers are made in `claude_messages` and `claude_answers`.
"""

from __future__ import annotations

import email.utils
import socket
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import TracebackType
from typing import NamedTuple, Protocol, Self, TypeAlias, final

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.virtual_time.scheduling import real_clock  # no thread of the server is the program's
from tests.support.claude_answers import Answer, Headers, Part, count_tokens, json_answer
from tests.support.claude_wire import CLOCK, Ended, Over, Wire, until_readable

Chooser: TypeAlias = Callable[[Request], Answer | None]

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_REASONS = {200: "OK", 307: "Temporary Redirect", 400: "Bad Request", 429: "Too Many Requests", 529: "Overloaded"}


@dataclass(frozen=True, slots=True)
class Written:
    """One write to the socket: its time since the request was received, and its part of the body, decompressed."""

    at: Nanoseconds
    data: bytes


@dataclass(slots=True)
class Served:
    """One request and what the server did with it. It is filled in as this happens.

    `received` is an instant of `WallClock`; everything else counts nanoseconds from there.
    `connection` numbers the connections in the order they were accepted.
    """

    request: Request
    connection: int
    received: Nanoseconds
    answer: Answer
    headers: Headers = ()
    head_at: Nanoseconds | None = None
    writes: list[Written] = field(default_factory=list)
    ended_at: Nanoseconds | None = None
    ended: Ended | None = None

    @property
    def status(self) -> int | None:
        """Return the status of the response; `None` if there is no response."""
        return self.answer.status

    @property
    def body(self) -> bytes:
        """Return what was written of the body, decompressed."""
        return b"".join(write.data for write in self.writes)


class Planned(NamedTuple):
    """What a server will answer: equal for two servers that answer the same."""

    queued: tuple[Answer, ...]
    chooser: tuple[object, ...]


@final
class ClaudeServer:
    """A server that gives queued answers in order, then those of the chooser, then the usual answer of the API."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._stop, self._stopper = socket.socketpair()
        self._lock = real_clock.allocate_lock()
        self._queue: deque[Answer] = deque()
        self._chooser: Chooser | None = None
        self._log: list[Served] = []
        self._running: list[real_clock.LockType] = []
        self._failures: list[BaseException] = []
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """Return the `base_url` for the SDK."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> tuple[Served, ...]:
        """Return every request that was read completely, in this order."""
        with self._lock:
            return tuple(self._log)

    @property
    def requests(self) -> tuple[Request, ...]:
        """Return the requests of the log."""
        return tuple(served.request for served in self.log)

    def answer(self, *answers: Answer) -> None:
        """Queue answers for the next requests, whatever they ask."""
        with self._lock:
            self._queue.extend(answers)

    @property
    def planned(self) -> Planned:
        """Return what decides the next answers."""
        # the code: a lambda in a test is another object each time
        names = ("__module__", "__code__", "__closure__")
        return Planned(tuple(self._queue), tuple(getattr(self._chooser, name, None) for name in names))

    def drop(self, number: int) -> None:
        """Take so many queued answers back."""
        for _ in range(number):
            self._queue.popleft()

    def answers(self, chooser: Chooser) -> None:
        """Let `chooser` answer requests when no queued answer is left; `None` means the usual answer of the API."""
        self._chooser = chooser

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None and self._failures:
            raise self._failures[0]

    def close(self) -> None:
        """End all answers, and wait until the last thread has ended."""
        self._stopper.close()  # this makes the other end readable, which wakes every thread that waits
        with self._lock:
            running = tuple(self._running)
        for done in running:
            with done:
                pass
        self._listener.close()
        self._stop.close()

    def _run(self, job: Callable[[], None]) -> None:
        done = real_clock.allocate_lock()
        done.acquire()
        with self._lock:
            self._running.append(done)

        def run() -> None:
            try:
                job()
            except BaseException as error:  # `__exit__` raises it in the test
                self._failures.append(error)
            finally:
                done.release()

        real_clock.start_new_thread(run, ())

    def _accept(self) -> None:
        for number in count(1):
            readable = until_readable([self._stop, self._listener], None)
            if self._stop in readable:
                return
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._run(partial(self._converse, connection, number))

    def _converse(self, connection: socket.socket, number: int) -> None:
        with connection:
            wire = Wire(connection, self._stop)
            try:
                while request := wire.read_request(self.url):
                    served = self._take(request, number)
                    _Performance(wire, served).play()
                    if served.ended != "complete":
                        return
            except Over:  # between two requests, this is no error
                return

    def _take(self, request: Request, connection: int) -> Served:
        received = CLOCK.now()
        answer = self._choose(request)
        if answer.unstreamed and not (isinstance(request.json, dict) and request.json.get("stream")):
            answer = answer.unstreamed
        with self._lock:
            served = Served(request, connection, received, answer)
            self._log.append(served)
            served.headers = (*_usual_headers(len(self._log)), *answer.headers)
        return served

    def _choose(self, request: Request) -> Answer:
        if request.method == "GET" and request.path == "/":  # a request that only opens a connection
            return _refusal("not found")
        with self._lock:
            if self._queue:
                return self._queue.popleft()
        try:
            chosen = self._chooser(request) if self._chooser else None
        except Exception as error:
            self._failures.append(error)
            return _refusal(f"the test's chooser failed: {error!r}")
        return chosen or _as_the_api_would(request)


class _Performance:
    """One answer that is sent on one connection and noted in the log."""

    def __init__(self, wire: Wire, served: Served) -> None:
        self._wire = wire
        self._served = served
        self._answer = served.answer
        self._due = served.received
        self._coding = _coding(served.answer)

    def play(self) -> None:
        """Send the parts at their times, until all are sent or one side closes."""
        try:
            if self._answer.status is not None:
                self._send_head()
                for gap, data in _writes(self._answer.parts):
                    self._send_body(gap, data)
            self._end()
        except Over as over:
            self._ended(over.ended)

    def _send_head(self) -> None:
        self._wait(self._answer.ttfb)
        self._served.head_at = self._now()
        self._wire.send(_head(self._served))

    def _send_body(self, gap: Nanoseconds, data: bytes) -> None:
        self._wait(gap)
        self._served.writes.append(Written(self._now(), data))
        self._wire.send(self._frame(self._coding.compress(data) + self._coding.flush(zlib.Z_SYNC_FLUSH)))

    def _end(self) -> None:
        self._wait(self._answer.end)
        match self._answer.ending:
            case "silence":
                self._wire.wait_until(None)
            case "reset":
                self._ended("reset")
                self._wire.reset()
            case "close":
                self._ended("close")
            case "complete":
                self._ended("complete")
                self._wire.send(self._frame(self._coding.flush()) + (b"0\r\n\r\n" if self._answer.chunked else b""))

    def _frame(self, data: bytes) -> bytes:
        if not self._answer.chunked or not data:
            return data
        return f"{len(data):x}\r\n".encode() + data + b"\r\n"

    def _wait(self, gap: Nanoseconds) -> None:
        self._due += gap  # counted from the planned time, so that delays do not add up
        self._wire.wait_until(self._due)

    def _now(self) -> Nanoseconds:
        return CLOCK.now() - self._served.received

    def _ended(self, how: Ended) -> None:
        self._served.ended_at = self._now()
        self._served.ended = how


class _Coding(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int = zlib.Z_FINISH, /) -> bytes: ...


class _Identity:
    """No compression."""

    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self, mode: int = zlib.Z_FINISH, /) -> bytes:
        return b""


def _coding(answer: Answer) -> _Coding:
    return zlib.compressobj(wbits=_WINDOW_BITS[answer.encoding]) if answer.encoding else _Identity()


def _writes(parts: tuple[Part, ...]) -> Iterator[tuple[Nanoseconds, bytes]]:
    gap, data = 0, b""
    for part in parts:
        if part.gap and data:
            yield gap, data
            gap, data = 0, b""
        gap += part.gap
        data += part.data
    if data:
        yield gap, data


def _head(served: Served) -> bytes:
    answer = served.answer
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status or 0, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in served.headers]
    if answer.encoding:
        lines.append(f"content-encoding: {answer.encoding}")
    lines.append("transfer-encoding: chunked" if answer.chunked else f"content-length: {_announced(answer)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _announced(answer: Answer) -> int:
    cut_off = answer.ending != "complete"
    return len(answer.body) + cut_off  # a body that is cut off claims to be longer


def _usual_headers(number: int) -> Headers:
    """Return the headers of each response: some that recordings keep, and some that they must not keep."""
    return (
        ("date", email.utils.formatdate(usegmt=True)),
        ("request-id", f"req_011CTestServer{number:06}"),
        ("anthropic-organization-id", "8d4a1ed5-6c8b-4f0e-8f3f-6a8a5a8a2b11"),
        ("anthropic-ratelimit-requests-limit", "4000"),
        ("anthropic-ratelimit-requests-remaining", "3999"),
        ("server-timing", "x-originResponse;dur=12"),
        ("set-cookie", "_cfuvid=not-to-be-kept; HttpOnly; Secure; Path=/"),
    )


def _as_the_api_would(request: Request) -> Answer:
    path = request.path.partition("?")[0]
    if path.endswith("/count_tokens"):
        return count_tokens(max(1, len(request.content) // 4))
    if path.endswith("/files") and request.method == "POST":
        return json_answer(_file(request.content))
    return _refusal(f"the test server was given no answer for {request.method} {path}")


def _refusal(message: str) -> Answer:  # with a status that the SDK does not retry
    return json_answer({"type": "error", "error": {"type": "invalid_request_error", "message": message}}, status=400)


def _file(content: bytes) -> dict[str, object]:
    return {
        "type": "file",
        "id": "file_011CNha8iCJcU1wXNR6q4V8w",
        "filename": "uploaded",
        "mime_type": "application/octet-stream",
        "size_bytes": len(content),
        "created_at": "2026-01-01T00:00:00Z",
        "downloadable": False,
    }
