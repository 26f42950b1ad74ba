"""Redrawn worlds: who lends which times, and what stays as it was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.cassettes.recording import Recording, dumps
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.metrics.timeline import measure
from pytest_claude_latency.simulation.profiles import FirstToken, Profile, Profiles, Speed
from pytest_claude_latency.simulation.redraw import NoDonorError, TimedCall, Worlds, find_donors, lenders_in
from tests.simulation.test_retiming import GENERATED, bytes_of, timeless
from tests.support.properties import examples
from tests.support.some_recording import recording
from tests.support.written_calls import asked, ns, refused, streamed, usage, whole

NOBODY = Profiles("2026-12-01", ())
KNOWN = Profiles(
    "2026-12-01",
    (
        Profile(
            models=("claude-haiku-*",),
            source="a test",
            ttft=FirstToken(median=100, p95=200),
            tokens_per_second=Speed(low=10, median=20, high=30),
        ),
    ),
)


def call(
    first: float = 400, gap: float = 100, tokens: int = 5, *, prompt: int = 31, model: str | None = None
) -> Exchange:
    """A streamed call with a token in each of its pieces."""
    pieces = tuple((first + gap * piece, "text", "word") for piece in range(tokens))
    request = asked() if model is None else asked(model=model)
    return streamed(request, pieces, headers=first / 2, used=usage(prompt, tokens))


def samples(*firsts: float) -> list[Recording]:
    return [recording(call(first), sample=number) for number, first in enumerate(firsts, 1)]


def lent(donor: Exchange, borrower: Exchange) -> Exchange:
    return TimedCall(1, borrower).with_rhythm(TimedCall(1, donor).rhythm)


@examples(30)
@given(GENERATED, st.integers(0, 99))
def test_only_times_are_redrawn_and_they_keep_their_order(recorded: Recording, seed: int) -> None:
    donors = find_donors([recorded] * 5, (), NOBODY)

    world = Worlds([recorded], donors, seed, "test").world(1)

    assert bytes_of(world) == bytes_of(recorded)
    assert [timeless(e) for e in world.exchanges] == [timeless(e) for e in recorded.exchanges]
    dumps(world)  # which refuses times that run backwards


@examples(30)
@given(GENERATED)
def test_a_call_that_borrows_from_itself_stays_as_it_was(recorded: Recording) -> None:
    for lender in lenders_in([recorded]):
        borrowed = lender.with_rhythm(lender.rhythm)

        before, now = measure([lender.exchange]), measure([borrowed])
        assert now.ttft == pytest.approx(before.ttft, abs=1e-8)
        assert now.total == pytest.approx(before.total, abs=1e-8)
        assert now.longest_gap == pytest.approx(before.longest_gap, abs=1e-8)


def test_waiting_pace_and_stalls_are_the_donors() -> None:
    stalled = streamed(
        asked(), tuple((at, "text", "a") for at in (1000, 1010, 1020, 4020, 4030)), headers=900, used=usage(31, 5)
    )

    now = measure([lent(stalled, call(400, 100, 9))])

    assert (now.ttfb, now.ttft) == (0.9, 1.0)
    # nine tokens at 10 ms each, and one stall of 2.99 s
    assert now.total == pytest.approx(1.0 + 0.08 + 2.99)
    assert now.longest_gap == pytest.approx(3.0)


def test_a_longer_answer_takes_as_much_longer_at_the_same_pace() -> None:
    now = measure([lent(call(300, 20, 5), call(400, 100, 50))])

    assert now.ttft == 0.3
    assert now.tpot == pytest.approx(0.02)


def test_a_connection_stays_as_it_was() -> None:
    connected = streamed(asked(), ((400, "text", "a"), (500, "text", "b")), connect=(1, 60))

    redrawn = lent(call(300), connected)

    assert redrawn.connect == connected.connect
    assert measure([redrawn]).ttft == 0.061 + 0.3


def test_attempts_that_were_refused_stay_as_they_were() -> None:
    answered = replace(call(400), sent=ns(700))
    first = replace(refused(at=120), request=answered.request)
    recorded = recording(first, answered)

    world = Worlds([recorded], find_donors([recorded] * 5, (), NOBODY), 1, "test").world(1)

    assert world.exchanges[0] == first


# ── donors ──


def test_own_samples_come_first() -> None:
    donors = find_donors(samples(100, 200, 300, 400, 500), lenders_in(samples(9000)), KNOWN)

    assert (donors[1].source, donors[1].count) == ("its own samples", 5)


def test_calls_like_it_in_the_folder_come_next() -> None:
    others = lenders_in(
        [*samples(1, 2, 3, 4), recording(whole()), recording(call(prompt=90_000)), recording(call(model="claude-x"))]
    )

    donors = find_donors(samples(100), others, KNOWN)

    assert (donors[1].source, donors[1].count) == ("recordings of the folder", 5)


def test_the_profile_of_the_model_comes_last() -> None:
    donors = find_donors(samples(100), (), KNOWN)

    recorded = samples(100)
    firsts = sorted(
        measure([Worlds(recorded, donors, 1, "test").world(number).exchanges[0]]).ttft or 0 for number in range(1, 401)
    )
    assert (donors[1].source, donors[1].count) == ("profile", None)
    assert firsts[200] == pytest.approx(0.1, rel=0.1)
    assert firsts[380] == pytest.approx(0.2, rel=0.15)


def test_few_donors_are_taken_where_no_profile_is_known() -> None:
    assert find_donors(samples(100, 200), (), NOBODY)[1].count == 2


def test_a_call_without_any_donor_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(NoDonorError, match=r"call 1 \(claude-haiku-4-5\) has nothing to take its times from"):
        find_donors(samples(100), (), NOBODY)


# ── worlds ──


def instants(recorded: Recording) -> list[object]:
    return [(e.sent, e.response, e.chunks, e.end) for e in recorded.exchanges]


def test_worlds_follow_from_the_seed_the_test_and_their_number_alone() -> None:
    own = samples(*range(100, 2000, 100))

    def worlds(seed: int, name: str, numbers: Sequence[int]) -> list[list[object]]:
        made = Worlds(own[:1], find_donors(own, (), NOBODY), seed, name)
        return [instants(made.world(number)) for number in numbers]

    first = worlds(1, "a", range(1, 6))
    assert worlds(1, "a", [5, 4, 3, 2, 1]) == first[::-1]
    assert worlds(2, "a", range(1, 6)) != first
    assert worlds(1, "b", range(1, 6)) != first


def test_worlds_take_the_contents_of_the_samples_in_turn() -> None:
    own = [
        recording(streamed(asked(), ((400, "text", text), (500, "text", "."))), sample=n)
        for n, text in enumerate("abc", 1)
    ]
    worlds = Worlds(own, find_donors(own, (), NOBODY), 1, "test")

    made = [bytes_of(worlds.world(number)) for number in range(1, 7)]

    assert made == [bytes_of(recorded) for recorded in [*own, *own]]


def test_redrawn_times_have_the_distribution_of_their_donors() -> None:
    random = Random(7)
    firsts = [round(400 * random.lognormvariate(0, 0.4)) for _ in range(20)]
    own = samples(*firsts)
    worlds = Worlds(own, find_donors(own, (), NOBODY), 1, "test")

    drawn = [measure([worlds.world(number).exchanges[0]]).ttft for number in range(1, 2001)]

    assert {round((first or 0) * 1e9) // MILLISECOND for first in drawn} == set(firsts)
    shares = [drawn.count(first / 1000) / 2000 for first in set(firsts)]
    assert max(shares) < 0.15
    assert min(shares) > 0.02
