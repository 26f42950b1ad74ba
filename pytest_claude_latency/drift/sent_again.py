"""One recording whose call is sent again: the two answers, and why there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pytest_claude_latency.ab.recorded_request import Obstacle, obstacle_of, prompts
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cassettes.secrets import conceal
from pytest_claude_latency.drift.sending import NotSentError, Sender
from pytest_claude_latency.messages_api.answer import refusal_of
from pytest_claude_latency.messages_api.endpoints import requested_model
from pytest_claude_latency.messages_api.exchange import Exchange, Request
from pytest_claude_latency.metrics.prices import NoPriceError, Prices
from pytest_claude_latency.metrics.timeline import Call, measure
from pytest_claude_latency.printable import printable

NO_CALL: Final = Obstacle("no call in it makes a message: sessions, batches and token counts are not sent again")
_NO_ANSWER: Final = Obstacle("the recorded call got no answer to compare with")
_INTERRUPTED: Final = "the command was interrupted before it was answered"
State: TypeAlias = Literal["compared", "refused", "no longer refused", "not answered", "not sent"]


@dataclass(frozen=True)
class Planned:
    """A recording, with the call of it that is sent again, or with why none is."""

    path: Path
    recording: Recording
    recorded: Exchange | None
    request: Request | None
    obstacle: Obstacle | None

    @classmethod
    def of(cls, path: Path, recording: Recording, request_for: Callable[[Request], Request | Obstacle]) -> Planned:
        """Return the first call of the recording that can be sent again. `request_for` makes the request of now."""
        recorded_call, obstacle = None, NO_CALL
        for recorded in prompts(recording.exchanges):
            # a refusal is an answer too: a test may be about it
            is_answered = measure([recorded]).error is None or refusal_of(recorded) is not None
            obstacle_now = obstacle_of(recorded, recording) or (None if is_answered else _NO_ANSWER)
            request = obstacle_now or request_for(recorded.request)
            if isinstance(request, Request):
                return cls(path, recording, recorded, request, None)
            # what a variable would mend is told before what nothing mends
            if obstacle is NO_CALL or (request.mendable and not obstacle.mendable):
                recorded_call, obstacle = (recorded if request.mendable else None), request
        return cls(path, recording, recorded_call, None, obstacle)

    def with_a_key(self) -> Planned:
        """Return the plan as it would be with the key that is missing."""
        if self.request is not None or self.recorded is None:
            return self
        return replace(self, request=self.recorded.request)


@dataclass(frozen=True)
class SentAgain:
    """What became of a planned call. `answered` is the answer of now, `reason` why there is none to compare."""

    plan: Planned
    answered: Exchange | None = None
    reason: str = ""

    @cached_property
    def state(self) -> State:
        """Whether the two answers can be compared, and if not, what stands against it."""
        if self.answered is None:
            return "not sent" if self.plan.request is None else "not answered"
        has_head = self.answered.response is not None  # without, something else than the connection failed
        if has_head and self.after.error is None and self.after.total is not None:
            return "compared" if self.before.error is None else "no longer refused"
        if refusal_of(self.answered) is None:
            return "not answered"
        # what was refused when it was recorded is to be refused
        return "refused" if self.before.error is None else "compared"

    @cached_property
    def before(self) -> Call:
        """What the recorded call measured, without the opening of its connection."""
        return _measured(self.plan.recorded)

    @cached_property
    def after(self) -> Call:
        """What the call of now measured."""
        return _measured(self.answered)

    @property
    def is_whole(self) -> bool:
        """Whether both answers came to their end."""
        return self.state == "compared" and self.before.error is None and self.before.closed is None

    @property
    def problem(self) -> str:
        """Why the answers are not compared; empty if they are."""
        if self.answered is None:
            return printable(self.reason)
        if self.state == "compared":
            return ""
        refused = self.plan.recorded if self.state == "no longer refused" else self.answered
        if refused is not None and (refusal := refusal_of(refused)):
            return printable(conceal(refusal))
        status = "" if self.after.status in (None, 200) else f"HTTP {self.after.status}, "
        return f"{status}{self.after.error or 'it did not come to its end'}"

    def as_json(self, age: int) -> dict[str, Any]:
        """Return it in JSON types; times in seconds, without the opening of connections."""
        recording = self.plan.recording
        facts: dict[str, Any] = {
            "file": self.plan.path.as_posix(),
            "test": recording.test,
            "sample": recording.sample,
            "recorded": recording.recorded,
            "age_days": age,
            "state": self.state,
            "problem": self.problem or None,
        }
        if self.plan.recorded is not None:
            facts["asked"] = requested_model(self.plan.recorded.request)
            facts["before"] = _facts_of(self.before)
        if self.state in ("compared", "no longer refused"):
            facts["after"] = _facts_of(self.after)
        return facts


def send_all(plans: Iterable[Planned], sender: Sender, tell: Callable[[SentAgain], None]) -> list[SentAgain]:
    """Send the call of each plan that has one. `tell` is told of each that is done.

    Ctrl-C ends the sending, and what was answered until then is kept.
    """
    done: list[SentAgain] = []
    is_interrupted = False
    for plan in plans:
        if plan.request is None or is_interrupted:
            done.append(SentAgain(plan, reason=plan.obstacle.reason if plan.obstacle else _INTERRUPTED))
            continue
        try:
            done.append(SentAgain(plan, sender.exchange_for(plan.request)))
        except NotSentError as error:
            done.append(SentAgain(plan, reason=str(error)))
        except KeyboardInterrupt:
            is_interrupted = True
            done.append(SentAgain(plan, reason=_INTERRUPTED))
        tell(done[-1])
    return done


def cost_of(exchanges: Iterable[Exchange], prices: Prices) -> tuple[float, int]:
    """Return what these calls cost in dollars, and how many have no price."""
    cost, unpriced = 0.0, 0
    for exchange in exchanges:
        try:
            cost += prices.cost([exchange])
        except NoPriceError:
            unpriced += 1
    return cost, unpriced


def _measured(exchange: Exchange | None) -> Call:
    """Return the measurements of one attempt. Whoever records opens a connection, and whoever sends again has one."""
    if exchange is None:
        raise ValueError("there is no call to measure")
    call = measure([replace(exchange, sent=0)])
    opened = 0.0 if exchange.connect is None else exchange.connect.duration / 1e9
    times = {name: getattr(call, name) for name in ("ttfb", "ttft", "ttfa", "total")}
    return replace(call, **{name: max(time - opened, 0.0) for name, time in times.items() if time is not None})


def _facts_of(call: Call) -> dict[str, Any]:
    names = ("model", "status", "prompt_tokens", "output_tokens", "stop_reason", "ttft", "total", "tpot")
    facts = call.as_json()
    return {name: facts[name] for name in names}
