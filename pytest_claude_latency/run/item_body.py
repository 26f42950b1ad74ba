"""The body of a test: what is judged, between the set-up and the teardown of its fixtures.

For most tests that is pytest's call phase. A `TestCase` runs `setUp` and `tearDown` in it too, so its method is made
to tell when it runs. In the body of an async test its own loop is running, so what belongs to the loop is closed there.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, final
from unittest import TestCase

from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.measurement import Measurement

if TYPE_CHECKING:
    import anthropic
    import pytest

_CLIENT = "async_claude_client"


@final
class ItemBody:
    """The body of one item, measured."""

    def __init__(self, item: pytest.Item, measurement: Measurement) -> None:
        self._item: Any = item
        self._measurement = measurement
        self._undo: Callable[[], None] | None = None
        owner = getattr(item, "cls", None)
        self._is_test_case = isinstance(owner, type) and issubclass(owner, TestCase)

    def prepare(self) -> None:
        """Wrap what the item is about to run, after its fixtures are set up."""
        if self._is_test_case:
            self._report_method()
        elif inspect.iscoroutinefunction(getattr(self._item, "obj", None)):
            self._close_client()

    def restore(self) -> None:
        """Leave the item as it was."""
        if self._undo is not None:
            self._undo()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Surround pytest's call phase."""
        __tracebackhide__ = True
        if not self._is_test_case:
            self._measurement.log.begin(Phase.BODY)
        try:
            with self._measurement.misses.failing():
                yield
        finally:
            self._measurement.log.begin(Phase.TEARDOWN)
            if self._is_test_case and self._measurement.misses:
                # A failure or skip that a TestCase kept would be reported in place of the miss.
                self._item._excinfo = None

    @property
    def failed(self) -> bool:
        """Whether a `TestCase` keeps a failure, or a skip, that it did not raise."""
        return bool(getattr(self._item, "_excinfo", None))

    def _report_method(self) -> None:
        """Let the method of a `TestCase` tell when it runs."""
        item, method, measurement = self._item, self._item.obj, self._measurement
        if inspect.iscoroutinefunction(method):

            @wraps(method)
            async def async_method(*args: Any, **kwargs: Any) -> Any:
                with _body_of(measurement):
                    return await method(*args, **kwargs)

            # pytest hands an async method to the instance itself, which runs it by its name.
            setattr(item.instance, item.originalname or item.name, async_method)
        else:

            @wraps(method)
            def sync_method(*args: Any, **kwargs: Any) -> Any:
                with _body_of(measurement):
                    return method(*args, **kwargs)

            self._replace(sync_method)

    def _close_client(self) -> None:
        """Close the client of the fixture on the test's own loop, under whichever plugin runs the test.

        The function of the item is wrapped, not the loop: that is the one place that all plugins go through.
        """
        client, function = getattr(self._item, "funcargs", {}).get(_CLIENT), self._item.obj
        if client is None:
            return
        fixtures = [fixture for same in self._item._fixtureinfo.name2fixturedefs.values() for fixture in same]
        is_used_by_fixtures = any(_CLIENT in fixture.argnames for fixture in fixtures)
        kept: list[object] = []

        @wraps(function)
        async def closing(*args: Any, **kwargs: Any) -> Any:
            if not is_used_by_fixtures:
                async with client:
                    return await function(*args, **kwargs)
            # Other fixtures may use the client in their teardown, so it must stay open after the body. The generator
            # is kept, or the garbage collector would end it before that.
            kept.append(end := _closing_with_its_loop(client))
            await anext(end)
            return await function(*args, **kwargs)

        self._replace(closing)

    def _replace(self, function: Callable[..., Any]) -> None:
        original = self._item.obj
        self._item.obj = function
        self._undo = lambda: setattr(self._item, "obj", original)


@contextmanager
def _body_of(measurement: Measurement) -> Iterator[None]:
    measurement.log.begin(Phase.BODY)
    try:
        yield
    finally:
        measurement.log.begin(Phase.TEARDOWN)


async def _closing_with_its_loop(client: anthropic.AsyncAnthropic) -> AsyncIterator[None]:
    """Close the client when the loop shuts down: a loop ends all async generators that were begun on it."""
    try:
        yield
    finally:
        await client.close()
