"""Watching what an application hands its user: the one place where buffering on the way out shows.

A call may stream and the application hold everything back until the end. So `claude_latency.watch` measures where the
user would see something: in an iterator that the application returns, or where an ASGI application sends.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias, final

from pytest_claude_latency import duration
from pytest_claude_latency.budgets.judgement import Judgement, headline
from pytest_claude_latency.budgets.limit import Limit
from pytest_claude_latency.duration import Nanoseconds, seconds
from pytest_claude_latency.errors import BudgetExceeded
from pytest_claude_latency.metrics.call_text import milliseconds
from pytest_claude_latency.metrics.metric import METRICS
from pytest_claude_latency.metrics.watched import Watched, WatchedBudget
from pytest_claude_latency.plurals import number_of

Text: TypeAlias = Callable[[Any], object]

FirstTextBefore: TypeAlias = Callable[[Nanoseconds, Nanoseconds], tuple[str, Nanoseconds] | None]

LIMITED: Final = ("ttft", "longest_gap", "total")
"""What of an output can be limited."""
NOTHING_TO_WATCH: Final = (
    "claude_latency.watch({subject!r}): this cannot be watched; accepted: an iterable, an async iterable, or an ASGI "
    "application"
)
_LEAST_HELD = 100 * duration.MILLISECOND  # less is what each application takes
_NO_DATA = (":", "event:", "id:", "retry:")  # how lines of server-sent events begin that a user never sees
_ABSENT: Final = {
    "ttft": "nothing that a user sees came",
    "longest_gap": "fewer than two items came",
    "total": "the output had not ended",
}


@final
@dataclass(eq=False)
class Output:
    """One output that is watched. Instants count from `start`, all on the clock of the test."""

    now: Callable[[], Nanoseconds]
    start: Nanoseconds
    limits: Sequence[Limit]
    text: Text | None = None
    first_text_before: FirstTextBefore | None = None
    """Returns which call brought text between two instants of the test, and when it brought the first."""
    seen: list[Nanoseconds] = field(default_factory=list)
    ended: Nanoseconds | None = None
    is_told: bool = False
    """Whether its judgement was raised where the output ended."""

    def note(self, item: Any) -> None:
        """Note an item, if a user sees something of it."""
        if is_visible(item if self.text is None else self.text(item)):
            self.seen.append(self.now() - self.start)

    def finish(self) -> None:
        """Note that the output is over. The first end counts."""
        if self.ended is None:
            self.ended = self.now() - self.start

    @property
    def watched(self) -> Watched:
        """What was measured and judged, for reports."""
        gaps = [later - earlier for earlier, later in pairwise(self.seen)]
        times = {"ttft": self.seen[0] if self.seen else None, "longest_gap": max(gaps, default=None)}
        measured = {
            name: None if time is None else seconds(time) for name, time in {**times, "total": self.ended}.items()
        }
        budgets = tuple(self._judged(limit, measured[limit.metric]) for limit in self.limits)
        return Watched(items=len(self.seen), **measured, start=seconds(self.start), budgets=budgets)

    def _judged(self, limit: Limit, measured: float | None) -> WatchedBudget:
        verdict: Literal["kept", "broken", "not measured", "not judged"] = "kept"
        if not self.is_told:
            verdict, measured = "not judged", None
        elif measured is None:
            # fewer than two items have no gap
            verdict = "not measured" if limit.metric == "longest_gap" else "broken"
        elif METRICS[limit.metric].worse(duration.nanoseconds(measured), limit.value):
            verdict = "broken"
        return WatchedBudget(
            metric=limit.metric,
            limit=seconds(round(limit.value)),
            measured=measured,
            verdict=verdict,
            origin=limit.origin,
            reason=_ABSENT[limit.metric] if self.is_told and measured is None else None,
        )

    def judge(self) -> None:
        """Raise if a limit is broken.

        Raises:
            BudgetExceeded: a limit is broken. The message is for the user.
        """
        __tracebackhide__ = True
        self.is_told = True
        moments = [("start", 0), ("first text", self.seen[0] if self.seen else None), ("end", self.ended)]
        shown = [f"{name} {milliseconds(seconds(at))}" for name, at in moments if at is not None]
        blocks = []
        for limit, budget in zip(self.limits, self.watched.budgets, strict=True):
            if budget.verdict == "broken":
                measured = None if budget.measured is None else duration.nanoseconds(budget.measured)
                broken = Judgement(limit, measured, None, 0, "broken", budget.reason)
                blocks.append(
                    f"watched output: {headline(broken)}\n"
                    f"  {'budget':<10}{limit.text():<27}  {limit.origin}\n"
                    f"  {'measured':<10}{number_of(len(self.seen), 'item')} that a user sees\n"
                    f"  {'timeline':<10}{' · '.join(shown if self.ended is not None else [*shown, 'not ended'])}"
                    + (self._held_back() if limit.metric == "ttft" else "")
                )
        if blocks:
            raise BudgetExceeded("\n\n".join(blocks)) from None  # not from the end of the iteration

    def _held_back(self) -> str:
        """Return for how long the application held back what a call had brought, and what to do about it."""
        first = self.start + self.seen[0] if self.seen else self.now()
        found = None if self.first_text_before is None else self.first_text_before(self.start, first)
        if found is None or first - found[1] < _LEAST_HELD:
            return ""
        line, came = found
        return (
            f"\n  {'held back':<10}for {duration.show(first - came)} by the application: the first text came after "
            f"{duration.show(came - self.start)},\n{'':12}to {line}"
            f"\n  {'do':<10}hand each piece on when it comes, on the whole way out"
        )


def is_visible(value: object) -> bool:
    """Return whether a user sees something of an item: more than white space and the frame of server-sent events."""
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode("utf-8", "replace")
    if not isinstance(value, str):
        return bool(value)
    for line in value.splitlines():
        rest = line.strip()
        if rest.startswith("data:"):
            rest = rest.removeprefix("data:").strip()
        elif rest.startswith(_NO_DATA):
            continue
        if rest:
            return True
    return False


def watching(subject: Any, make: Callable[[], Output]) -> Any:
    """Return `subject` with what it hands out noted in an output that `make` makes: for an application, one each time.

    Raises:
        TypeError: it is neither iterable nor an application.
    """
    if hasattr(subject, "__aiter__"):
        return _WatchedAsync(subject, make())
    if isinstance(subject, Iterable):
        return _WatchedSync(subject, make())
    if callable(subject):
        call = subject if inspect.isfunction(subject) or inspect.ismethod(subject) else type(subject).__call__
        with suppress(TypeError, ValueError):  # a callable in C code may have no signature
            # scope, receive and send: known by their number, since their names are the application's own
            if len([name for name in inspect.signature(call).parameters if name != "self"]) == 3:
                return _application(subject, make)
    raise TypeError(NOTHING_TO_WATCH.format(subject=subject))


@final
class _WatchedSync:
    """An iterator that notes what passes. A class, so that its `close` is the end of the output too."""

    def __init__(self, items: Iterable[Any], output: Output) -> None:
        self._items = iter(items)
        self._output = output

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        __tracebackhide__ = True
        try:
            item = next(self._items)
        # Any error ends the output, and the program sees it. Only an output that came to its end is judged here.
        except BaseException as error:
            self._output.finish()
            if isinstance(error, StopIteration) and not self._output.is_told:
                self._output.judge()
            raise
        self._output.note(item)
        return item

    def close(self) -> None:
        """Close what is watched, and judge what was seen of it."""
        __tracebackhide__ = True
        if hasattr(self._items, "close"):
            self._items.close()
        self._output.finish()
        if not self._output.is_told:
            self._output.judge()


@final
class _WatchedAsync:
    """The same for an async iterator."""

    def __init__(self, items: Any, output: Output) -> None:
        self._items = aiter(items)
        self._output = output

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        __tracebackhide__ = True
        try:
            item = await anext(self._items)
        except BaseException as error:
            self._output.finish()
            if isinstance(error, StopAsyncIteration) and not self._output.is_told:
                self._output.judge()
            raise
        self._output.note(item)
        return item

    async def aclose(self) -> None:
        """Close what is watched, and judge what was seen of it."""
        __tracebackhide__ = True
        if hasattr(self._items, "aclose"):
            await self._items.aclose()
        self._output.finish()
        if not self._output.is_told:
            self._output.judge()


def _application(app: Any, make: Callable[[], Output]) -> Any:
    """Return an ASGI application that notes what `app` sends.

    A client of tests may hand over a body only when it is whole, so nothing is measured there. What is broken is told
    at the end of the test: an exception in an application may be answered instead of raised.
    """

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        # the start and stop of the application, and web sockets, are no output of a request
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        output = make()

        async def noting(message: Any) -> None:
            if message["type"] == "http.response.body":
                # Before it is sent: a slow client is no doing of the application's.
                output.note(message.get("body", b""))
                if not message.get("more_body", False):
                    output.finish()
            await send(message)

        await app(scope, receive, noting)

    return watched
