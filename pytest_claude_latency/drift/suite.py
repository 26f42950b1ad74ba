"""What changed over a suite: the shape of answers, the models that gave them, tokens and speed.

Shape, models and prompt tokens do not change by chance, so each change is told. Times and the lengths of answers differ
from call to call: times are judged by ranks over all calls, and lengths are only told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

from pytest_claude_latency.comparison import signed_ranks
from pytest_claude_latency.comparison.comparison import Comparison
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.comparison.statistical import Pair, judge_all
from pytest_claude_latency.drift.sent_again import SentAgain, cost_of
from pytest_claude_latency.drift.shape import Shape, shape_changes, shape_of
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.messages_api.endpoints import requested_model
from pytest_claude_latency.messages_api.forms import form_of
from pytest_claude_latency.metrics.prices import SHIPPED, Prices
from pytest_claude_latency.metrics.prompt_cache import cache_of
from pytest_claude_latency.plurals import number_of

SCHEMA: Final = 1
_SUITE: Final = "the suite"
_ASKED: Final = ("ttft", "tpot", "total")
_STATES: Final = ("refused", "no longer refused", "not answered", "not sent", "compared")


def drift_of(
    calls: Sequence[SentAgain],
    unreadable: Sequence[str],
    sent: int,
    rules: Rules,
    *,
    prices: Prices = SHIPPED,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Return what changed, in JSON types. `sent` is how many requests it took, `unreadable` what could not be read."""
    today = now or datetime.now(UTC)
    ages = [age_of(call.plan.recording.recorded, today) for call in calls]
    compared = [call for call in calls if call.state == "compared"]
    shapes = list(_shapes(calls))
    models = list(_models(compared))
    recordings = [call.as_json(age) for call, age in zip(calls, ages, strict=True)]
    # the tokens of a prompt are no chance: the same prompt has as many, until the API counts otherwise
    lengths = [(call.before.prompt_tokens, call.after.prompt_tokens, call.plan.path.as_posix()) for call in compared]
    prompts = [file for old, new, file in lengths if None not in (old, new) and old != new]
    speed = speed_of(calls, rules)
    counts = {state: sum(call.state == state for call in calls) for state in _STATES}
    found = {
        "{} refused": number_of(counts["refused"], "call"),
        "{} no longer refused": number_of(counts["no longer refused"], "call"),
        "{} of shape": number_of(len(shapes), "change"),
        "{} of model": number_of(len(models), "change"),
        "{} of other length in tokens": number_of(len(prompts), "prompt"),
    }
    changes = [text.format(number) for text, number in found.items() if not number.startswith("0 ")]
    changes += [f"{comparison.metric} slower" for comparison in speed if comparison.verdict == "regression"]
    answers = [call for call in calls if call.answered is not None]
    cost, unpriced = cost_of((call.answered for call in answers if call.answered is not None), prices)
    return {
        "schema": SCHEMA,
        "drift": changes,
        "counts": counts,
        "requests_sent": sent,
        "unreadable": list(unreadable),
        "age_days": {"least": min(ages), "median": median(ages), "most": max(ages)} if ages else None,
        "shape": shapes,
        "models": models,
        "tokens": {
            "prompt": _sums(compared, "prompt_tokens"),
            "output": _sums(compared, "output_tokens"),
            "prompts_changed": prompts,
            "spent": [
                sum(getattr(call.after, name) or 0 for call in answers) for name in ("prompt_tokens", "output_tokens")
            ],
        },
        "cost": cost,
        "calls_without_a_price": unpriced,
        "speed": [{**comparison.as_json(), "headline": comparison.headline()} for comparison in speed],
        "recordings": sorted(recordings, key=_severity),
    }


def speed_of(calls: Iterable[SentAgain], rules: Rules) -> tuple[Comparison, ...]:
    """Return for each metric whether the calls became slower: only whole answers are compared, each with its own."""
    answered = [call for call in calls if call.is_whole and call.before.streamed == call.after.streamed]
    alike = [call for call in answered if cache_of([call.before]) == cache_of([call.after])]
    old, new = _sums(alike, "output_tokens")
    notes: tuple[str, ...] = (f"the answers have {new:,} tokens, was {old:,}",) if old != new else ()
    if len(alike) < len(answered):
        left_out = number_of(len(answered) - len(alike), "call")
        notes += (f"{left_out} left out: only one side read its prompt from the cache",)
    pairs = []
    for metric in _ASKED:
        # the first token of an answer that does not stream comes with its last
        judged = [call for call in alike if metric == "total" or call.before.streamed]
        times = [(getattr(call.before, metric), getattr(call.after, metric)) for call in judged]
        known = [(old * SECOND, new * SECOND) for old, new in times if old is not None and new is not None]
        if known:
            before, after = zip(*known, strict=True)
            # a token takes milliseconds: of its time only the ratio counts
            pairs.append(
                Pair(_SUITE, metric, before, after, notes, min_shift=0 if metric == "tpot" else None, unit="call")
            )
    return judge_all(pairs, rules, signed_ranks)


def age_of(recorded: str, now: datetime) -> int:
    """Return how many days ago something was recorded."""
    # clocks of two machines may disagree: a recording of today is not of tomorrow
    return max((now - datetime.fromisoformat(recorded)).days, 0)


def _shapes(calls: Iterable[SentAgain]) -> Iterator[dict[str, Any]]:
    """Yield the changes of shape, for each model and form of answer by itself."""
    groups: dict[tuple[str, str, bool], tuple[list[Shape], list[Shape]]] = {}
    for call in calls:
        recorded, answered = call.plan.recorded, call.answered
        if recorded is None or answered is None or not call.is_whole:
            continue
        key = requested_model(recorded.request) or "model unknown", form_of(recorded.request), call.before.streamed
        before, after = groups.setdefault(key, ([], []))
        before.append(shape_of(recorded))
        after.append(shape_of(answered))
    for (model, form, streamed), (before, after) in groups.items():
        for change in shape_changes(before, after):
            yield {**change.as_json(), "asked": model, "form": form, "streamed": streamed}


def _models(compared: Iterable[SentAgain]) -> Iterator[dict[str, Any]]:
    """Yield each change of the model that answered, with in how many calls it was seen."""
    counts: dict[tuple[str | None, str | None, str | None], int] = {}
    for call in compared:
        asked = None if call.plan.recorded is None else requested_model(call.plan.recorded.request)
        if call.before.error is None and call.before.model != call.after.model:
            change = asked, call.before.model, call.after.model
            counts[change] = counts.get(change, 0) + 1
    for (asked, before, after), count in counts.items():
        yield {"asked": asked, "before": before, "after": after, "calls": count}


def _sums(calls: Iterable[SentAgain], name: str) -> list[int]:
    """Return the tokens of the recorded answers and of those of now, of the calls for which both are known."""
    counts = [(getattr(call.before, name), getattr(call.after, name)) for call in calls]
    known = [pair for pair in counts if None not in pair]
    return [sum(side) for side in zip(*known, strict=True)] or [0, 0]


def _severity(fact: dict[str, Any]) -> tuple[int, float, str]:
    """Order the worst first: what was not answered, then by how much slower it was."""
    before, after = (fact.get(side, {}).get("total") for side in ("before", "after"))
    slower = after / before if before and after else 0.0
    return _STATES.index(fact["state"]), -slower, fact["file"]
