"""Doors: where the requests of a client library are met, and what all doors have in common.

A door meets each attempt of its library once, below the library's own retries. It asks the responder of the moment
what happens to a request that is Claude's, and plays the answer in its own way: it serves a recording, or sends the
request and notes what passes.

Doors nest: `requests` sends through urllib3, and the SDK can send through aiohttp. What an outer door serves or lets
pass, inner doors leave alone. A door says so with `Passage`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, final

from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.http.replay_script import Playback
from pytest_claude_latency.messages_api.exchange import Headers, Request

if TYPE_CHECKING:
    from pytest_claude_latency.http.connection_warmup import ConnectionWarmup

Destination: TypeAlias = tuple[str, int]
"""A host, in lower case, and a port."""


@final
@dataclass(frozen=True, slots=True)
class Serving:
    """What happens to one request: it is answered by a recording, or it is sent. The attempt notes it either way."""

    attempt: Attempt
    request: Request
    """The request as it has to go out. A variant gives it another body, or other headers, than the program did."""
    is_changed: bool
    """Whether `request` is another than the program's."""
    playback: Playback | None
    """What answers it; `None` if it is to be sent."""
    warmup: ConnectionWarmup | None
    """Opens the connection ahead of the request, where the door can. `None` if nothing has to be opened."""


class Responder(Protocol):
    """Decides what happens to the requests that doors meet."""

    @property
    def replays(self) -> bool:
        """Whether answers come from a recording, so that nothing reaches the network."""
        ...

    def answer(self, request: Request, door: Door) -> Serving:
        """Return what happens to `request`, which is Claude's and came through `door`.

        Raises:
            BaseException: the request must not be sent at all.
        """
        ...

    def note_stand_in(self, request: Request) -> None:
        """Note a request of Claude's that a server of the program's own answers, inside this process."""
        ...


Responders: TypeAlias = Callable[[], Responder | None]
"""Returns the responder of the moment; `None` where no measurement is under way."""


class Door(Protocol):
    """Where the requests of one client library are met.

    A door is made with `Responders` and with the `Recognition` that says which requests are Claude's. Where no
    measurement is under way, it lets everything pass as if it were not there.

    It also tells the `answer_origin` of an attempt that is sent where the answer came from: it sets `has_connection`
    when it sees that a connection is used, and calls `judge()` when an answer is here, which counts if none was used.
    Other tools play back answers below a door, and these must not be taken for the API's.
    """

    @property
    def name(self) -> str:
        """The name of the module that it patches, for example `urllib3`."""
        ...

    def install(self) -> None:
        """Patch the library, which is imported."""
        ...

    def uninstall(self) -> None:
        """Leave the library as it was."""
        ...

    def prove(self) -> None:
        """Make sure that requests are met. It is called at the set-up of each latency test.

        Raises:
            InterceptionError: they are not; nothing has been sent.
        """
        ...

    def forget(self) -> None:
        """Drop what is still held of past requests."""
        ...

    def decoded(self, headers: Headers, parts: Sequence[bytes]) -> list[bytes]:
        """Return each part of a body as its content encoding let the library read it on arrival.

        A part that decompresses to nothing is empty.

        Raises:
            UndecodableError: it cannot be decoded to its end.
        """
        ...

    def client_of(self, request: Request) -> str:
        """Return who sends the request, with its version, as recordings name it: for example `boto3 1.42.0`."""
        ...


# ── requests on their way ──

INSIDE_A_DOOR: ContextVar[Passage | None] = ContextVar("claude_latency_inside_a_door", default=None)
"""The request that an outer door of this context serves or lets pass."""

_ON_THEIR_WAY: Counter[Destination] = Counter()
_LET_PASS: Counter[Destination] = Counter()
"""How many requests that are not Claude's each destination was let have so far."""
_UNCARRIED: Counter[Destination] = Counter()
"""How many requests each destination was let have so far on a connection that nobody saw."""
_LOCK = threading.Lock()  # two threads may begin at once, and counting is a step of several


@final
class Passage:
    """A block in which a door sends a request or lets it pass.

    Inner doors leave requests to the same destination alone; others are theirs, for example those of an application
    that answers the outer request inside this process. A context does not reach the threads in which an event loop
    looks up names, so destinations are also counted for the whole process.
    """

    __slots__ = ("_token", "attempt", "destination", "is_carried")

    def __init__(self, host: str, port: int, attempt: Attempt | None = None) -> None:
        self.destination = (host.lower(), port)
        self.attempt = attempt
        """The attempt that notes what passes; `None` if the request is not Claude's."""
        self.is_carried = False
        """Whether the connection was seen that carries it."""
        self._token: Token[Passage | None] | None = None

    def __enter__(self) -> None:
        with _LOCK:
            _ON_THEIR_WAY[self.destination] += 1
        self._token = INSIDE_A_DOOR.set(self)

    def __exit__(self, *error: object) -> None:
        if self._token is not None:
            INSIDE_A_DOOR.reset(self._token)
        with _LOCK:
            _ON_THEIR_WAY[self.destination] -= 1
            # `passing` looks for the destination itself, and one with a count of 0 is still there.
            if not _ON_THEIR_WAY[self.destination]:
                del _ON_THEIR_WAY[self.destination]
            if not self.is_carried:
                _UNCARRIED[self.destination] += 1


def current_passage() -> Passage | None:
    """Return the passage of the request that is being sent in this context; `None` if there is none."""
    passage = INSIDE_A_DOOR.get()
    # Counted as well: a task that was started inside the block keeps its context when the block has ended.
    return passage if passage is not None and passage.destination in _ON_THEIR_WAY else None


def is_inside_another(host: str, port: int) -> bool:
    """Return whether an outer door has met the request that is being sent to this destination."""
    passage = current_passage()
    return passage is not None and passage.destination == (host.lower(), port)


def reached_network(host: str, port: int) -> None:
    """Note that a connection carries the request of an outer door. An inner door calls it that leaves one alone."""
    passage = current_passage()
    if passage is not None and passage.destination == (host.lower(), port) and passage.attempt is not None:
        passage.attempt.answer_origin.has_connection = True


def passing(host: str, port: int) -> bool:
    """Return whether a request that a door let pass is on its way to this destination, from any thread."""
    return (host.lower(), port) in _ON_THEIR_WAY


def note_carrier() -> None:
    """Note that a connection was seen that carries the request on its way in this context."""
    if (passage := current_passage()) is not None:
        passage.is_carried = True


def note_let_pass(host: str, port: int) -> None:
    """Note that a door lets a request pass that is not Claude's."""
    with _LOCK:
        _LET_PASS[host.lower(), port] += 1


def let_pass() -> Counter[Destination]:
    """Return how many requests that are not Claude's went to each destination since the process began."""
    with _LOCK:
        return Counter(_LET_PASS)


def uncarried() -> Counter[Destination]:
    """Return how many requests to each destination went on a connection that nobody saw since the process began."""
    with _LOCK:
        return Counter(_UNCARRIED)
