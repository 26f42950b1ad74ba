"""The faults that there are: slow answers, refusals, streams that break off, connections that never come."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import ClassVar, Final, final

from pytest_claude_latency import duration as durations
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.duration import MILLISECOND, SECOND, Nanoseconds
from pytest_claude_latency.errors import FaultError, LimitError
from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, FaultMark, Response
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.simulation import refusals
from pytest_claude_latency.simulation.answer_times import Change, Part, cut_behind
from pytest_claude_latency.simulation.fault import Duration, Fault, FaultOfCalls, InjectedFault, is_count
from pytest_claude_latency.simulation.retiming import stretched

NEVER: Final[Nanoseconds] = 3600 * SECOND
"""So long a program is left waiting for what never comes. Then it is told that it hangs: no user waits an hour."""
_ROUND_TRIP: Final[Nanoseconds] = 100 * MILLISECOND
"""How long a refusal takes: nothing is computed for it."""
_SHORTEST_PAUSE: Final[Nanoseconds] = 100 * MILLISECOND

_PARTS: Final[tuple[Part, ...]] = ("ttft", "output", "total")
_STRETCH: Final = (
    "{part}={value!r} is not understood; accepted: a factor of at least 0, or a duration to add, as in "
    'slower(ttft=5) and slower(ttft="+2s")'
)
_SAME: Final = 'nothing is slower; accepted: a factor or a duration to add, as in slower(ttft=5) and slower(ttft="+2s")'
_AFTER: Final = "after={value!r} is not understood; accepted: a number of pieces of content, from 1"
_STATUS: Final = "status={value!r} is not understood; accepted: a status of an error, from 400 to 599"
_EVERY: Final = "every={value!r} is too short; accepted: a duration of at least 100ms"
_NO_STREAM: Final = "does not stream"
_NO_PING: Final = "streams in a form that has no pings"
_TOO_FEW: Final = "has {pieces} of content"


# ── slow ──


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class slower(FaultOfCalls):  # noqa: N801 - users write it as they would call a function
    """Answers that take longer: a factor for a part of their time, or a duration to add (`ttft="+2s"`)."""

    ttft: float | str = 1
    output: float | str = 1
    total: float | str = 1

    def __post_init__(self) -> None:
        """Refuse what is not understood."""
        super().__post_init__()
        changes = [self._change(part) for part in _PARTS]
        if all(change.is_none for change in changes):
            raise self.refused(_SAME)

    def __call__(self, recording: Recording) -> Recording:
        """Return the recording with slower answers. They are the API's own, so none is put in front of another."""
        # For its error: without a call that it fits, the recording would come back as it is.
        self.calls_in(recording)
        for part in _PARTS:
            recording = stretched(recording, part, self._change(part), self.chosen)
        return recording

    def _change(self, part: Part) -> Change:
        value: object = getattr(self, part)
        if isinstance(value, str) and value.startswith("+"):
            try:
                return Change(more=durations.parse(value.removeprefix("+")))
            except LimitError:
                pass  # said below, with a factor as the other choice
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value < float("inf"):  # type: ignore[operator]  # it is a number
            raise self.refused(_STRETCH.format(part=part, value=value))
        return Change(Fraction(str(value)))  # by its text: 0.1 is a tenth


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class trickled(InjectedFault):  # noqa: N801
    """A stream of nothing but signs of life, one `every` so long, and no content.

    It may be for the call of a number, or for those that fit `when=`; its `every=` is a duration.
    """

    every: bool | Duration = "15s"

    spans: ClassVar[tuple[str, ...]] = ("every",)

    def __post_init__(self) -> None:
        """Refuse what is not understood."""
        super().__post_init__()
        # An answer has so many chunks as there are pings until it is given up.
        if durations.parse(self.every) < _SHORTEST_PAUSE:
            raise self.refused(_EVERY.format(value=self.every))

    def instead_of(self, answered: Exchange, moment: datetime) -> Exchange:
        """Return the beginning of the answer, and then pings."""
        response, ping = answered.response, refusals.ping(answered)
        if response is None or not read(answered).streamed:
            raise FaultError(_NO_STREAM)
        if ping is None:
            raise FaultError(_NO_PING)
        pause = durations.parse(self.every)
        opening = refusals.opening(answered)
        chunks = [Chunk(response.at, opening)] if opening else []
        chunks += [Chunk(at, ping) for at in range(response.at + pause, response.at + NEVER, pause)]
        return replace(answered, chunks=tuple(chunks), end=End(response.at + NEVER, "ReadTimeout"))


# ── refused ──


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _Refusal(InjectedFault):
    """An answer with a status of an error."""

    def instead_of(self, answered: Exchange, moment: datetime) -> Exchange:
        """Return the refusal that the provider of this call sends."""
        refusal = self.refusal(answered, moment)
        at = _connected(answered) + _ROUND_TRIP
        response = Response(at, refusal.status, refusal.headers)
        return replace(answered, response=response, chunks=(Chunk(at, refusal.body),), end=End(at))

    @abstractmethod
    def refusal(self, answered: Exchange, moment: datetime) -> refusals.Refusal:
        """Return what is sent in place of an answer."""


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class rate_limited(_Refusal):  # noqa: N801
    """A 429: too many requests or tokens. `retry_after` is when the API asks to be asked again."""

    retry_after: Duration | None = None

    spans: ClassVar[tuple[str, ...]] = ("retry_after",)

    def refusal(self, answered: Exchange, moment: datetime) -> refusals.Refusal:
        """Return a 429 with the headers of the provider."""
        wait = None if self.retry_after is None else durations.parse(self.retry_after)
        return refusals.refusal(answered.request, refusals.RATE_LIMITED, moment=moment, retry_after=wait)


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class overloaded(_Refusal):  # noqa: N801
    """A 529, or what another provider answers with when it has no capacity left."""

    def refusal(self, answered: Exchange, moment: datetime) -> refusals.Refusal:
        """Return the refusal of an API that is overloaded."""
        return refusals.refusal(answered.request, refusals.OVERLOADED, moment=moment)


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class failing(_Refusal):  # noqa: N801
    """A refusal with any other status of an error."""

    status: int = 500

    def __post_init__(self) -> None:
        """Refuse what is not understood."""
        super().__post_init__()
        if not is_count(self.status) or not 400 <= self.status < 600:
            raise self.refused(_STATUS.format(value=self.status))

    def refusal(self, answered: Exchange, moment: datetime) -> refusals.Refusal:
        """Return the refusal with this status."""
        return refusals.refusal(answered.request, self.status, moment=moment)


