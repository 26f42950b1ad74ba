"""What a live measurement says of a machine that stalled: then its times contain what the API did not take."""

from __future__ import annotations

from typing import Final

from pytest_claude_latency import duration
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.messages_api.retries import ended
from pytest_claude_latency.plurals import number_of

_MEASURED: Final = "so times of this test may be that much too long; run it again when the machine has less to do"
_RECORDED: Final = (
    "so its recording may say that the API took that much longer; record it again when the machine has less to do"
)


def warning_of(measurement: Measurement, *, is_recorded: bool) -> str | None:
    """Return that the machine stalled while requests were under way or between them; `None` if it did not."""
    exchanges = measurement.log.exchanges if measurement.stalls else ()
    if not exchanges:
        return None
    first = min(exchange.sent for exchange in exchanges)
    last = max(ended(exchange, measurement.now()) for exchange in exchanges)
    spans = [end - start for start, end in measurement.stalls if start < last and first < end]
    if not spans:
        return None
    times = (
        duration.show(sum(spans))
        if len(spans) == 1
        else f"{number_of(len(spans), 'time')}, {duration.show(sum(spans))} in all"
    )
    return f"the machine stalled for {times} while this test called the API, {_RECORDED if is_recorded else _MEASURED}"
