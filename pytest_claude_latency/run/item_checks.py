"""What a latency test is held to when its body or its teardown is over.

Each function returns the text that the test fails with, or `None` where all is well.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from pytest_claude_latency.budgets.judgement import NO_CALL, NO_SESSION, Judgement, message
from pytest_claude_latency.cassettes.paths import samples
from pytest_claude_latency.cassettes.recording import first_line
from pytest_claude_latency.collection.markers import is_bare, place_of, promises_directly
from pytest_claude_latency.collection.selection import ANSWERS, BUDGET
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.made_up_answers import MadeUpAnswers
from pytest_claude_latency.measurement.sources import CassetteSource
from pytest_claude_latency.measurement.whole_test import readings
from pytest_claude_latency.messages_api.endpoints import requested_model
from pytest_claude_latency.messages_api.retries import failure
from pytest_claude_latency.run import messages
from pytest_claude_latency.run.latency_test import LatencyTest
from pytest_claude_latency.settings import Mode

_AT_ONCE: Final = 20 * MILLISECOND
"""How soon after a hold a timer that was due in it has done its work."""
_LEAST_COMPUTING: Final = 250 * MILLISECOND
"""For so long a replay may read on where the recording stops, so that less does no harm."""
_FEWEST_OPEN: Final = 2
_MOCKS_ABOVE: Final = (
    "aioresponses",
    "betamax",
    "botocore.stub",
    "httmock",
    "moto",
    "placebo",
    "pook",
    "requests_mock",
    "responses",
    "vcr",
)
"""Modules that answer requests above the places where these are met, so that no one can tell what they answered."""


def judgements_of(test: LatencyTest) -> tuple[Judgement, ...]:
    """Hold the calls of the test body against each limit of the test."""
    body = test.measurement.log.of(Phase.BODY)
    test_readings = readings(body, test.budget.of_whole_test(), test.measurement.prices)
    # with a fault nothing is inherited: its limits stand in its own marker
    direct = test.identity.fault is not None or promises_directly(test.item)
    return test.budget.judge(
        body.calls,
        body.elapsed,
        direct=direct,
        sessions=body.sessions,
        test_readings=test_readings,
        requests=body.requests,
    )


def budget_failure(test: LatencyTest, judgements: Sequence[Judgement]) -> str | None:
    """Return how the test breaks its budget: a limit is broken, or the budget promises nothing."""
    body = test.measurement.log.of(Phase.BODY)
    calls = body.calls
    if any(judgement.broken for judgement in judgements):
        text = message(judgements, calls, test.evidence, body.others, body.sessions)
        text += test.diagnose(judgements).text()
        return text if calls else _with_mocks(text)
    if test.is_simulated and test.settings.strict and (test.budget.plain_limits or test.budget.percentiles):
        return messages.simulated_strictly(test.file.command)
    if test.identity.fault is not None:  # what the test's own marker promises is judged without it
        return None
    if is_bare(test.item) and not test.budget.limits:
        return messages.bare_marker(test.identity.nodeid)
    return _promise_about_nothing(test, judgements)


def _promise_about_nothing(test: LatencyTest, judgements: Sequence[Judgement]) -> str | None:
    """Return which promise of the test is about calls that it did not make, as far as that fails it."""
    body = test.measurement.log.of(Phase.BODY)
    # An inherited budget over a test without a call is no mistake by itself: a class may hold such a test too.
    silent = [judgement for judgement in judgements if judgement.verdict == "no calls"]
    promises_silence = any(judgement.metric == "calls" for judgement in judgements if judgement not in silent)
    if test.settings.strict and silent and not promises_silence:
        limits = " ".join(judgement.limit.text() for judgement in silent)
        return f"{silent[0].reason}: {limits} promises nothing ({silent[0].limit.origin}; {messages.STRICTLY})"
    is_direct, percentiles = promises_directly(test.item), test.budget.percentiles
    if is_direct and not body.sessions and any(limit.endpoint for limit in percentiles):
        return f"{NO_SESSION} by a test that carries @{BUDGET}"
    if body.calls:
        return None
    # A marker with nothing but percentiles has no limit that this sample alone could break. Those of `elapsed` need no
    # prompt call: a test may wait for batches and sessions only.
    is_measured = body.elapsed is not None and all(limit.metric == "elapsed" or limit.endpoint for limit in percentiles)
    if is_direct and not test.budget.plain_limits and not is_measured:
        return _with_mocks(f"{NO_CALL} by a test that carries @{BUDGET}")
    return None


def _with_mocks(text: str) -> str:
    mocks = loaded_mocks()
    return f"{text}\n{messages.mocks_above(mocks)}" if mocks else text


def loaded_mocks() -> list[str]:
    """Return the mocks that may have answered the calls which a test seems not to have made."""
    return [name for name in _MOCKS_ABOVE if name in sys.modules]


def nothing_was_seen(test: LatencyTest) -> str | None:
    """Return that a test which promises something about its calls made none, where a mock may have taken them."""
    promises_none = any(limit.metric == "calls" for limit in test.budget.plain_limits)
    if test.measurement.replays or test.measurement.log.exchanges or promises_none or not promises_directly(test.item):
        return None
    mocks = loaded_mocks()
    return messages.nothing_was_seen(mocks) if mocks else None


def mixed_set(test: LatencyTest) -> str | None:
    """Return that the recordings of the test are no complete set. Only a replay of the whole set shows that."""
    replayed, found, settings = test.replayed, test.identity.sample_count, test.settings
    if replayed is None or replayed.samples is None or settings.mode is not Mode.REPLAY or test.identity.fault:
        return None
    # `--latency-samples` asks for no more than so many of them.
    expected = replayed.samples if settings.samples is None else min(settings.samples, replayed.samples)
    if found != expected:
        return messages.mixed_set(replayed.samples, found, test.file.command)
    if found == 1:
        return None
    # Each sample is compared with the first one, so that no sample has to read all others.
    file, test_id = place_of(test.item, test.identity.nodeid)
    first = first_line(samples(file, settings.cassettes, test_id)[0])
    if first is None or first.version == 1 or first.set == (replayed.set_mark or UNSET):
        return None
    return messages.two_sets(replayed.samples, test.file.command)


def answers_to_change(test: LatencyTest, *, is_over: bool) -> list[str]:
    """Return the message about the made-up answers of a test. `is_over` says that it ran to its end."""
    source = test.measurement.source
    if isinstance(source, MadeUpAnswers):
        # with a fault a program may give up: what it leaves is no mistake
        return source.left_over if is_over and test.identity.fault is None else []
    if test.replayed is not None and test.identity.is_fair and test.item.get_closest_marker(ANSWERS):
        return [messages.answers_not_needed(test.file.shown)]
    return []


def unmet_fault(test: LatencyTest) -> str | None:
    """Return that the fault of a test fitted none of its made-up answers. Of a recording it is known before."""
    source, fault = test.measurement.source, test.identity.fault
    if fault is None or not isinstance(source, MadeUpAnswers) or source.unmet is None:
        return None
    return source.unmet.labelled()


def unused_exchanges(test: LatencyTest) -> str | None:
    """Return which recorded exchanges the test did not use. A shared recording is there for other tests too."""
    # with a fault a program may give up, or ask another model: what it leaves is no mistake
    if test.marker.name is not None or test.identity.fault is not None:
        return None
    return test.file.unused(test.measurement.source)


def missing_fallback(test: LatencyTest) -> str | None:
    """Return which recorded request followed a failure and was not sent by a test that failed by itself.

    The program gave up where it went on while recording: to ask again, or another model.
    """
    source = test.measurement.source
    if not isinstance(source, CassetteSource) or test.marker.name is not None or test.measurement.misses:
        return None
    unused, earlier = source.matcher.unused, [place for place in source.matcher.exchanges if place.end is not None]
    for exchange in unused:
        over = [other for other in earlier if other.sent + (other.end.at if other.end else 0) <= exchange.sent]
        before = max(over, key=lambda other: other.sent + (other.end.at if other.end else 0), default=None)
        if before is not None and before not in unused and (reason := failure(before)) is not None:
            places = [source.matcher.place_of(each) + 1 for each in (before, exchange)]
            asked = f"{exchange.request.title}, {requested_model(exchange.request) or 'model unknown'}"
            return messages.missing_fallback(places[0], reason, places[1], asked, test.file.shown)
    return None


def separate_clients(test: LatencyTest) -> str | None:
    """Return which line of the program sent each call by a client of its own, where it shared one while recording.

    A call that was recorded on an open connection does not say what opening one takes. Two clients of one line may
    be two that the program keeps, and were open before the test; more are made for the calls.
    """
    if test.measurement.log.count <= _FEWEST_OPEN:  # at least one more was recorded on a connection that it opened
        return None
    by_line: dict[str, list[Attempt]] = {}
    for call in test.measurement.log.of(Phase.BODY).sent:
        if call.is_prompt and (line := call.attempts[0].line) is not None:
            by_line.setdefault(line, []).append(call.attempts[0])
    for line, attempts in by_line.items():
        pools = {attempt.pool for attempt in attempts} - {None}
        recorded = [exchange.recorded for attempt in attempts if (exchange := attempt.exchange()).recorded is not None]
        were_open = sum(exchange.connect is None for exchange in recorded)
        if len(pools) == len(attempts) and were_open >= _FEWEST_OPEN and were_open < len(recorded):
            return messages.separate_clients(len(attempts), line, were_open, test.file.command)
    return None


def hangs_on_speed(test: LatencyTest) -> str | None:
    """Return which recorded request was given up when the program's own computing had held its event loop.

    A replay takes no time for computing, so the time-out may not fire there.
    """
    holds = test.measurement.holds()
    for number, exchange in enumerate(test.measurement.log.exchanges, 1):
        if exchange.end is None or (exchange.end.closed is None and "Timeout" not in (exchange.end.error or "")):
            continue
        over = exchange.sent + exchange.end.at
        for loop in holds:
            is_cause = loop.is_loop and loop.thread == exchange.thread and loop.start < over <= loop.end + _AT_ONCE
            # what waits in the loop, as time.sleep does, takes as long in a replay
            waits = [hold for hold in holds if hold.what and loop.start <= hold.start and hold.end <= loop.end]
            computing = loop.length - sum(wait.length for wait in waits)
            if is_cause and exchange.sent < loop.end and computing >= _LEAST_COMPUTING:
                return messages.hangs_on_speed(number, exchange.end.at, computing)
    return None
