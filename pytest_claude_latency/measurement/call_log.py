"""The call log of one test: which attempts make up which call, and what was measured in each phase.

The SDK repeats a refused request and follows redirects below the program, so several HTTP attempts make up one call.
`CallLog` files each attempt with its call as it is sent; `CallsInPhases` answers what the calls of some phases took.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import final
from weakref import ref

from pytest_claude_latency.cassettes.secrets import conceal_url
from pytest_claude_latency.duration import Nanoseconds, seconds
from pytest_claude_latency.http.recorder import Attempt
from pytest_claude_latency.messages_api.answer import refusal_of
from pytest_claude_latency.messages_api.clients import client_list
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Exchange, Request, header
from pytest_claude_latency.messages_api.forms import form_of
from pytest_claude_latency.messages_api.retries import Attempts, ended
from pytest_claude_latency.metrics.conditions import conditions_of
from pytest_claude_latency.metrics.other_requests import OtherRequests, other_requests
from pytest_claude_latency.metrics.timeline import Call, measure
from pytest_claude_latency.virtual_time import Hold


class Phase(Enum):
    """Where in a test's life a request was sent."""

    SETUP = "setup"
    BODY = "body"
    TEARDOWN = "teardown"


@dataclass(eq=False)
class SentCall:
    """The attempts of one SDK method invocation."""

    log: CallLog
    phase: Phase
    attempts: list[Attempt] = field(default_factory=list)
    _measured: tuple[Attempts, Call] | None = None
    """The exchanges that were measured last, and the result: several parts of a run ask for it."""

    @property
    def is_prompt(self) -> bool:
        """Whether it makes a message."""
        return is_prompt_call(self.attempts[0].request)

    @property
    def is_session(self) -> bool:
        """Whether it follows the event stream of a session."""
        return form_of(self.attempts[0].request) == "session"

    @property
    def is_foreign(self) -> bool:
        """Whether something other than the API answered one of its attempts."""
        return any(attempt.answer_origin.is_foreign for attempt in list(self.attempts))

    @property
    def exchanges(self) -> Attempts:
        """Its attempts in the order sent, as far as they are known now. They hold credentials."""
        return tuple(attempt.exchange() for attempt in self.attempts)

    @property
    def measured(self) -> Call:
        """What it measured. A key or password in its URL is left out, so that the URL may be shown."""
        exchanges = self.exchanges
        if self._measured is None or self._measured[0] != exchanges:  # those that have ended are the same objects
            call = measure(exchanges)
            call = replace(call, url=conceal_url(call.url), location=self.attempts[0].line)
            self._measured = (exchanges, call)
        return self._measured[1]

    def goes_on_with(self, request: Request) -> bool:
        """Return whether `request` is this call's next attempt, or the next step of a redirected one."""
        last = self.attempts[-1]
        # A redirect may be followed above the library that marks the attempts, which then takes it for another call.
        if last.location is None and (request.invocation is not None or last.request.invocation is not None):
            return request.invocation == last.request.invocation
        # The SDK sends the same bytes in each attempt.
        if not (last.ended or last.location) or request.content != last.request.content:
            return False
        # A retry begins again at the first URL, also if the attempt before it was redirected to another.
        if last.location is not None and _retry(request) == _retry(last.request):
            return request.url != last.request.url
        return _retry(request) == _retry(last.request) + 1 and request.url == self.attempts[0].request.url


# The SDK makes the retries of a call in the context of that call, whichever loop, task or thread it runs in. So the
# context tells the retries of two identical concurrent calls apart, which their headers do not.
# A weak reference, since a context lives as long as its thread and must not keep the calls of past tests alive.
_LATEST: ContextVar[ref[SentCall] | None] = ContextVar("claude_latency_call", default=None)


def _retry(request: Request) -> int:
    """Return the number of the retry, as the SDK counts it in a header."""
    count = header(request.headers, "x-stainless-retry-count") or "0"
    return int(count) if count.isdecimal() else 0


