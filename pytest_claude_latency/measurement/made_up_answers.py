"""Made-up answers: what answers a test that has the marker `latency_answers`, and no recording yet."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, final

from pytest_claude_latency.http.replay_script import Playback
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Exchange, Request
from pytest_claude_latency.messages_api.request_pattern import Expected, fits
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.simulation.answers import UNSAID, Answer, NoPaceError, Pace, made_up
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


@final
@dataclass(frozen=True)
class AnswersMarker:
    """One `latency_answers`: its answers, the pace of those that have none, and which requests it is for."""

    answers: tuple[Answer, ...]
    origin: str
    pace: Pace = UNSAID
    when: tuple[tuple[str, Expected], ...] = ()


@final
class MadeUpAnswers:
    """Each prompt call gets the next answer of the first marker that fits it.

    `command` is what a user types to record the test.
    """

    replays: ClassVar[bool] = True

    def __init__(self, markers: Sequence[AnswersMarker], profiles: Profiles, command: str) -> None:
        self._markers = markers
        self._profiles = profiles
        self._command = command
        self._given = [0] * len(markers)
        self._lock = threading.Lock()  # two threads may send at the same time

    def playback_for(self, request: Request, measurement: Measurement, line: str | None) -> Playback:
        """Return the answer. Without one the request is a miss."""
        facts = {"request": request.title, "command": self._command}
        facts["made_at"] = "" if line is None else f"  made at   {line}\n"
        if not is_prompt_call(request):
            measurement.misses.stop(_NO_MESSAGE.format(origin=self._markers[0].origin, **facts))
        place = next((place for place, marker in enumerate(self._markers) if fits(request, marker.when)), None)
        if place is None:
            listed = "\n".join(f"  marker    {marker.origin} when={dict(marker.when)!r}" for marker in self._markers)
            measurement.misses.stop(_FITS_NONE.format(markers=listed, **facts))
        marker = self._markers[place]
        with self._lock:
            given, number = self._given[place], sum(self._given) + 1
            self._given[place] += 1
        if given >= len(marker.answers):
            count = number_of(len(marker.answers), "answer")
            measurement.misses.stop(_ONE_TOO_MANY.format(answers=count, origin=marker.origin, **facts))
        try:
            exchange = made_up(request, marker.answers[given], number, otherwise=marker.pace, profiles=self._profiles)
        except NoPaceError as error:
            measurement.misses.stop(_NO_PACE.format(origin=marker.origin, reason=error, **facts))

        def stop(_: Exchange) -> None:  # a made-up answer is complete, so no program reads on behind it
            raise AssertionError

        return Playback(exchange, measurement, stop)  # type: ignore[arg-type]  # it does not return

    @property
    def left_over(self) -> list[str]:
        """What to say of each marker with answers that no call asked for."""
        return [
            f"{number_of(len(marker.answers) - given, 'answer')} of {len(marker.answers)} left over: {marker.origin}"
            for marker, given in zip(self._markers, self._given, strict=True)
            if given < len(marker.answers)
        ]
