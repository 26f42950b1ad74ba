"""Sources: what answers the requests of a measurement.

`CassetteSource` serves what was recorded for the test, `SequentialSource` any recording that is given as a value, and
`LiveSource` lets requests go where they were going.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, NoReturn, final

from pytest_claude_latency.cassettes.matching import Matcher
from pytest_claude_latency.cassettes.redaction import redact_request
from pytest_claude_latency.duration import Nanoseconds, show
from pytest_claude_latency.http.replay_script import Playback, slack_of
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.miss import MissText
from pytest_claude_latency.messages_api.exchange import Exchange, Request

_ONE_TOO_MANY: Final = "play: this {request} is one request more than the {total} exchanges of the recording"
_READS_ON: Final = "play: the program reads on where the recorded one stopped reading"
HANGS: Final = (
    "the program hangs: it waited for {waited}, and no time-out of its own ends that\n"
    "  request   {request}\n"
    "  do        give the client a time-out, for example anthropic.Anthropic(timeout=30)"
)


@final
class LiveSource:
    """Requests go to whatever server the client names."""

    replays = False

    def playback_for(self, request: Request, measurement: Measurement, line: str | None) -> None:
        """Return `None`: every request is sent."""
        return


@final
@dataclass(frozen=True)
class CassetteSource:
    """Each request gets the first recorded exchange that fits it and was not used yet."""

    matcher: Matcher
    redact: tuple[re.Pattern[str], ...]
    explain: Callable[[Request, str | None, Measurement], MissText]
    """Makes the message for a request that no recording fits, and that this line of the program sends."""
    overrun: Callable[[Exchange, str | None, Nanoseconds, Nanoseconds | None], MissText]
    """Makes the message for a program that reads on where the recorded one stopped: who sent it, how long it has
    waited, and how long it would, if that is known.
    """
    sends: bool = False
    """Whether what no recording fits is sent to the API."""
    _lacking: list[Request] = field(default_factory=list)

    @property
    def replays(self) -> bool:
        """Whether nothing reaches the network."""
        return not self.sends

    @property
    def lacks_answers(self) -> bool:
        """Whether something was asked for that no recording fits."""
        return bool(self._lacking)

    def playback_for(self, request: Request, measurement: Measurement, line: str | None) -> Playback | None:
        """Return the recorded exchange. Without one the request is a miss, or is sent."""
        # recordings hold redacted requests, so these are compared
        shown = self.matcher.placed(redact_request(request, self.redact))
        recorded = self.matcher.take(shown)
        if recorded is None and self.sends:
            return None
        if recorded is None:
            self._lacking.append(shown)
            measurement.misses.stop(self.explain(shown, line, measurement))
        sent = measurement.now()

        def stop(exchange: Exchange, patience: Nanoseconds | None) -> NoReturn:
            waited = measurement.now() - sent
            measurement.misses.stop(hangs(exchange, waited) or self.overrun(exchange, line, waited, patience))

        slack = slack_of(recorded, sent)
        return Playback(recorded, measurement, stop, self.matcher.place_of(recorded), slack, measurement.warn)


@final
class SequentialSource:
    """The exchanges of a recording, one for each request in turn, whatever it asks.

    Of a call that meets a fault, all are for the request that came first: what is left of it answers no other one.
    """

    replays = True

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self._total = len(exchanges)
        self._rest = list(exchanges)
        self._asked: dict[int, bytes] = {}  # the body that asked first for a call that meets a fault
        self._lock = Lock()  # looking for the next one and taking it are two steps

    def playback_for(self, request: Request, measurement: Measurement, line: str | None) -> Playback:
        """Return the next exchange. If none is left the request is a miss."""
        recorded = None
        with self._lock:
            for place, exchange in enumerate(self._rest):
                fault = exchange.fault
                if fault is not None and self._asked.setdefault(fault.call, request.content) != request.content:
                    continue
                if fault is None or not fault.is_endless:
                    del self._rest[place]
                recorded = exchange
                break
        sent = measurement.now()
        if recorded is None:
            measurement.misses.stop(_ONE_TOO_MANY.format(request=request.title, total=self._total))

        def stop(exchange: Exchange, patience: Nanoseconds | None) -> NoReturn:
            measurement.misses.stop(hangs(exchange, measurement.now() - sent) or _READS_ON)

        return Playback(recorded, measurement, stop, warn=measurement.warn)


def hangs(exchange: Exchange, waited: Nanoseconds) -> str | None:
    """Return what to say of a program that still waits for what a fault keeps from it; None for any other end."""
    if not exchange.is_injected:
        return None
    return HANGS.format(waited=show(waited), request=exchange.request.title)
