"""Rules about calls that could run at the same time, and about those that did so while they were recorded."""

from __future__ import annotations

from collections.abc import Callable

from pytest_claude_latency import duration
from pytest_claude_latency.diagnosis.finding import Finding, Saving
from pytest_claude_latency.diagnosis.trace import PromptCall, Trace, numbers, ran_together
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.messages_api.quotes import quotes_an_answer

# less is not worth a program that is harder to read
_LEAST_GAIN = 200 * MILLISECOND
_CHOICE = 12  # words: a longer answer is made to be read, not to choose the next call by


def no_longer_together(trace: Trace) -> Finding | None:
    """Find calls of a replay that run one after another, though they ran at the same time while they were recorded.

    Silent where something held the event loop for as long as one of them took, which is another finding.
    """
    group = max(_groups(trace, _no_longer_run_together), key=_gain, default=[])
    gain = _gain(group) if group else 0
    if not trace.matters(gain):
        return None
    longest = max(call.breakdown.total for call in group)
    first, *_, last = group
    return Finding(
        rule="no-longer-together",
        fact=f"calls {first.number} {'and' if len(group) == 2 else 'to'} {last.number} ran at the same time while "
        f"recording, and now run one after another, {duration.show(gain + longest)} in all",
        remedy="start them together again, for example with asyncio.gather or a task group",
        cost=gain,
        saving=Saving(span=gain, how=f"if all take the {duration.show(longest)} of the longest", calls=len(group)),
        calls=numbers(group),
    )


def _no_longer_run_together(trace: Trace, earlier: PromptCall, later: PromptCall) -> bool:
    if later.sent < earlier.over or not ran_together(earlier, later):
        return False
    thread = earlier.attempts[-1].thread
    loops = [hold for hold in trace.holds if hold.is_loop and hold.thread == thread]
    return not any(hold.start <= earlier.sent and earlier.over <= hold.end for hold in loops)


def one_after_another(trace: Trace) -> Finding | None:
    """Find calls that ran one after another, though none quotes an answer to an earlier one.

    Silent where a later request holds something that an earlier answer said, continues its conversation, asks the
    same again, or does other work after a short answer, by which the program may have chosen it.
    """
    # one finding: the group that would save most
    group = max(_groups(trace, _could_run_together), key=_gain, default=[])
    gain = _gain(group) if group else 0
    if not trace.matters(gain) or gain < _LEAST_GAIN:
        return None
    longest = max(call.breakdown.total for call in group)
    first, *_, last = group
    calls = f"{first.number} {'and' if len(group) == 2 else 'to'} {last.number}"
    return Finding(
        rule="one-after-another",
        fact=f"calls {calls} ran one after another, {duration.show(gain + longest)} in all, and no later request holds "
        "text of an earlier answer",
        remedy="could they run at the same time? Only you know whether one needs another",
        cost=gain,
        saving=Saving(span=gain, how=f"if all take the {duration.show(longest)} of the longest", calls=len(group)),
        calls=numbers(group),
    )


def _groups(trace: Trace, fit: Callable[[Trace, PromptCall, PromptCall], bool]) -> list[list[PromptCall]]:
    """Return runs of two or more calls, one after another, each of which fits all before it in its run.

    A call without an answer ends a run: what the program did next may depend on the failure.
    """
    groups: list[list[PromptCall]] = []
    for call in trace.calls:
        if groups and call.answered and all(fit(trace, earlier, call) for earlier in groups[-1]):
            groups[-1].append(call)
        else:
            groups.append([call] if call.answered else [])
    return [group for group in groups if len(group) > 1]


def _could_run_together(_: Trace, earlier: PromptCall, later: PromptCall) -> bool:
    """Whether the later call ran after the earlier one, and needed nothing of its answer as far as one can tell.

    It is better to miss a pair than to propose calls that depend on each other.
    """
    if ran_together(earlier, later):  # they did, and another rule says so
        return False
    if later.sent < earlier.over:
        return False
    # other work after a short answer: the program may have read in the answer what to do next
    like_work = _have_same(earlier, later, "model", "system", "tools")
    if not like_work and len(earlier.text.split()) < _CHOICE:
        return False
    before, after = earlier.body.get("messages"), later.body.get("messages")
    if not isinstance(before, list) or not isinstance(after, list):
        return False
    # the same again, for example after an answer that the program could not use
    asks_again = before == after and _have_same(earlier, later, "system", "tools")
    continues = len(after) > len(before) and after[: len(before)] == before
    if asks_again or continues:
        return False
    return not quotes_an_answer(later.attempts[0].request, later.sent, earlier.attempts)


def _have_same(earlier: PromptCall, later: PromptCall, *fields: str) -> bool:
    return all(earlier.body.get(name) == later.body.get(name) for name in fields)


def _gain(calls: list[PromptCall]) -> Nanoseconds:
    """Return what running the calls at the same time would save: all of them but the longest."""
    times = [call.breakdown.total for call in calls]
    return sum(times) - max(times)
