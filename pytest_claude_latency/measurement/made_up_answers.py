"""Made-up answers: what answers a test that has the marker `latency_answers`, and no recording yet.

A fault needs a recording, so it is given the answers that were made up until now as one, each time there is one more.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar, Final, NoReturn, TypeAlias, final

from pytest_claude_latency.cassettes.matching import key_of
from pytest_claude_latency.cassettes.recording import Recording, timestamp
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.errors import FaultError
from pytest_claude_latency.http.replay_script import Playback
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.sources import hangs
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Exchange, Request, canonical
from pytest_claude_latency.messages_api.request_pattern import Expected, fits
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.simulation.answers import UNSAID, Answer, NoPaceError, Pace, made_up
from pytest_claude_latency.simulation.fault import FaultOfCalls
from pytest_claude_latency.simulation.profiles import Profiles

_NO_MESSAGE: Final = """\
nothing answers this {request}: made-up answers are for prompt calls
  marker    {origin}
  record    {command}"""
_FITS_NONE: Final = """\
no marker with answers fits this {request}
{made_at}{markers}
  do        add when= or a marker that fits, or record the test: {command}"""
_ONE_TOO_MANY: Final = """\
this {request} is one more than the {answers} of its marker
{made_at}  marker    {origin}
  do        add an answer, or record the test: {command}"""
_NO_PACE: Final = """\
nothing says how long the answer to this {request} takes
{made_at}  marker    {origin}
  model     {reason}"""

_CUT_OFF: Final = "the program reads on where a fault cut off the answer to its {request}"
_TAKEN_AWAY: Final = "nothing answers this {request}: a fault took its answer away"

_ENDPOINT: Final = "https://api.anthropic.com/v1/messages"
_ANY_PACE: Final = Pace(0, 1)

ChangeOfRecording: TypeAlias = Callable[[Recording], Recording]


@final
@dataclass(frozen=True)
class AnswersMarker:
    """One `latency_answers`: its answers, the pace of those that have none, and which requests it is for."""

    answers: tuple[Answer, ...]
    origin: str
    pace: Pace = UNSAID
    when: tuple[tuple[str, Expected], ...] = ()


def must_be_able_to_fit(fault: ChangeOfRecording, markers: Sequence[AnswersMarker]) -> None:
    """Raise if a fault fits none of these answers, however they are asked for.

    A fault of requests that fit `when=` may fit, as may several faults in one, and a function of the user's own: what
    is asked, and what takes the place of a call that gets no answer, shows only the run.

    Raises:
        FaultError: it needs more calls than there are answers, or more pieces than the longest of them has.
    """
    if not isinstance(fault, FaultOfCalls) or fault.when is not None:
        return
    # any of them may answer any call, and may be asked for as a stream
    asked = [
        Request("POST", _ENDPOINT, (), canonical(json.dumps({"stream": True, "n": number}).encode()))
        for number in range(sum(len(marker.answers) for marker in markers))
    ]
    made = [made_up(asked[0], answer, 0, otherwise=_ANY_PACE) for marker in markers for answer in marker.answers]
    longest = max(made, key=lambda exchange: len(exchange.chunks))
    exchanges = tuple(replace(longest, request=request) for request in asked)
    fault(Recording(test="", sample=1, recorded=timestamp(datetime.now(UTC)), exchanges=exchanges))


@final
class MadeUpAnswers:
    """Each prompt call gets the next answer of the first marker that fits it.

    `command` is what a user types to record the test. `fault` is what happens to the answers.
    """

    replays: ClassVar[bool] = True

    def __init__(
        self, markers: Sequence[AnswersMarker], profiles: Profiles, command: str, fault: ChangeOfRecording | None = None
    ) -> None:
        self._markers = markers
        self._profiles = profiles
        self._command = command
        self._given = [0] * len(markers)
        self._lock = threading.Lock()  # two threads may send at the same time
        self._faults = _FaultsOnTheWay(fault)
        self._turns: dict[Hashable, tuple[int, int]] = {}  # of each request: its marker, and which answer of that
        self._kept: dict[
            Hashable, tuple[int, int, Nanoseconds | None]
        ] = {}  # those that a fault keeps from their calls

    def playback_for(self, request: Request, measurement: Measurement, line: str | None) -> Playback:
        """Return the answer, or what a fault puts in its place. Without one the request is a miss."""
        sent, key = measurement.now(), key_of(request)
        with self._lock:
            exchange = self._faults.next_for(key)
            if exchange is None:
                self._faults.add(self._made_up(request, measurement, line, sent))
                exchange = self._faults.next_for(key)
            # Which calls a fault keeps from their answers, and until when; None: a part of the answer has come.
            if exchange is not None and exchange.is_injected:
                brings_nothing = exchange.response is None or exchange.response.status >= 400
                over = sent + exchange.end.at if brings_nothing and exchange.end is not None else None
                self._kept[key] = (*self._turns[key], over)
            elif exchange is not None:
                # also where another request took its place
                heard = self._turns[key]
                self._kept = {other: kept for other, kept in self._kept.items() if kept[:2] != heard}
        if exchange is None:
            measurement.misses.stop(_TAKEN_AWAY.format(request=request.title))

        def stop(exchange: Exchange, patience: Nanoseconds | None) -> NoReturn:
            measurement.misses.stop(hangs(exchange, measurement.now() - sent) or _CUT_OFF.format(request=request.title))

        return Playback(exchange, measurement, stop)

    def _made_up(self, request: Request, measurement: Measurement, line: str | None, sent: Nanoseconds) -> Exchange:
        """Return the answer whose turn it is. Caller must hold the lock."""
        facts = {"request": request.title, "command": self._command}
        facts["made_at"] = "" if line is None else f"  made at   {line}\n"
        if not is_prompt_call(request):
            measurement.misses.stop(_NO_MESSAGE.format(origin=self._markers[0].origin, **facts))
        place = next((place for place, marker in enumerate(self._markers) if fits(request, marker.when)), None)
        if place is None:
            listed = "\n".join(f"  marker    {marker.origin} when={dict(marker.when)!r}" for marker in self._markers)
            measurement.misses.stop(_FITS_NONE.format(markers=listed, **facts))
        marker, turn = self._markers[place], self._turn(place, sent)
        if turn is None:
            count = number_of(len(marker.answers), "answer")
            measurement.misses.stop(_ONE_TOO_MANY.format(answers=count, origin=marker.origin, **facts))
        self._turns[key_of(request)] = (place, turn)
        number = sum(self._given)
        try:
            made = made_up(request, marker.answers[turn], number, otherwise=marker.pace, profiles=self._profiles)
        except NoPaceError as error:
            measurement.misses.stop(_NO_PACE.format(origin=marker.origin, reason=error, **facts))
        return replace(made, sent=sent)

    def _turn(self, place: int, now: Nanoseconds) -> int | None:
        """Return which answer of a marker comes next, from 0; None if all are used up.

        An answer that a fault keeps from its call answers the request that takes the place of this call: a fallback.
        """
        kept = [(over, turn) for kept_place, turn, over in self._kept.values() if kept_place == place]
        refused = [turn for over, turn in kept if over is not None and over <= now]
        if refused:
            return min(refused)
        if self._given[place] < len(self._markers[place].answers):
            self._given[place] += 1
            return self._given[place] - 1
        return min((turn for _, turn in kept), default=None)

    @property
    def unmet(self) -> FaultError | None:
        """Why the fault fitted none of the answers; None if it did, or if there is none."""
        return self._faults.unmet

    @property
    def left_over(self) -> list[str]:
        """What to say of each marker with answers that no call asked for."""
        return [
            f"{number_of(len(marker.answers) - given, 'answer')} of {len(marker.answers)} left over: {marker.origin}"
            for marker, given in zip(self._markers, self._given, strict=True)
            if given < len(marker.answers)
        ]


@final
class _FaultsOnTheWay:
    """What answers are there for each request: those that were made up, changed by a fault.

    What a fault makes of the calls until now is taken for the beginning of what it makes of these and further ones.
    """

    def __init__(self, fault: ChangeOfRecording | None) -> None:
        self._fault = fault
        self._made_up = Recording(test="", sample=1, recorded=timestamp(datetime.now(UTC)), exchanges=())
        self._count = 0
        self._rest: dict[Hashable, list[Exchange]] = {}
        self.unmet = None if fault is None else FaultError("the test made no prompt call")

    def add(self, made_up: Exchange) -> None:
        """Add the answer to one more call, and what happens to it."""
        self._made_up = changed = replace(self._made_up, exchanges=(*self._made_up.exchanges, made_up))
        if self._fault is not None:
            try:
                changed, self.unmet = self._fault(changed), None
            except FaultError as error:  # no error yet: a later call may be the one that it is for
                self.unmet = error
        for exchange in changed.exchanges[self._count :]:
            self._rest.setdefault(key_of(exchange.request), []).append(exchange)
        self._count = len(changed.exchanges)

    def next_for(self, key: Hashable) -> Exchange | None:
        """Return what answers such a request, and take it away unless it never ends; None if nothing is left."""
        rest = self._rest.get(key)
        if not rest:
            return None
        fault = rest[0].fault
        return rest[0] if fault is not None and fault.is_endless else rest.pop(0)
