"""Sending: recorded requests go out one after the other, and no failure keeps the others from being sent.

Each is sent once. Only where the API is overloaded or limits the rate is a request sent again, when the time has passed
that the API asks for, and at most twice. What would have to wait for more than a minute is not sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, final
from urllib.parse import urlsplit

from pytest_claude_latency.ab.runner import send
from pytest_claude_latency.http.connection_warmup import ConnectionWarmup
from pytest_claude_latency.http.doors.httpx import HTTPXDoor
from pytest_claude_latency.http.library import HTTPLibrary
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.sources import LiveSource
from pytest_claude_latency.messages_api.endpoints import requested_model
from pytest_claude_latency.messages_api.exchange import Exchange, Request, header
from pytest_claude_latency.messages_api.recognition import Recognition
from pytest_claude_latency.virtual_time.clock import WallClock

_BUSY: Final = (429, 503, 529)
_MOST_REPEATS: Final = 2
_LONGEST_WAIT: Final = 60.0
_USUAL_WAIT: Final = 5.0
"""Seconds to wait where the API does not say how many."""


class NotSentError(Exception):
    """A request is not sent: why."""


@final
class Sender:
    """Sends requests with one client, and keeps to the limits that the API sets."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep, now: Callable[[], float] = time.monotonic) -> None:
        self._sleep = sleep
        self._now = now
        self._library = HTTPLibrary.of_sdk()
        self._client: Any = self._library.client()
        self._not_before: dict[tuple[str, str | None], float] = {}
        """When the API takes requests again, by its address and the model: each model has limits of its own."""
        self._is_patient = True
        self._refused: dict[str, str] = {}
        """The addresses that do not take the login, with what they say."""
        self.count = 0
        """How many requests were sent, repetitions too."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def exchange_for(self, request: Request) -> Exchange:
        """Send a request, and return it with its answer. One that failed is an exchange with an error.

        Raises:
            NotSentError: it was not sent, since the API would not take it.
        """
        address = urlsplit(request.url).netloc
        if address in self._refused:
            raise NotSentError(self._refused[address])
        limited = address, requested_model(request)
        for repeat in range(_MOST_REPEATS + 1):
            wait = self._not_before.get(limited, 0.0) - self._now()
            if wait > _LONGEST_WAIT:
                raise NotSentError(f"the API limits the rate, and asks to wait for {round(wait)} s")
            if wait > 0:
                self._sleep(wait)
            exchange = self._send(request)
            status = exchange.response.status if exchange.response else None
            if status == 401:
                self._refused[address] = "the API does not take the key (HTTP 401)"
            if status not in _BUSY:
                return exchange
            self._not_before[limited] = self._now() + _asked_wait(exchange)
            # One call that was refused to the end is enough: the others are asked once each, and wait for no one.
            if not self._is_patient or repeat == _MOST_REPEATS:
                self._is_patient = False
                return exchange
        raise AssertionError("the last repetition returns")

    def _send(self, request: Request) -> Exchange:
        measurement = Measurement("drift", WallClock(), LiveSource(), warmup=ConnectionWarmup())
        door = HTTPXDoor(lambda: measurement, Recognition(), self._library)  # not installed: requests are handed to it
        self.count += 1
        attempt = send(request, self._client, measurement, door)
        measurement.close()  # before it is looked at: that ends what is under way
        return attempt.exchange()


def _asked_wait(exchange: Exchange) -> float:
    """Return for how many seconds the API asks to wait."""
    headers = exchange.response.headers if exchange.response else ()
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(float(header(headers, name) or ""), 0.0) / unit
        except ValueError:  # none, or a date
            continue
    return _USUAL_WAIT
