"""HTTP/1.1 on a socket: what arrives is noted in an attempt, and what was recorded is played.

Both happen where `http.client` reads its socket, so all that a client library does with an answer stays its own: how it
reads, decompresses, joins and times out.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import ECONNRESET
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException, HTTPResponse, LineTooLong, responses
from os import strerror
from socket import SocketIO
from typing import Any, Final, Protocol, final

from pytest_claude_latency.duration import nanoseconds
from pytest_claude_latency.http.compression import Compression
from pytest_claude_latency.http.error_texts import text_of
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.http.replay_script import Playback, ReplayScript
from pytest_claude_latency.messages_api.exchange import Exchange

_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection"})
"""Headers that say how the body travelled. It travels in another way now."""

_ERROR_NUMBER: Final = re.compile(r"\[Errno (\d+)\] (.*)", re.DOTALL)
"""The text of an `OSError`."""

_BODILESS: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


def has_body(method: str, recorded: Exchange) -> bool:
    """Return whether an answer has a body by its status, or had one that was read all the same, or broke off."""
    response, end = recorded.response, recorded.end
    if method == "HEAD" or response is None:
        return False
    return response.status not in _BODILESS or bool(recorded.chunks) or (end is not None and end.error is not None)


# ── what arrives ──


class _Body(Protocol):
    """The framing of a body: which bytes of the wire belong to it, and where it ends."""

    complete: bool

    def feed(self, data: bytes) -> bytes:
        """Return those of these bytes that are the body's own."""
        ...


@final
class _Counted:
    """A body of known length; `None` is one that ends with the connection."""

    def __init__(self, length: int | None) -> None:
        self._left = length
        self.complete = length == 0

    @property
    def ends_with_the_connection(self) -> bool:
        """Whether only the end of the connection ends it."""
        return self._left is None

    def feed(self, data: bytes) -> bytes:
        if self._left is None:
            return data
        data = data[: self._left]
        self._left -= len(data)
        self.complete = not self._left
        return data


@final
class _Chunked:
    """A body in chunks, each with its length in front."""

    def __init__(self) -> None:
        self._line = b""
        self._left = 0
        self._after_data = False
        self._in_trailer = False
        self.complete = False

    def feed(self, data: bytes) -> bytes:
        body: list[bytes] = []
        while data and not self.complete:
            if self._left:
                piece, data = data[: self._left], data[self._left :]
                self._left -= len(piece)
                self._after_data = not self._left
                body.append(piece)
                continue
            # A line may arrive in parts: what is there of it is kept.
            line, newline, data = data.partition(b"\n")
            self._line += line + newline
            if not newline:
                break
            line, self._line = self._line.strip(), b""
            if self._in_trailer:
                self.complete = not line
            elif self._after_data:
                self._after_data = False  # the end of the line behind a chunk
            else:
                with suppress(ValueError):  # the library refuses it, which is noted as the attempt's end
                    self._left = int(line.partition(b";")[0], 16)
                    self._in_trailer = not self._left
        return b"".join(body)


