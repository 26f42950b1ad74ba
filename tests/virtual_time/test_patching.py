from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pytest_claude_latency.virtual_time.patches.patching import Patches, replace_copies


@pytest.fixture
def library() -> Any:
    class Greeter:
        def greet(self, name: str, /, **details: str) -> str:
            """Say hello."""
            return f"hello {name}" + "".join(f", {key} {value}" for key, value in details.items())

    return SimpleNamespace(Greeter=Greeter)


@pytest.fixture
def patches() -> Patches:
    return Patches()


def test_a_wrapper_gets_the_original_and_its_arguments(library: Any, patches: Patches) -> None:
    @patches.wraps("Greeter.greet")
    def shout(original: Callable[..., str], greeter: Any, name: str) -> str:
        return original(greeter, name).upper()

    patches.install(library)

    assert library.Greeter().greet("you") == "HELLO YOU"


def test_nothing_is_patched_before_install(library: Any, patches: Patches) -> None:
    patches.wraps("Greeter.greet")(lambda original, greeter, name: "patched")

    assert library.Greeter().greet("you") == "hello you"


def test_an_argument_may_be_named_self(library: Any, patches: Patches) -> None:
    patches.wraps("Greeter.greet")(lambda original, greeter, /, *args, **details: original(greeter, *args, **details))

    patches.install(library)

    assert library.Greeter().greet("you", self="me") == "hello you, self me"


def test_a_wrapped_method_looks_like_the_original(library: Any, patches: Patches) -> None:
    before = inspect.signature(library.Greeter.greet)
    patches.wraps("Greeter.greet")(lambda original, *args: original(*args))

    patches.install(library)

    assert inspect.signature(library.Greeter.greet) == before
    assert library.Greeter.greet.__doc__ == "Say hello."


def test_a_wrapper_finds_its_caller_two_frames_up(library: Any, patches: Patches) -> None:
    @patches.wraps("Greeter.greet")
    def name_caller(original: Callable[..., str], greeter: Any) -> str:
        return sys._getframe(2).f_code.co_name

    patches.install(library)

    assert library.Greeter().greet() == "test_a_wrapper_finds_its_caller_two_frames_up"


def test_copies_are_replaced_under_any_name_in_modules_and_a_lazy_one_is_left_asleep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError("it would be imported")

    class Library:
        """As those of cffi are."""

        __slots__ = ()
        __class__ = ModuleType  # type: ignore[assignment]

    def old() -> None: ...

    def new() -> None: ...

    modules: dict[str, Any] = {name: ModuleType(name) for name in ("holder", "other")}
    modules["holder"].bound, modules["holder"].unhashable, modules["other"].kept = old, [], [old]
    for name, module in {**modules, "lazy": Lazy("lazy"), "library": Library()}.items():
        monkeypatch.setitem(sys.modules, name, module)

    replace_copies({old: new})

    assert modules["holder"].bound is new
    assert modules["other"].kept == [old]
