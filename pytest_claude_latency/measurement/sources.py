"""Sources: what answers the requests of a measurement.

`CassetteSource` serves what was recorded for the test, `SequentialSource` any recording given
as a value, and `LiveSource` lets requests go where they were going.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NoReturn, final

from pytest_claude_latency.cassettes.matching import Matcher
from pytest_claude_latency.cassettes.redaction import redact_request
from pytest_claude_latency.http.library import Transport
from pytest_claude_latency.http.replay import ReplayTransport
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.messages_api.exchange import Exchange, Request


@final
class LiveSource:
    """Requests go to whatever server the client names."""

    replays = False

    def transport_for(self, request: Request, real: Transport, measurement: Measurement) -> Transport:
        """The client's own transport."""
        return real


@final
@dataclass(frozen=True)
class CassetteSource:
    """Each request gets the first recorded exchange that fits it and was not used yet."""

    replays: ClassVar[bool] = True

    matcher: Matcher
    redact: tuple[re.Pattern[str], ...]
    explain: Callable[[Request], str]
    """The message for a request that no recording fits."""
    overrun: Callable[[Exchange], str]
    """The message for a program that reads on where the recorded one stopped."""

    def transport_for(self, request: Request, real: Transport, measurement: Measurement) -> Transport:
        """A transport that serves the recorded exchange; a miss if there is none."""
        shown = redact_request(request, self.redact)
        recorded = self.matcher.take(shown)
        if recorded is None:
            measurement.miss(self.explain(shown))
        stop, place = partial(self._stop, measurement), self.matcher.place_of(recorded)
        return ReplayTransport(recorded, measurement, measurement.library, stop, place=place)

    def _stop(self, measurement: Measurement, exchange: Exchange) -> NoReturn:
        measurement.miss(self.overrun(exchange))


@final
class SequentialSource:
    """The exchanges of a recording, one for each request in turn, whatever it asks."""

    replays = True

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self._total = len(exchanges)
        self._left = iter(exchanges)  # taking the next one is a single step: threads need no lock

    def transport_for(self, request: Request, real: Transport, measurement: Measurement) -> Transport:
        """A transport that serves the next exchange; a miss if none is left."""
        recorded = next(self._left, None)
        if recorded is None:
            measurement.miss(
                f"play: this {request.title} is one request more than the {self._total} exchanges of the recording"
            )
        return ReplayTransport(recorded, measurement, measurement.library, partial(self._stop, measurement))

    def _stop(self, measurement: Measurement, exchange: Exchange) -> NoReturn:
        measurement.miss("play: the program reads on where the recorded one stopped reading")