@final
class _ObservedInput(io.RawIOBase):
    """What `http.client` reads of one answer. It notes in `attempt` what arrives."""

    def __init__(self, raw: Any, attempt: Attempt) -> None:
        super().__init__()
        self._raw = raw
        self._attempt = attempt
        self._arrived = attempt.arrivals()
        self._asked = attempt.asking()
        self._has_part = False
        self._head = bytearray()
        self._body: _Body | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        # Behind a part only: what is read of a chunk's size, say, is none, and the wait for it is the server's.
        if self._asked is not None and self._has_part:
            self._asked()
        self._has_part = False
        try:
            count: int | None = self._raw.readinto(buffer)
        except TimeoutError as error:
            # A recording has httpx's names whoever made it, so that another client can replay it.
            self._attempt.finish(error, called="ReadTimeout")
            raise
        except HTTPException:
            raise  # recorded, of an answer that is not understood: noted as live, by whoever asked for the answer
        except BaseException as error:  # a miss, too, ends the attempt
            self._attempt.finish(error, called="ReadError")
            raise
        if count:
            self._note(bytes(memoryview(buffer)[:count]))
        elif count == 0:
            self._hung_up()
        return count

    def answered(self, response: HTTPResponse) -> None:
        """Note that the head is here. What was read beyond it is the beginning of the body."""
        self._attempt.answered(response.status, tuple(response.getheaders()))
        # `http.client` sees chunks only where no other coding is named; urllib3 reads them wherever they are.
        codings = ",".join(value for name, value in response.getheaders() if name.lower() == "transfer-encoding")
        is_chunked = "chunked" in (coding.strip() for coding in codings.lower().split(","))
        self._body = _Chunked() if is_chunked else _Counted(response.length)
        rest = _after_the_head(bytes(self._head))
        self._head.clear()
        if rest:
            self._note(rest)
        elif self._body.complete:
            self._attempt.finish()

    def close(self) -> None:
        if not self.closed:
            if self._body is not None:  # `http.client` closes what it does not understand, and raises its error
                self._attempt.finish(closed="client")  # counts only if the answer was not read to its end
            self._raw.close()
        super().close()

    def _note(self, data: bytes) -> None:
        if self._body is None:
            self._head += data
            return
        if body := self._body.feed(data):
            self._arrived(body)
            self._has_part = True
        if self._body.complete:
            self._attempt.finish()

    def _hung_up(self) -> None:
        """Note that the server closed the connection, which ends some bodies and breaks off the others."""
        if self._body is None and self._head:
            return  # `http.client` tries to understand what came
        if isinstance(self._body, _Counted) and self._body.ends_with_the_connection:
            self._attempt.finish()
        else:
            text = text_of("RemoteProtocolError", self._attempt.request.url, in_body=self._body is not None)
            self._attempt.finish(EOFError(text), called="RemoteProtocolError")


def _after_the_head(data: bytes) -> bytes:
    """Return what follows the head of an answer, and the head of a provisional one before it."""
    lines = io.BytesIO(data)
    while True:
        status = lines.readline().split(maxsplit=2)
        while lines.readline().strip():
            pass
        if status[1:2] != [b"100"]:
            return lines.read()


def observed(kind: Callable[..., HTTPResponse], attempt: Attempt) -> Callable[..., HTTPResponse]:
    """Return what makes a response of `kind` and notes in `attempt` what arrives.

    It notes nothing of a response that reads no socket: such a response did not come from the network.
    """

    def make(*args: Any, **kwargs: Any) -> HTTPResponse:
        response = kind(*args, **kwargs)
        reader: object = response.fp
        # A mock of sockets was connected to, too, but what it answers with reads no socket of the system.
        reads_socket = isinstance(reader, io.BufferedReader) and isinstance(reader.raw, SocketIO)
        attempt.answer_origin.has_connection = reads_socket
        if not isinstance(reader, io.BufferedReader):
            return response
        source = _ObservedInput(reader.detach(), attempt)
        response.fp = io.BufferedReader(source)
        begin = response.begin

        def begin_observed() -> None:
            del response.begin  # or the two would keep each other alive
            begin()
            source.answered(response)

        response.begin = begin_observed  # type: ignore[method-assign]
        return response

    return make


# ── what was recorded ──


@final
class RecordedError(Exception):
    """The error of a recording, by its name there. Whoever plays the recording raises the library's own for it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)
        self.name = name
        self.message = message


@final
class ReplayedSocket:
    """A connected socket on which a recorded answer arrives, on a clock. What is sent to it goes nowhere."""

    def __init__(self, script: ReplayScript, pieces: Iterator[bytes]) -> None:
        self._script = script
        self._pieces = pieces
        self._timeout: float | None = None

    def gettimeout(self) -> float | None:
        """Return how many seconds a read may wait. `None` if it may wait for ever."""
        return self._timeout

    def settimeout(self, timeout: float | None) -> None:
        """Let a read wait for so many seconds."""
        self._timeout = timeout
        self._script.limit_reads(None if timeout is None else nanoseconds(timeout))

    def sendall(self, data: object) -> None:
        """Send nothing: the request was met before."""

    def makefile(self, *args: object, **kwargs: object) -> io.BufferedReader:
        """Return a reader of the recorded answer."""
        return io.BufferedReader(_PlayedInput(self._pieces))

    def shutdown(self, how: int) -> None:
        """Do nothing: whoever reads stops by itself."""

    def close(self) -> None:
        """Do nothing: readers outlive the socket, as those of real sockets do."""


@final
class _PlayedInput(io.RawIOBase):
    """The bytes of a recorded answer, as a socket hands them out."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            try:
                self._rest = next(self._pieces, b"")
            except RecordedError as error:
                if error.name == "RemoteProtocolError":
                    return 0  # the server closed the connection
                raise error_of_a_socket(error) from None
        # Less than the buffer holds: a read must not wait for the chunk behind this one.
        piece, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


