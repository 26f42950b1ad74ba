"""Turns and timers, each against a small model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.virtual_time.scheduling.holds import Holds
from pytest_claude_latency.virtual_time.scheduling.real_work import RealWork
from pytest_claude_latency.virtual_time.scheduling.scheduler import NEVER, Timers
from pytest_claude_latency.virtual_time.scheduling.turns import Turns
from pytest_claude_latency.virtual_time.scheduling.wait import Wait


class Thread:
    """A thread that is counted by nobody."""

    schedule = None
    holds = Holds()

    def __init__(self, ident: int) -> None:
        self.ident = ident
        self.wait: Wait | None = None


def a_place(thread: Thread) -> Wait:
    wait = Wait(what=f"thread {thread.ident}")
    wait.member = thread
    return wait


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans())))
def test_the_timer_that_ends_first_is_the_earliest_and_then_the_oldest(steps: list[tuple[int, bool]]) -> None:
    timers = Timers()
    model: list[Wait] = []
    for instant, ends_one in steps:
        wait = Wait(instant)
        timers.add(wait, instant)
        model.append(wait)
        if ends_one:  # somebody ends the one that was added first, whatever its instant is
            model.pop(0).over = True
        first = min(model, key=lambda other: other.instant or 0, default=None)

        assert timers.first() is first
        assert timers.earliest == (NEVER if first is None else first.instant)


@given(st.lists(st.tuples(st.sampled_from(["come", "end", "drop", "offer"]), st.integers(0, 4))))
def test_turns_are_given_in_the_order_in_which_threads_came(steps: list[tuple[str, int]]) -> None:
    turns, threads = Turns(), [Thread(ident) for ident in range(5)]
    waiting: list[Thread] = []
    holder: Thread | None = None
    for step, number in steps:
        thread = threads[number]
        if step == "come" and thread is not holder and thread not in waiting:
            turns.enqueue(a_place(thread))
            waiting.append(thread)
        elif step == "end":
            turns.end(thread)
            holder = None if thread is holder else holder
        elif step == "drop" and thread in waiting and thread.wait is not None:
            turns.drop(thread.wait)
            waiting.remove(thread)
        elif step == "offer" and thread is holder:
            offered = turns.offer(thread)
            assert (offered is None) == (not waiting)
            if waiting:
                waiting.append(thread)
                holder = None
        if holder is None and waiting:
            holder = waiting.pop(0)

        assert turns.holder is holder
        assert bool(turns) == bool(waiting)
        assert [waiter.wait is None for waiter in waiting] == [False] * len(waiting)


class Blocked:
    """A blocker that lasts until it is told otherwise."""

    idle = takes_time = ends_by_itself = polling = False

    def __init__(self, state: str = "", *, idle: bool = False) -> None:
        self.moved = False
        self.state = state
        self.idle = idle

    def lasts(self) -> bool:
        return not self.moved


@given(st.lists(st.tuples(st.sampled_from(["block", "move", "forget"]), st.integers(0, 3))))
def test_real_work_knows_who_is_blocked_and_who_has_moved(steps: list[tuple[str, int]]) -> None:
    work = RealWork(lambda *_: False, lambda _: True)
    threads = [Thread(ident) for ident in range(4)]
    model: dict[int, Blocked] = {}
    for step, number in steps:
        if step == "block" and number not in model:
            model[number] = Blocked()
            work.add_blocked(threads[number], model[number])
        elif step == "move" and number in model:
            model[number].moved = True
        elif step == "forget":
            assert work.remove_blocked(threads[number]) == (number in model)
            model.pop(number, None)

        assert work.moved() == [threads[number] for number, blocker in model.items() if blocker.moved]
        assert work.possible(limits=False) == bool(model)


def test_a_blocked_thread_may_wait_for_something_else_in_the_same_wait() -> None:
    work, thread = RealWork(lambda *_: False, lambda _: True), Thread(1)
    work.add_blocked(thread, Blocked("reads"))

    work.look_again(thread, Blocked("reads", idle=True))  # the child has ended that would have written
    work.look_again(thread, Blocked("another wait"))
    work.look_again(Thread(2), Blocked())

    assert [(blocker.state, blocker.idle) for blocker in work.blocked.values()] == [("reads", True)]


def test_real_work_lets_a_span_pass_at_the_pace_of_the_machine() -> None:
    goes_on = [True]
    work = RealWork(lambda *_: goes_on[0], lambda _: True)
    wait = Wait(10)

    assert not work.allows(wait, 10**12, move=1)
    assert work.allows(wait, 0, move=1)
    goes_on[0] = False
    assert work.allows(wait, 10**12, move=1)
