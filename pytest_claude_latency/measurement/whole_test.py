"""What a limit on a whole test, or on a block of it, is judged on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from pytest_claude_latency.budgets.limit import PARTS
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.metrics.metric import Reading
from pytest_claude_latency.metrics.prices import NoPriceError, Prices
from pytest_claude_latency.metrics.timeline import Timeline
from pytest_claude_latency.plurals import number_of

if TYPE_CHECKING:
    from pytest_claude_latency.measurement.call_log import CallsInPhases

_ON_PATH: Final = "along the critical path"


def readings(sent: CallsInPhases, metrics: Iterable[str], prices: Prices) -> dict[str, Reading]:
    """Return what these calls measured together, for each of `metrics` that is about a whole test."""
    wanted = dict.fromkeys(metrics)
    found: dict[str, Reading] = {}
    prompts = [attempts for attempts in sent.attempts if is_prompt_call(attempts[0].request)]
    if "first_token" in wanted:
        found["first_token"] = _first_token(prompts, sent.began)
    if "cost" in wanted:
        try:
            dollars = sum(prices.cost(attempts) for attempts in prompts)
            source = f"{number_of(len(prompts), 'call')}, prices of {prices.dated}"
            # rounded: sums of floats end in digits that no price has
            found["cost"] = Reading(round(dollars, 9), source=source)
        except NoPriceError as error:  # a sum without one call would pass for the cost of the test
            found["cost"] = Reading(None, reason=str(error))
    if parts := [metric for metric in wanted if metric in PARTS]:
        from pytest_claude_latency.diagnosis import attribution  # only where a limit needs it: it takes time
        from pytest_claude_latency.diagnosis.breakdown import Part

        breakdown = attribution.of_test(sent.attempts, sent.now, sent.find_holds())
        for metric in parts:
            span = 0 if breakdown is None else breakdown.time_in(*map(Part, PARTS[metric]))
            found[metric] = Reading(span, source=_ON_PATH)
    return found


def _first_token(prompts: Sequence[Sequence[Exchange]], began: Nanoseconds) -> Reading:
    """Return the time to the first text that a reader sees: streamed, or with the last answer as a whole."""
    seen: list[tuple[Nanoseconds, int]] = []
    ends: list[tuple[Nanoseconds, int]] = []
    for number, attempts in enumerate(prompts, 1):
        timeline = Timeline.of(attempts)
        text = next((delta.at for delta in timeline.deltas if delta.kind == "text"), None)
        if timeline.streamed and text is not None:
            seen.append((timeline.sent + text, number))
        if timeline.deltas and timeline.total is not None:
            ends.append((timeline.sent + timeline.total, number))
    if seen:
        at, number = min(seen)
        return Reading(at - began, source=f"the first text of call {number} of {len(prompts)}")
    if ends:
        at, number = max(ends)
        return Reading(at - began, source=f"no text was streamed: the end of call {number} of {len(prompts)}")
    return Reading(None, reason="no answer came")
