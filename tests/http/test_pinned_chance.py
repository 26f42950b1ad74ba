"""The jitter of pauses between attempts, in each library that has some."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import anthropic._base_client
import pytest

from pytest_claude_latency.http.changes.chance import PinnedChance


@contextmanager
def _pinned(replaying: bool = True) -> Iterator[None]:
    chance = PinnedChance(lambda: replaying)
    chance.start()
    try:
        yield
    finally:
        chance.stop()


@pytest.mark.parametrize("name", ["openai._base_client", "litellm.utils"])
@pytest.mark.parametrize("bound", [random, random.random], ids=["the module", "the function"])
def test_a_librarys_own_name_for_chance_is_replaced(monkeypatch: pytest.MonkeyPatch, name: str, bound: object) -> None:
    module = ModuleType(name)
    module.random = bound  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, module)

    with _pinned():
        pinned = module.random
        assert (pinned.random if bound is random else pinned)() == 0.5
    with _pinned(replaying=False):
        live = module.random
        assert len({(live.random if bound is random else live)() for _ in range(9)}) > 1

    assert module.random is bound


def test_the_rest_of_the_module_random_is_the_programs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("litellm.utils")
    module.random = random  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)

    with _pinned():
        assert module.random.choice is random.choice


def test_the_sdks_chance_is_pinned_and_the_global_generator_is_not() -> None:
    with _pinned():
        assert vars(anthropic._base_client)["random"]() == 0.5
        assert len({random.random() for _ in range(9)}) > 1

    assert vars(anthropic._base_client)["random"] is random.random


def test_a_library_without_jitter_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("smolagents.utils")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    with _pinned():
        assert not hasattr(module, "random")