def error_of_a_socket(error: RecordedError) -> OSError:
    """Return the error that a socket raises for the one of a recording."""
    if error.name in ("ReadTimeout", "WriteTimeout"):
        return TimeoutError(error.message)
    number = _ERROR_NUMBER.fullmatch(error.message)
    if number is not None:
        return OSError(int(number[1]), number[2])  # Python makes it a `ConnectionResetError`, or what else it is
    # An async client gives a broken socket no text, so its recording has no number. Most such sockets were reset.
    if error.name in ("ReadError", "WriteError", "CloseError"):
        return ConnectionResetError(ECONNRESET, strerror(ECONNRESET))
    return OSError(f"{error.name}: {error.message}")


_CLOSED: Final = frozenset(
    {"Remote end closed connection without response", text_of("RemoteProtocolError", ""), "Server disconnected"}
)
"""The texts of a server that closed the connection in place of an answer."""
_TOO_LONG: Final = re.compile(r"got more than \d+ bytes when reading (.*)")


def _error_of_a_head(error: RecordedError) -> Exception:
    """Return the error of `http.client` for an answer that it could not understand, and any other one as it is."""
    if error.name != "RemoteProtocolError" or error.message in _CLOSED:
        return error
    if (too_long := _TOO_LONG.fullmatch(error.message)) is not None:
        return LineTooLong(too_long[1])
    return HTTPException(error.message) if error.message.startswith("got more than") else BadStatusLine(error.message)


def played(script: ReplayScript, playback: Playback, method: str, accepted: str | None = None) -> Iterator[bytes]:
    """Yield the bytes of a recorded answer as they arrive; the body in chunks, since its length is not known.

    `accepted` names the encodings that the request accepts.
    """
    clock, wait = playback.waiter.clock, playback.waiter.sleep_until
    try:
        for instant in script.headers():
            wait(instant)
    except RecordedError as error:
        raise _error_of_a_head(error) from None
    is_bodiless = not has_body(method, playback.recorded)
    framing = Framing(playback, accepted, has_body=not is_bodiless)
    # `http.client` reads heads as latin-1, whatever the body is written in.
    yield framing.head.encode("latin-1", "replace")
    if is_bodiless:
        return
    for due, data in script.body():
        if due > clock.now():
            wait(due)
        if data:  # a chunk that decompresses to nothing only ended the wait of the socket
            yield framing.chunk(data)
    yield framing.end()


@final
class Framing:
    """How a recorded answer travels over HTTP/1.1: in chunks, since a recording does not say how long its body is.

    One that was made up here may say so in its head. It is sent as it is then.
    """

    def __init__(self, playback: Playback, accepted: str | None, *, has_body: bool) -> None:
        response = playback.recorded.response
        assert response is not None
        self._compression = Compression(response, accepted, playback.warn)
        lengths = [str(len(chunk.data)) for chunk in playback.recorded.chunks if chunk.data]
        told = [value for name, value in response.headers if name.lower() == "content-length"]
        # More than one length would be an error in some libraries, and in others the end of the body.
        self._is_whole = told == lengths != []
        lines = [f"HTTP/1.1 {response.status} {responses.get(response.status, '')}"]
        dropped = frozenset[str]() if self._is_whole else _FRAMING
        lines += [f"{name}: {value}" for name, value in response.headers if name.lower() not in dropped]
        if has_body and not self._is_whole:
            lines += ["transfer-encoding: chunked", *self._compression.headers]
        self.head = "\r\n".join([*lines, "", ""])

    def chunk(self, data: bytes) -> bytes:
        """Return the bytes of the wire for a chunk of the recording."""
        return data if self._is_whole else _framed(self._compression.chunk(data))

    def end(self) -> bytes:
        """Return what ends the body."""
        return b"" if self._is_whole else _framed(self._compression.end()) + b"0\r\n\r\n"


def _framed(piece: bytes) -> bytes:
    # A chunk of no bytes would end the body.
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
