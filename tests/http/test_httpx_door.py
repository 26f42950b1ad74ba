"""The door of `httpx` and `httpx2`: requests are proved to be met, and what is replaced later is noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import FunctionType
from typing import Any, final

import pytest
from respx.mocks import Mocker

from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.interception import Interception
from pytest_claude_latency.http.library import HTTPLibrary

LIBRARY = HTTPLibrary.of_sdk()
MODULE = LIBRARY.module


@pytest.fixture
def interception() -> Iterator[Interception]:
    """Return an interception that was proved, twice."""
    interception = Interception(lambda: None)
    interception.start()
    try:
        interception.prove()
        interception.prove()
        yield interception
    finally:
        interception.stop()


def mocker() -> type[Mocker]:
    """Return what patches the library. There is none before the first door."""
    return Mocker.registry[f"claude-latency-{LIBRARY.name}"]


def answer(client: Any, request: Any, **options: Any) -> Any:
    """Answer a request as something that never asks the plugin."""
    return MODULE.Response(200, request=request)


async def answer_async(client: Any, request: Any, **options: Any) -> Any:
    """Answer a request of an async client so."""
    return answer(client, request)


@final
class Lookalike:
    """Something that answers in the place of a function and equals it, as the wrappers of tracers do."""

    def __init__(self, original: Callable[..., Any]) -> None:
        self._original = original

    def __get__(self, client: object, kind: type) -> Any:
        return answer.__get__(client, kind)

    def __eq__(self, other: object) -> bool:
        return other == self._original

    def __hash__(self) -> int:
        return hash(self._original)


@final
class Elsewhere(MODULE.Client):  # type: ignore[misc, name-defined]  # a class that is known only at run time
    """A client that was put in the place of the library's."""

    _send_single_request = answer


REPLACED = {
    "a method": ("Client", "_send_single_request", answer),
    "an async method": ("AsyncClient", "_send_single_request", answer_async),
    "a method above": ("Client", "send", answer),
    "an async method above": ("AsyncClient", "send", answer_async),
    "a method by its like": ("Client", "_send_single_request", Lookalike),
    "a method above by its like": ("Client", "send", Lookalike),
    "a class": ("", "Client", Elsewhere),
    "the list of doors": ("mocker", "routers", []),
    "how a door meets requests": ("mocker", "meeting", lambda request, **where: None),
}


@pytest.mark.parametrize("what", REPLACED)
def test_what_is_replaced_after_a_proof_is_noticed_by_the_next(
    interception: Interception, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    owner_name, name, other = REPLACED[what]
    owners = {"": MODULE, "mocker": mocker(), "Client": MODULE.Client, "AsyncClient": MODULE.AsyncClient}
    owner = owners[owner_name]

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, Lookalike(getattr(owner, name)) if other is Lookalike else other)
        with pytest.raises(InterceptionError, match=f"of {LIBRARY.name}'s clients"):
            interception.prove()

    interception.prove()


def test_patches_that_are_taken_away_after_a_proof_are_noticed_by_the_next(interception: Interception) -> None:
    mocker().stop(force=True)
    with pytest.raises(InterceptionError):
        interception.prove()

    mocker().start()
    interception.prove()


class Wrapped:
    """What Datadog and OpenTelemetry put in the place of a method, in the form of `wrapt`.

    It passes for a function, and knows by its binding alone what the owner is.
    """

    def __init__(self, function: FunctionType, calls: list[tuple[str, tuple[object, ...]]]) -> None:
        self.__name__, self.__code__, self._function, self._calls = (
            function.__name__,
            function.__code__,
            function,
            calls,
        )

    @property  # type: ignore[misc] # what `isinstance` asks
    def __class__(self) -> type:
        return FunctionType

    def __get__(self, owner: object, kind: type) -> Any:
        return self if owner is None else partial(self._call, self._function.__get__(owner, kind))

    def __call__(self, *arguments: object) -> Any:
        return self._call(self._function, *arguments)

    def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        self._calls.append((self.__name__, arguments))
        return function(*arguments)


def test_methods_that_a_monitor_has_wrapped_before_are_called_as_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, tuple[object, ...]]] = []

    def handle_request(transport: object, request: Any) -> Any:
        return answer(transport, request)

    monkeypatch.setattr(MODULE.HTTPTransport, "handle_request", handle_request)
    for kind, name in [
        (MODULE.Client, "_send_single_request"),
        (MODULE.AsyncClient, "_send_single_request"),
        (MODULE.HTTPTransport, "handle_request"),
    ]:
        monkeypatch.setattr(kind, name, Wrapped(vars(kind)[name], calls))
    interception = Interception(lambda: None)
    interception.start()
    try:
        interception.prove()
        with MODULE.Client() as client:
            client.get("http://127.0.0.1:9")
    finally:
        interception.stop()

    assert {name for name, _ in calls} == {"_send_single_request", "handle_request"}
    assert all([type(argument) for argument in arguments] == [MODULE.Request] for _, arguments in calls)
