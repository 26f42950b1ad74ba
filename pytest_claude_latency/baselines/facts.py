"""Facts: the lines of a baseline, each a JSON object with typed values.

A value that a line may lack is `UNSET`, not None: the writer leaves out what was not measured, so `null` in its place
is an error as any other wrong value is.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType, to_builtins

from pytest_claude_latency.known_files import BASELINE
from pytest_claude_latency.metrics.series import Mode, Pace
from pytest_claude_latency.metrics.timeline import Call, Closed
from pytest_claude_latency.strict_json import Line

FORMAT: Final = BASELINE
VERSION: Final = 1

# the bounds are 30 years, and the integers that a float holds exactly: nothing measured is larger, and what is smaller
# can be computed with
Seconds: TypeAlias = Annotated[float, Meta(ge=0, lt=1e9, description="seconds")]
Count: TypeAlias = Annotated[int, Meta(ge=0, lt=2**53, description="a whole number of at least 0")]


# the order of the fields is the order of the keys in the file


class HeaderFact(Line, frozen=True, kw_only=True):
    """The first line: the format and the version of the file, and the unit of its times."""

    format: Literal["claude-latency-baseline"] = FORMAT
    version: int = VERSION
    unit: Annotated[Literal["s"], Meta(description='"s" for seconds')] = "s"


class TestFact(Line, frozen=True, kw_only=True):
    """A test, by its node id, and how it was measured."""

    test: str
    mode: Annotated[Mode, Meta(description='"replay" or "live"')]
    clock: Annotated[Pace, Meta(description='"virtual" or "real"')]


class SavedFact(Line, frozen=True, kw_only=True):
    """When the test was saved, and which commit was checked out then; None if that is not known."""

    saved: str
    commit: str | None


class ConditionsFact(Line, frozen=True, kw_only=True):
    """Numbered conditions of the test, which its calls refer to."""

    conditions: Count
    facts: Annotated[dict[str, str], Meta(description="an object of texts")]


class SampleFact(Line, frozen=True, kw_only=True):
    """A sample of the test: its number, and how long it took; None where no answer ended."""

    sample: Count
    elapsed: Seconds | None


class CallFact(Line, frozen=True, kw_only=True):
    """A call of the sample, as `Call` says; `under` is the number of its conditions.

    It has no URL, which may name a machine, and no rate, which says the same as `tpot`.
    """

    call: Count
    under: Count | UnsetType = UNSET
    model: str | UnsetType = UNSET
    streamed: bool
    status: Count | UnsetType = UNSET
    attempts: Count
    sent: Seconds
    ttfb: Seconds | UnsetType = UNSET
    ttft: Seconds | UnsetType = UNSET
    ttfa: Seconds | UnsetType = UNSET
    total: Seconds | UnsetType = UNSET
    longest_gap: Seconds | UnsetType = UNSET
    tpot: Seconds | UnsetType = UNSET
    prompt_tokens: Count | UnsetType = UNSET
    input_tokens: Count | UnsetType = UNSET
    cache_read_tokens: Count | UnsetType = UNSET
    cache_write_tokens: Count | UnsetType = UNSET
    output_tokens: Count | UnsetType = UNSET
    thinking_tokens: Count | UnsetType = UNSET
    stop_reason: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    closed: Annotated[Closed, Meta(description='"client"')] | UnsetType = UNSET

    @classmethod
    def of(cls, number: int, call: Call, under: int | UnsetType) -> CallFact:
        """Return the fact of a call."""
        measured = {name: value for name, value in call.as_json().items() if name in CALL_KEYS and value is not None}
        return cls(call=number, under=under, **measured)  # type: ignore[arg-type]  # the names are those of the fields

    def to_call(self) -> Call:
        """Return the call, times to the microsecond; what the fact lacks is None."""
        facts: dict[str, Any] = to_builtins(self)  # without what is UNSET
        # numbers of lines in the file, and no facts about the call
        facts.pop("call")
        facts.pop("under", None)
        values = {name: round(value, 6) if isinstance(value, float) else value for name, value in facts.items()}
        return Call(**dict.fromkeys(_FIELDS) | {"url": ""} | values)


class EndFact(Line, frozen=True, kw_only=True):
    """The last line, without which the file was cut off. It is the same in all baselines."""

    end: Annotated[Literal["claude-latency-baseline"], Meta(description=f'"{FORMAT}"')] = FORMAT


_FIELDS: Final = tuple(field.name for field in fields(Call))
CALL_KEYS: Final = tuple(name for name in _FIELDS if name in CallFact.__struct_fields__)
"""The fields of a call that a fact has."""
