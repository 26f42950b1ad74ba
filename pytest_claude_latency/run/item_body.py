"""The body of a test: what is judged, between the set-up and the teardown of its fixtures.

For most tests that is pytest's call phase. A `TestCase` runs `setUp` and `tearDown` in it too, so its method is made
to tell when it runs; and an async test is where its own loop is at hand, to close what must be closed there.
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
class Body:
    """The body of one item, measured."""

    def __init__(self, item: pytest.Item, measurement: Measurement) -> None:
        self._item: Any = item
        self._measurement = measurement
        self._undo: Callable[[], None] | None = None

    def prepare(self) -> None:
        """The fixtures are set up: wrap what the item is about to run."""
        if self._is_test_case:
            self._let_method_tell()
        elif inspect.iscoroutinefunction(getattr(self._item, "obj", None)):
            self._close_client()

    def restore(self) -> None:
        """Leave the item as it was."""
        if self._undo is not None:
            self._undo()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around pytest's call phase."""
        __tracebackhide__ = True
        if not self._is_test_case:
            self._measurement.log.begin(Phase.BODY)
        try:
            with self._measurement.failing_on_misses():
                yield
        finally:
            self._measurement.log.begin(Phase.TEARDOWN)
            if self._is_test_case and self._measurement.missed:
                self._item._excinfo = None  # a failure or skip that a TestCase kept would take the place of the miss

    @property
    def failed(self) -> bool:
        """Whether a `TestCase` keeps a failure, or a skip, that it did not raise."""
        return bool(getattr(self._item, "_excinfo", None))

    @property
    def _is_test_case(self) -> bool:
        owner = getattr(self._item, "cls", None)
        return isinstance(owner, type) and issubclass(owner, TestCase)

    @contextmanager
    def _of_method(self) -> Iterator[None]:
        self._measurement.log.begin(Phase.BODY)
        try:
            yield
        finally:
            self._measurement.log.begin(Phase.TEARDOWN)

    def _let_method_tell(self) -> None:
        item, method = self._item, self._item.obj
        if inspect.iscoroutinefunction(method):

            @wraps(method)
            async def tell(*args: Any, **kwargs: Any) -> Any:
                with self._of_method():
                    return await method(*args, **kwargs)

            setattr(item.instance, item.originalname or item.name, tell)
        else:

            @wraps(method)
            def tell(*args: Any, **kwargs: Any) -> Any:
                with self._of_method():
                    return method(*args, **kwargs)

            self._replace(tell)

    def _close_client(self) -> None:
        """Close the client that the fixture gave on the test's own loop, under whichever plugin runs it."""
        client, function = getattr(self._item, "funcargs", {}).get(_CLIENT), self._item.obj
        if client is None:
            return
        kept: list[object] = []  # lest the garbage collector ends it

        @wraps(function)
        async def closing(*args: Any, **kwargs: Any) -> Any:
            if self._fixtures_use(_CLIENT):  # and may in their teardown
                kept.append(end := _closing_with_its_loop(client))
                await anext(end)
                return await function(*args, **kwargs)
            async with client:
                return await function(*args, **kwargs)

        self._replace(closing)

    def _fixtures_use(self, name: str) -> bool:
        definitions = self._item._fixtureinfo.name2fixturedefs.values()
        return any(name in each.argnames for of_one_name in definitions for each in of_one_name)

    def _replace(self, function: Callable[..., Any]) -> None:
        original = self._item.obj
        self._item.obj = function
        self._undo = lambda: setattr(self._item, "obj", original)


async def _closing_with_its_loop(client: anthropic.AsyncAnthropic) -> AsyncIterator[None]:
    """A generator whose end is left to the loop: one that shuts down ends it, and so closes the client."""
    try:
        yield
    finally:
        await client.close()
