"""Profiles fitted from recordings: how the times of calls depend on their prompts, and how they vary.

The median time to the first token is a base and so much for each token of the prompt, cached and uncached. Around it
times are taken as log-normal, so the fit is by shares: half as long is as far off as twice as long.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Final, final

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.duration import MILLISECOND, SECOND
from pytest_claude_latency.metrics.percentiles import percentile
from pytest_claude_latency.metrics.timeline import Call, measure
from pytest_claude_latency.simulation.chosen_calls import prompt_calls
from pytest_claude_latency.simulation.profiles import P95, FirstToken, Profile, Speed, Unstreamed

FEWEST: Final = 5
"""Calls that a profile of a model needs."""
_FEWEST_TO_SLOPE: Final = 8
"""Calls from which on a dependence on the prompt is fitted."""
_LEAST_SPREAD: Final = 500
"""Tokens by which prompts must differ before their length can tell anything."""
_ROUNDS: Final = 20
_TOKENS_OF_A_PACE: Final = 10  # of shorter answers the pace is one of chance


@final
@dataclass(frozen=True)
class Fit:
    """The profile of one model, the calls that it was fitted to, and how well it fits them."""

    profile: Profile
    streamed: tuple[Call, ...]
    unstreamed: tuple[Call, ...]

    @property
    def shares(self) -> list[float]:
        """How long each streamed call took to its first token, as a share of what the profile says, in order."""
        ttft = self.profile.ttft
        return sorted((call.ttft or 0.0) * SECOND / MILLISECOND / ttft.at(*_prompt(call)) for call in self.streamed)


def fits_of(recordings: Iterable[Recording]) -> tuple[dict[str, Fit], dict[str, int]]:
    """Return the fit for each model in recordings, and the number of calls of each that has too few for one."""
    calls: dict[str, list[Call]] = {}
    for recording in recordings:
        for attempts in prompt_calls(recording):
            # The answering attempt alone: what went before it was no answer of this model.
            call = measure([recording.exchanges[attempts[-1]]])
            if call.error is None and call.closed is None and call.ttft and call.model:
                calls.setdefault(call.model, []).append(call)
    streamed = {model: [call for call in calls[model] if call.streamed] for model in sorted(calls)}
    enough = {model: _fit(model, calls[model]) for model in streamed if len(streamed[model]) >= FEWEST}
    return enough, {model: len(calls[model]) for model in streamed if model not in enough}


def _fit(model: str, calls: Sequence[Call]) -> Fit:
    streamed = tuple(call for call in calls if call.streamed)
    others = tuple(call for call in calls if not call.streamed)
    # Where all answers are short, their paces are better than none.
    speeds = [
        call.output_tokens_per_second
        for call in streamed
        if call.output_tokens_per_second and (call.output_tokens or 0) >= _TOKENS_OF_A_PACE
    ] or [call.output_tokens_per_second for call in streamed if call.output_tokens_per_second]
    low, usual, high = (percentile(speeds or [1.0], Fraction(share, 100)) for share in (5, 50, 95))
    profile = Profile(
        models=(model,),
        source=f"fitted to {len(streamed)} streamed and {len(others)} other recorded calls",
        ttft=_first_token(streamed),
        tokens_per_second=Speed(low=round(low, 1), median=round(usual, 1), high=round(high, 1)),
        unstreamed=_unstreamed(others),
    )
    return Fit(profile, streamed, others)


def _prompt(call: Call) -> tuple[int, int]:
    """Return the tokens of the prompt that no cache had, and those that one had."""
    return (call.input_tokens or 0) + (call.cache_write_tokens or 0), call.cache_read_tokens or 0


def _first_token(calls: Sequence[Call]) -> FirstToken:
    times = [(call.ttft or 0.0) * SECOND / MILLISECOND for call in calls]
    prompts = [_prompt(call) for call in calls]
    columns = [[1.0] * len(calls)]
    used = []
    for column in range(2):
        tokens = [prompt[column] for prompt in prompts]
        if len(calls) >= _FEWEST_TO_SLOPE and max(tokens) - min(tokens) >= _LEAST_SPREAD:
            used.append(column)
            # In thousands, as a profile has them.
            columns.append([count / 1000 for count in tokens])
    factors = _by_shares(columns, times)
    slopes = dict(zip(used, factors[1:], strict=True))
    fitted = [
        sum(factor * column[row] for factor, column in zip(factors, columns, strict=True)) for row in range(len(times))
    ]
    shares = [time / expected for time, expected in zip(times, fitted, strict=True)]
    # The median is what half of the calls keep, so the fit is moved there as a whole.
    middle = median(shares)
    logs = [math.log(share / middle) for share in shares]
    # Each factor that was fitted takes a degree of freedom: without that, few calls would seem to vary less.
    sigma = math.sqrt(sum(log * log for log in logs) / max(len(logs) - len(factors), 1))
    base = factors[0] * middle
    return FirstToken(
        median=round(base, 1),
        p95=round(base * math.exp(P95 * sigma), 1),
        per_1000_uncached=round(slopes.get(0, 0.0) * middle, 2),
        per_1000_cached=round(slopes.get(1, 0.0) * middle, 2),
    )


def _unstreamed(calls: Sequence[Call]) -> Unstreamed | None:
    measured = [(call.output_tokens, call.total) for call in calls]
    known = [(tokens, total * SECOND / MILLISECOND) for tokens, total in measured if tokens and total]
    if len(known) < FEWEST or len({tokens for tokens, _ in known}) < 2:
        return None
    columns = [[1.0] * len(known), [float(tokens) for tokens, _ in known]]
    base, per_token = _by_shares(columns, [total for _, total in known])
    return Unstreamed(base=round(base, 1), per_token=round(per_token, 2))


def _by_shares(columns: Sequence[Sequence[float]], times: Sequence[float]) -> list[float]:
    """Return the factors, none negative, with which the columns add up to the times, by least squares of shares."""
    factors = [median(times), *[0.0] * (len(columns) - 1)]
    for _ in range(_ROUNDS):
        rows = range(len(times))
        expected = [sum(factor * column[row] for factor, column in zip(factors, columns, strict=True)) for row in rows]
        # Divided by what is expected, so that the fit is of shares. That changes with each fit: hence the rounds.
        weights = [1 / max(value, 1e-6) ** 2 for value in expected]
        factors = _without_negatives(columns, times, weights)
    return factors


def _without_negatives(
    columns: Sequence[Sequence[float]], times: Sequence[float], weights: Sequence[float]
) -> list[float]:
    """Return the weighted least squares without a negative factor: columns that would get one are left out."""
    kept = list(range(len(columns)))
    while True:
        solved = _least_squares([columns[place] for place in kept], times, weights)
        # The base comes first and stays: an answer takes some time whatever its prompt.
        worst = min(range(1, len(kept)), key=lambda place: solved[place], default=0)
        if worst == 0 or solved[worst] >= 0:
            factors = dict(zip(kept, solved, strict=True))
            base = max(factors[0], min(times) / 10)
            return [base, *(factors.get(place, 0.0) for place in range(1, len(columns)))]
        del kept[worst]


def _least_squares(columns: Sequence[Sequence[float]], times: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the factors with which the columns come nearest to the times, by Gauss's elimination."""
    size = len(columns)
    table = [
        [math.fsum(w * a * b for w, a, b in zip(weights, one, other, strict=True)) for other in (*columns, times)]
        for one in columns
    ]
    for place in range(size):
        # The largest one: division by a small number would blow up the error of every row.
        pivot = max(range(place, size), key=lambda row: abs(table[row][place]))
        table[place], table[pivot] = table[pivot], table[place]
        if not table[place][place]:  # this column follows from the others, and gets no share
            continue
        for row in range(size):
            if row != place:
                share = table[row][place] / table[place][place]
                table[row] = [value - share * above for value, above in zip(table[row], table[place], strict=True)]
    return [table[row][size] / table[row][row] if table[row][row] else 0.0 for row in range(size)]