@final
@dataclass(frozen=True)
class CallsInPhases:
    """The calls of some phases of a test, in the order sent, and what they took."""

    sent: tuple[SentCall, ...]
    """All of them, also those that make no message."""
    now: Nanoseconds
    """The time since the test began, at which an answer that is under way is looked at."""
    began: Nanoseconds = 0
    """When the first of the phases, or the block, began."""
    find_holds: Callable[[], Sequence[Hold]] = tuple
    """Returns the stretches in which the program held a thread. Only a diagnosis asks."""

    @property
    def calls(self) -> tuple[Call, ...]:
        """The prompt calls, measured."""
        return tuple(call.measured for call in self.sent if call.is_prompt)

    @property
    def sessions(self) -> tuple[Call, ...]:
        """The event streams of sessions, measured: their first token is the first message of the agent."""
        return tuple(call.measured for call in self.sent if call.is_session)

    @property
    def numbers(self) -> dict[SentCall, int]:
        """The number, from 1, of each of `calls` and of each of `sessions`."""
        prompts = [call for call in self.sent if call.is_prompt]
        sessions = [call for call in self.sent if call.is_session]
        return {call: number for calls in (prompts, sessions) for number, call in enumerate(calls, 1)}

    @property
    def conditions(self) -> tuple[Mapping[str, str], ...]:
        """What may have made each of `calls` fast or slow."""
        return tuple(conditions_of(call.exchanges) for call in self.sent if call.is_prompt)

    @property
    def requests(self) -> tuple[Request, ...]:
        """What each of `calls` asks. The requests hold credentials."""
        return tuple(call.attempts[0].request for call in self.sent if call.is_prompt)

    @property
    def refusal(self) -> str:
        """Why the API did not take one of `calls`, in its own words; of several the first. Empty if it took all."""
        refusals = (refusal_of(call.exchanges[-1]) for call in self.sent if call.is_prompt)
        return next((refusal for refusal in refusals if refusal is not None), "")

    @property
    def attempts(self) -> tuple[Attempts, ...]:
        """The exchanges of each call."""
        return tuple(call.exchanges for call in self.sent)

    @property
    def lines(self) -> tuple[str | None, ...]:
        """The line of the program that made each call."""
        return tuple(call.attempts[0].line for call in self.sent)

    @property
    def others(self) -> tuple[OtherRequests, ...]:
        """The requests that make no message, as timelines show them."""
        return other_requests(self.attempts, self.now)

    @property
    def elapsed(self) -> float | None:
        """Seconds from the first request sent to the last answer ended. `None` without a request."""
        exchanges = [exchange for attempts in self.attempts for exchange in attempts]
        if not exchanges:
            return None
        # Over all calls: the last one sent need not be the last one to end.
        last = max(ended(exchange, self.now) for exchange in exchanges)
        return seconds(last - min(exchange.sent for exchange in exchanges))


@final
class CallLog:
    """The calls of one test so far. Requests of any thread are filed."""

    def __init__(
        self, now: Callable[[], Nanoseconds], *, replays: bool, holds: Callable[[], Sequence[Hold]] = tuple
    ) -> None:
        self._now = now
        self._find_holds = holds
        self._replays = replays
        self._phase = Phase.SETUP
        self._began: dict[Phase, Nanoseconds] = {}
        self._calls: list[SentCall] = []
        # Two threads may send at the same time: both look for their call and add to the list, which must be one step.
        # Readers copy the list instead, so that a request that is just being sent does not wait for them.
        self._lock = threading.Lock()

    def begin(self, phase: Phase) -> None:
        """File what is sent from now on under `phase`."""
        self._phase = phase
        self._began[phase] = self._now()

    @property
    def began(self) -> Nanoseconds:
        """When the phase of the moment began."""
        return self._began.get(self._phase, 0)

    def file(self, attempt: Attempt) -> None:
        """Add an attempt that is about to be sent to its call, or begin a call with it."""
        request = attempt.request
        reference = _LATEST.get()
        call = None if reference is None else reference()
        with self._lock:
            if call is None or call.log is not self or not call.goes_on_with(request):
                # A retry may be sent in a context of its own, for example by a middleware. Then it goes to the oldest
                # call that waits for one.
                waiting = (call for call in self._calls if call.goes_on_with(request))
                call = next(waiting, None) if _retry(request) or request.invocation else None
            if call is None:
                call = SentCall(self, self._phase)
                self._calls.append(call)
            call.attempts.append(attempt)
        _LATEST.set(ref(call))

    @property
    def foreign(self) -> list[SentCall]:
        """The calls that something other than the API answered: nothing records or judges them."""
        return [call for call in list(self._calls) if call.is_foreign]

    def of(self, *phases: Phase, since: int = 0, began: Nanoseconds | None = None) -> CallsInPhases:
        """Return the calls sent in these phases; `since` leaves out the first so many calls of the test.

        `began` is when what is looked at began; without it, when the first of the phases did.
        """
        calls = [call for call in self._calls[since:] if call.phase in phases and not call.is_foreign]
        if self._replays:  # which of two threads is first at one instant may depend on the machine
            calls.sort(key=lambda call: (call.attempts[0].sent, call.attempts[0].place))
        began = self._began.get(phases[0], 0) if began is None else began
        return CallsInPhases(tuple(calls), self._now(), began, self._find_holds)

    @property
    def prompts(self) -> list[SentCall]:
        """The calls of all phases that make a message, in the order sent."""
        return [call for call in list(self._calls) if call.is_prompt and not call.is_foreign]

    @property
    def count(self) -> int:
        """How many calls were sent so far; also a mark for `since`."""
        return len(self._calls)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Every attempt of the test, in the order sent."""
        attempts = [attempt for call in list(self._calls) if not call.is_foreign for attempt in call.attempts]
        return tuple(attempt.exchange() for attempt in sorted(attempts, key=lambda attempt: attempt.sent))

    @property
    def clients(self) -> str:
        """The libraries that made the calls, each once, as recordings name them."""
        return client_list(attempt.client for call in list(self._calls) for attempt in call.attempts)

    @property
    def met_another_loop(self) -> bool:
        """Whether an attempt failed because its connection belonged to another event loop than the one that asked."""
        return any(attempt.met_another_loop for call in list(self._calls) for attempt in call.attempts)

    def close(self) -> None:
        """End what is under way: an answer that nobody finished reading was closed by the program."""
        for call in self._calls:
            for attempt in call.attempts:
                attempt.finish(closed="client")
