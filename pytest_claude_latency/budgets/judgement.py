"""Judgements: a limit compared with what was measured, and the message that a broken one fails with.

The message has the order in which a reader asks: the verdict, the promise and where it was made, the measurement, and
the moments of the call that decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.metrics.call_text import describe, milliseconds, moments, place_of
from pytest_claude_latency.metrics.metric import METRICS, RATE_UNIT, show
from pytest_claude_latency.metrics.other_requests import OtherRequests
from pytest_claude_latency.metrics.prices import ADD
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import WIDTH, columns_of

Verdict: TypeAlias = Literal["kept", "broken", "no calls", "not measured", "not judged"]

NO_CALL: Final = "no prompt call was made"
NO_SESSION: Final = "no event stream of a session was followed"
NO_SUCH_CALL: Final = "no call fits {calls}"
NO_VALUE: Final = "no call has a value for {metric}"
DECIDED_ELSEWHERE: Final = "other limits decide for each of the test's calls"
PROMISES_NOTHING: Final = f"{NO_CALL}, so the budget promises nothing"
WHY_NO_CALL: Final = "is the client mocked, or is an await missing?"
ACCEPT_NO_CALL: Final = "promises that no call is made"
# a test of a hundred calls would fill the screen
_MOST_CALLS = 8  # in the overview of a test's calls


@dataclass(frozen=True, slots=True)
class Judgement:
    """One limit compared with what was measured.

    `measured` is in the unit of the limit (nanoseconds for durations). It is None where there was nothing to measure;
    `reason` then says what did not happen. `call` is the number, from 1, of the call that decided, among `call_count`
    calls; None for a limit on the whole test.
    """

    limit: Limit
    measured: int | float | None
    call: int | None
    call_count: int
    verdict: Verdict
    reason: str | None = None
    source: str = ""
    """What a measurement of the whole test was taken from; empty where the calls say it."""

    @property
    def metric(self) -> str:
        """The metric that was judged."""
        return self.limit.metric

    @property
    def at_most(self) -> bool:
        """Whether the metric must be at most the limit; otherwise at least."""
        return METRICS[self.metric].direction == "at most"

    @property
    def broken(self) -> bool:
        """Whether the promise was not kept."""
        return self.verdict == "broken"

    @property
    def fits_no_call(self) -> bool:
        """Whether it is about some calls of the test, and the test made none of these."""
        return self.limit.some is not None and self.call is None and METRICS[self.metric].scope == "call"

    @property
    def share(self) -> float:
        """How much of the limit was used: above 1 it is broken. What never came is infinitely late."""
        limit, measured = self.limit.value, self.measured
        if measured is None:
            return float("inf") if self.broken else 0.0
        # a factor, so that times and counts can stand in one order; by zero there is none, and its miss comes first
        more, less = (measured, limit) if self.at_most else (limit, measured)
        return more / less if less else float("inf") if more else 0.0


def message(
    judgements: Sequence[Judgement],
    calls: Sequence[Call],
    recording: str | None,
    others: Sequence[OtherRequests] = (),
    sessions: Sequence[Call] = (),
) -> str:
    """Return what a test fails with: a block for each broken limit, the worst first; empty if none is broken.

    Each block gives the verdict, the budget and where it was written, the measurement and the evidence. `recording` is
    the file that was replayed, or None. `others` are the requests that made no message, for the timeline of the test;
    limits on sessions were judged on `sessions`.
    """
    broken = sorted(
        (judgement for judgement in judgements if judgement.broken), key=lambda judgement: judgement.share, reverse=True
    )
    # that no call was made is one fact, however many limits there are: it gets one block
    without_call = [judgement for judgement in broken if judgement.reason == NO_CALL]
    blocks = [
        _block(judgement, calls if judgement.limit.endpoint is None else sessions, recording, others)
        for judgement in broken
        if judgement.reason != NO_CALL
    ]
    if without_call:
        lines = [
            PROMISES_NOTHING,
            *(_line("budget", judgement.limit.text(), judgement.limit.origin) for judgement in without_call),
            _line("measured", "0 calls", WHY_NO_CALL),
            _line("accept", "calls=0", ACCEPT_NO_CALL),
        ]
        blocks.insert(0, lines)
    return "\n\n".join("\n".join(block) for block in blocks)


def fact(judgement: Judgement) -> str:
    """Return a limit with what was measured: `"longest_gap 81ms/500ms"`, `"cache_read_tokens 900/at least 500"`."""
    metric, measured = METRICS[judgement.metric], judgement.measured
    # the unit of a rate is in its name already
    value = "-" if measured is None else show(metric, measured).removesuffix(RATE_UNIT)
    least = "" if judgement.at_most else "at least "
    return f"{judgement.limit.name} {value}/{least}{_shown_limit(judgement.limit)}"


def headline(judgement: Judgement) -> str:
    """Return the verdict on a broken limit in one line."""
    metric, limit, measured = METRICS[judgement.metric], judgement.limit, judgement.measured
    if measured is None:
        # which calls it is about, the name of the limit says
        reason = "no call fits" if judgement.fits_no_call else _measured(judgement)
        return f"{limit.name} has no value, {reason}: it breaks the budget of {_shown_limit(limit)}"
    verb = "were" if metric.kind == "count" else "was"
    side = "over" if judgement.at_most else "under"
    # the unit is there already, behind the measured rate
    miss = show(metric, abs(measured - limit.value)).removesuffix(RATE_UNIT)
    return f"{limit.name} {verb} {_measured(judgement)}, {miss} {side} the budget of {_shown_limit(limit)}"


def _shown_limit(limit: Limit) -> str:
    return f"${limit.value_text()}" if METRICS[limit.metric].kind == "money" else limit.value_text()


def _block(
    judgement: Judgement, calls: Sequence[Call], recording: str | None, others: Sequence[OtherRequests]
) -> list[str]:
    lines = [headline(judgement), _line("budget", judgement.limit.text(), judgement.limit.origin)]
    measured = _measured(judgement)
    if judgement.call is None:
        together = judgement.source or ("all calls together" if calls else "all requests together")
        if judgement.fits_no_call:
            together = f"the test made {number_of(len(calls), 'call')}"
        advice = (judgement.reason or "").partition(ADD)[2]
        lines.append(_line("measured", measured, "" if advice else together))
        if advice:
            lines.append(_line("add", advice))
        overview = _overview(calls, others, with_first_tokens=judgement.metric == "first_token")
        for place, (fact, source) in enumerate(overview[:_MOST_CALLS]):
            label = "" if place else "timeline"
            line = _line(label, fact, source)
            # names of models may be long: what does not fit goes below
            lines += [line] if columns_of(line) <= WIDTH else [_line(label, fact), _line("", f"  {source}")]
        if len(overview) > _MOST_CALLS:
            lines.append(_line("", f"and {len(overview) - _MOST_CALLS} more"))
        if len(locations := {call.location for call in calls} - {None}) == 1:
            lines.append(_line("made at", *map(str, locations)))
    else:
        call = calls[judgement.call - 1]
        kind = judgement.limit.endpoint or "call"
        # which model works in a session, its requests do not say
        what = describe(call) if kind == "call" else urlsplit(call.url).path
        lines.append(_line("measured", measured, f"{kind} {judgement.call} of {judgement.call_count}, {what}"))
        if call.location is not None:
            lines.append(_line("made at", call.location))
        lines.append(_line("timeline", moments(call)))
    return lines if recording is None else [*lines, _line("recording", recording)]


def _overview(
    calls: Sequence[Call], others: Sequence[OtherRequests], *, with_first_tokens: bool
) -> list[tuple[str, str]]:
    """Return a line for each call and each other request, on the clock of the test, in the order they were sent."""
    lines: list[tuple[float, str, str]] = []
    places = len({call.location for call in calls})
    for number, call in enumerate(calls, start=1):
        marks = [f"sent {milliseconds(call.sent)}"]
        if with_first_tokens and call.streamed and call.ttfa is not None:  # no reader sees the thinking before it
            kind = "first token" if call.ttfa == call.ttft else "first answer token"
            marks.append(f"{kind} {milliseconds(call.sent + call.ttfa)}")
        marks.append("not ended" if call.total is None else f"end {milliseconds(call.sent + call.total)}")
        # without the function, and only where it tells calls apart: a line is to fit into 80 columns
        source = ", ".join(filter(None, (call.model, place_of(call) if places > 1 else "")))
        lines.append((call.sent, f"call {number}  {' · '.join(marks)}", source))
    for other in others:
        moments_of_other = [f"sent {milliseconds(other.sent)}", f"end {milliseconds(other.ended)}"]
        if other.first_message is not None:
            moments_of_other.insert(1, f"first message {milliseconds(other.first_message)}")
        title = other.title if other.count == 1 else f"{other.title}, {other.count} times"
        lines.append((other.sent, f"{other.kind}  {' · '.join(moments_of_other)}", title))
    if others:  # calls alone keep the order of their numbers
        lines.sort(key=lambda line: line[0])
    return [(fact, source) for _, fact, source in lines]


def _line(label: str, fact: str, source: str = "") -> str:
    return f"  {label:<10}{fact:<27}  {source}".rstrip()


def _measured(judgement: Judgement) -> str:
    """Return the measurement as text, with more digits if rounding would make it look like its limit."""
    metric, measured = METRICS[judgement.metric], judgement.measured
    if measured is None:
        return str(judgement.reason).partition(ADD)[0]
    # "800ms is over 800ms" would look like a mistake of ours
    if metric.kind == "duration":
        return duration.told_apart(int(measured), int(judgement.limit.value))[0]
    text = show(metric, measured)
    if text != show(metric, judgement.limit.value):
        return text
    return f"${measured}" if metric.kind == "money" else f"{measured}{RATE_UNIT}"
