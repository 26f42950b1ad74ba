"""Sources: what answers the requests of a measurement.

`CassetteSource` serves what was recorded for the test, `SequentialSource` any recording that is given as a value, and
`LiveSource` lets requests go where they were going.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NoReturn, final

from pytest_claude_latency.cassettes.matching import Matcher
from pytest_claude_latency.cassettes.redaction import redact_request
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.http.replay_script import Playback, slack_of
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.miss import MissText
from pytest_claude_latency.messages_api.exchange import Exchange, Request

_ONE_TOO_MANY: Final = "play: this {request} is one request more than the {total} exchanges of the recording"
_READS_ON: Final = "play: the program reads on where the recorded one stopped reading"


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

    replays: ClassVar[bool] = True

    matcher: Matcher
    redact: tuple[re.Pattern[str], ...]
    explain: Callable[[Request, str | None, Measurement], MissText]
    """Makes the message for a request that no recording fits, and that this line of the program sends."""
    overrun: Callable[[Exchange, str | None, Nanoseconds], MissText]
    """Makes the message for a program that reads on where the recorded one stopped: who sent it, and since when."""

    def playback_for(self, request: Request, measurement: Measurement, line: str | None) -> Playback:
        """Return the recorded exchange. Without one the request is a miss."""
        # recordings hold redacted requests, so these are compared
        shown = self.matcher.placed(redact_request(request, self.redact))
        recorded = self.matcher.take(shown)
        if recorded is None:
            measurement.miss(self.explain(shown, line, measurement))
        sent = measurement.now()

        def stop(exchange: Exchange) -> NoReturn:
            measurement.miss(self.overrun(exchange, line, measurement.now() - sent))

        slack = slack_of(recorded, sent)
        return Playback(recorded, measurement, stop, self.matcher.place_of(recorded), slack, measurement.warn)


@final
class SequentialSource:
    """The exchanges of a recording, one for each request in turn, whatever it asks."""

    replays = True

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self._total = len(exchanges)
        self._rest = iter(exchanges)  # taking the next one is a single step: threads need no lock

    def playback_for(self, request: Request, measurement: Measurement, line: str | None) -> Playback:
        """Return the next exchange. If none is left the request is a miss."""
        recorded = next(self._rest, None)
        if recorded is None:
            measurement.miss(_ONE_TOO_MANY.format(request=request.title, total=self._total))

        def stop(exchange: Exchange) -> NoReturn:
            measurement.miss(_READS_ON)

        return Playback(recorded, measurement, stop, warn=measurement.warn)