# ── broken off behind a piece of content ──


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _Cut(InjectedFault):
    """A stream to which something happens behind the piece of content of the number `after`, without empty ones."""

    after: int

    def __post_init__(self) -> None:
        """Refuse what is not understood."""
        super().__post_init__()
        if not is_count(self.after):
            raise self.refused(_AFTER.format(value=self.after))

    def instead_of(self, answered: Exchange, moment: datetime) -> Exchange:
        """Return the answer, changed behind that piece."""
        cut = cut_behind(answered, self.after)
        if cut is None:
            answer = read(answered)
            pieces = number_of(len(answer.deltas), "piece")
            raise FaultError(_TOO_FEW.format(pieces=pieces) if answer.streamed else _NO_STREAM)
        return self.changed(answered, *cut)

    @abstractmethod
    def changed(self, answered: Exchange, before: tuple[Chunk, ...], behind: tuple[Chunk, ...]) -> Exchange:
        """Return the answer with another end; `before` has the piece as its last, `behind` what was recorded next."""


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class stalled(_Cut):  # noqa: N801
    """A stream in which nothing comes for `duration`."""

    duration: Duration

    spans: ClassVar[tuple[str, ...]] = ("duration",)

    def changed(self, answered: Exchange, before: tuple[Chunk, ...], behind: tuple[Chunk, ...]) -> Exchange:
        """Return the answer with a pause in it."""
        pause = durations.parse(self.duration)
        later = tuple(Chunk(chunk.at + pause, chunk.data) for chunk in behind)
        end = answered.end and replace(answered.end, at=answered.end.at + pause)
        # Which call it is in is said where it is put into the recording.
        return replace(answered, chunks=(*before, *later), end=end, fault=FaultMark(0, pause=pause))


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class overloaded_midstream(_Cut):  # noqa: N801
    """A stream that ends in an `error` event: the API is overloaded."""

    def changed(self, answered: Exchange, before: tuple[Chunk, ...], behind: tuple[Chunk, ...]) -> Exchange:
        """Return the answer with an error as its last event."""
        at = before[-1].at
        return replace(answered, chunks=(*before, Chunk(at, refusals.error_event(answered))), end=End(at))


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class dropped(_Cut):  # noqa: N801
    """A stream whose connection breaks."""

    def changed(self, answered: Exchange, before: tuple[Chunk, ...], behind: tuple[Chunk, ...]) -> Exchange:
        """Return the answer cut off. The error has no text, so each client library gives its own."""
        return replace(answered, chunks=before, end=End(before[-1].at, "RemoteProtocolError"))


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class truncated(_Cut):  # noqa: N801
    """A stream that ends too early, as if it were whole."""

    def changed(self, answered: Exchange, before: tuple[Chunk, ...], behind: tuple[Chunk, ...]) -> Exchange:
        """Return the answer without the rest, and without an error."""
        return replace(answered, chunks=before, end=End(before[-1].at))


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class malformed(_Cut):  # noqa: N801
    """A stream with an event in it that is not JSON."""

    def changed(self, answered: Exchange, before: tuple[Chunk, ...], behind: tuple[Chunk, ...]) -> Exchange:
        """Return the answer with a broken event; what follows it is as recorded."""
        return replace(answered, chunks=(*before, Chunk(before[-1].at, refusals.malformed_event(answered)), *behind))


# ── never there ──


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class refused(InjectedFault):  # noqa: N801
    """No connection: the host refuses it."""

    def instead_of(self, answered: Exchange, moment: datetime) -> Exchange:
        """Return an attempt without a connection. The error has no text, so each client library gives its own."""
        # Without a connection and a response: an instant in them would say that the host was reached.
        return Exchange(answered.sent, answered.request, end=End(_ROUND_TRIP, "ConnectError"))


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class unanswered(InjectedFault):  # noqa: N801
    """A connection on which nothing ever comes."""

    def instead_of(self, answered: Exchange, moment: datetime) -> Exchange:
        """Return an attempt that is never answered. A time-out of the program's own ends it, if there is one."""
        end = End(_connected(answered) + NEVER, "ReadTimeout")
        return Exchange(answered.sent, answered.request, answered.connect, end=end)


FAULTS: Final[dict[str, type[Fault]]] = {
    kind.__name__: kind
    for kind in (
        slower,
        stalled,
        rate_limited,
        overloaded,
        failing,
        overloaded_midstream,
        dropped,
        truncated,
        malformed,
        refused,
        unanswered,
        trickled,
    )
}
"""Each fault by its name."""


def _connected(exchange: Exchange) -> Nanoseconds:
    connect = exchange.connect
    return 0 if connect is None else connect.at + connect.duration
