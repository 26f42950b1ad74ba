"""Dates in recorded headers: they keep their distance from the moment of recording.

`retry-after` and the resets of rate limits may name a moment instead of a span. When the recording is replayed, that
moment has long passed, and a client that obeys it would not wait at all. So each date is moved by as much as the
calendar of the replay is later than that of the recording.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.messages_api.exchange import Headers

_HTTP_DATE = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .*\d\d:\d\d:\d\d.*")
_ISO_DATE = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_EPOCH = re.compile(r"(\d{10})(\d{3})?(\.\d+)?")  # seconds or milliseconds since 1970, in our century


def on_the_calendar(recording: Recording, date: datetime | None) -> tuple[Recording, datetime | None]:
    """Return the recording with the dates in its headers moved, and the date on which its replay begins.

    `date` is the one that was asked for, None for today. Where the headers hold dates, the replay begins at a whole
    number of seconds after the recording: an HTTP date holds no fraction of a second, and any rounding of it would
    give other numbers on each run.
    """
    responses = [exchange.response for exchange in recording.exchanges if exchange.response is not None]
    if not any(_moved(response.headers, timedelta(days=1)) != response.headers for response in responses):
        return recording, date
    try:
        recorded = datetime.fromisoformat(recording.recorded).astimezone(UTC)
    except ValueError:
        return recording, date
    if date is None:
        date = datetime.now(UTC).replace(microsecond=recorded.microsecond)
    shift = date - recorded
    exchanges = [
        exchange
        if exchange.response is None
        else replace(exchange, response=replace(exchange.response, headers=_moved(exchange.response.headers, shift)))
        for exchange in recording.exchanges
    ]
    return replace(recording, exchanges=tuple(exchanges)), date


def _moved(headers: Headers, shift: timedelta) -> Headers:
    """Return the headers with each date moved. A value that is no date stays as it is."""
    moved = []
    for name, value in headers:
        text = value
        with suppress(ValueError, OverflowError):  # it looks like a date, and no such date exists
            text = _moved_date(name, value, shift)
        moved.append((name, text))
    return tuple(moved)


def _moved_date(name: str, value: str, shift: timedelta) -> str:
    if _HTTP_DATE.fullmatch(value):
        return format_datetime(parsedate_to_datetime(value).astimezone(UTC) + shift, usegmt=True)
    if match := _ISO_DATE.fullmatch(value):
        moment, fraction, zone = match.groups()
        # the fraction and the zone are kept as they are written: Python would write both in another form
        moment = (datetime.fromisoformat(moment) + shift).isoformat(timespec="seconds")
        return f"{moment}{fraction or ''}{zone}"
    # Only where the name says so: ten digits may be any number.
    if "reset" in name and (match := _EPOCH.fullmatch(value)):
        seconds, milliseconds, fraction = match.groups()
        return f"{int(seconds) + round(shift.total_seconds())}{milliseconds or ''}{fraction or ''}"
    return value
