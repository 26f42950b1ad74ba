"""Profiles: how long a model takes, seen from outside, where no recording of a call like it exists.

The shipped ones stand in `profiles.json`, dated and with their sources. A user's own are fitted from recordings. Times
in such a file are milliseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.strict_json import JSONFaultError, line_of, line_of_fault, parse

P95: Final = 1.6448536269514722
"""How many standard deviations the 95th percentile of a normal distribution lies above its median."""
_NOT_PROFILES: Final = "it is no file of profiles"
_WRITES_ONE: Final = "claude-latency profile writes one"
_SHIPPED = Path(__file__).with_name("profiles.json")


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a file of profiles. What its version does not know is an error."""


class FirstToken(_Struct, frozen=True):
    """The time to the first token of a stream: log-normal around its median."""

    median: float
    """Of a short prompt, or of any where the two that follow are 0."""
    p95: float
    per_1000_uncached: float = 0.0
    """How much longer it takes for each thousand tokens of the prompt that no cache has."""
    per_1000_cached: float = 0.0

    def at(self, uncached: int, cached: int) -> float:
        """Return the median for a prompt of so many tokens."""
        return self.median + (self.per_1000_uncached * uncached + self.per_1000_cached * cached) / 1000

    @property
    def sigma(self) -> float:
        """The standard deviation of the logarithm."""
        return math.log(self.p95 / self.median) / P95


class Speed(_Struct, frozen=True):
    """How many tokens a second a stream brings: of a slow answer, of a usual one, of a fast one."""

    low: float
    median: float
    high: float


class Unstreamed(_Struct, frozen=True):
    """The time of an answer that does not stream: so long, and so much longer for each token of the answer."""

    base: float
    per_token: float


class Profile(_Struct, frozen=True):
    """How long some models take. `models` are patterns of names, as shells have them."""

    models: tuple[str, ...]
    source: str
    ttft: FirstToken
    tokens_per_second: Speed
    unstreamed: Unstreamed | None = None

    def usual_ttft(self, uncached: int = 0, cached: int = 0) -> Nanoseconds:
        """Return the median time to the first token of a stream."""
        return round(self.ttft.at(uncached, cached) * MILLISECOND)

    def usual_total(self, tokens: int, uncached: int = 0, cached: int = 0) -> Nanoseconds:
        """Return how long an answer of so many tokens takes that does not stream."""
        if self.unstreamed is not None:
            return round((self.unstreamed.base + self.unstreamed.per_token * tokens) * MILLISECOND)
        # Without times of its own it takes as long as a stream of the same answer.
        return round((self.ttft.at(uncached, cached) + 1000 * tokens / self.tokens_per_second.median) * MILLISECOND)


@dataclass(frozen=True)
class Profiles:
    """Profiles of models, the first that fits a model counts."""

    dated: str
    profiles: tuple[Profile, ...]

    @classmethod
    def parse(cls, text: str) -> Profiles:
        """Return the profiles in a JSON file.

        Raises:
            LatencyError: it is not understood: in which line, where, and why.
        """
        try:
            value = parse(text)
        except JSONFaultError as fault:
            raise LatencyError(f"line {line_of_fault(text, fault)}: {_NOT_PROFILES}: {fault}; {_WRITES_ONE}") from None
        try:
            file = msgspec.convert(value, _File)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:  # the latter for odd keys
            place = _place_in(str(error).rpartition(" - at `")[2])
            raise LatencyError(f"line {line_of(text, place)}: {_NOT_PROFILES}: {error}; {_WRITES_ONE}") from None
        for number, profile in enumerate(file.profiles):
            if problem := _problem(profile):
                problem = f"$.profiles[{number}].{problem}"
                raise LatencyError(f"line {line_of(text, _place_in(problem))}: {_NOT_PROFILES}: {problem}")
        return cls(file.dated, tuple(file.profiles))

    def text(self) -> str:
        """Return the JSON file, as `parse` reads it."""
        encoded = msgspec.json.encode(_File(dated=self.dated, profiles=list(self.profiles)))
        return msgspec.json.format(encoded, indent=2).decode() + "\n"

    def of(self, model: str | None) -> Profile | None:
        """Return the profile of a model; None if there is none."""
        if model is None:
            return None
        # Not `fnmatch`, which ignores case on some systems.
        fits = (profile for profile in self.profiles if any(fnmatchcase(model, name) for name in profile.models))
        return next(fits, None)

    def before(self, others: Profiles) -> Profiles:
        """Return these profiles, followed by others for the models that these do not know."""
        return Profiles(self.dated, self.profiles + others.profiles)


class _File(_Struct, frozen=True):
    dated: str
    profiles: Sequence[Profile]


def _place_in(message: str) -> list[str | int]:
    """Return the place in a file with which a message begins: `$.profiles[0].ttft.p95` is three keys and a number."""
    path = re.match(r"\$[\w.\[\]]*", message)
    return [int(key) if key.isdigit() else key for key in re.findall(r"\w+", path[0])] if path else []


def _problem(profile: Profile) -> str | None:
    """Return which number of a profile no time can have; None if all are good."""
    numbers: dict[str, Any] = {
        "ttft.median": profile.ttft.median,
        "ttft.p95": profile.ttft.p95,
        "tokens_per_second.low": profile.tokens_per_second.low,
        "tokens_per_second.median": profile.tokens_per_second.median,
        "tokens_per_second.high": profile.tokens_per_second.high,
    }
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            return f"{name} is {number}, expected a number above 0"
    speed = profile.tokens_per_second
    if profile.ttft.p95 < profile.ttft.median:
        return f"ttft.p95 is {profile.ttft.p95}, expected at least the median, {profile.ttft.median}"
    if not speed.low <= speed.median <= speed.high:
        return f"tokens_per_second are {speed.low}, {speed.median}, {speed.high}, expected low <= median <= high"
    others = [profile.ttft.per_1000_uncached, profile.ttft.per_1000_cached]
    if profile.unstreamed is not None:
        others += [profile.unstreamed.base, profile.unstreamed.per_token]
    return None if all(0 <= number < math.inf for number in others) else "a time is below 0"


@cache
def shipped() -> Profiles:
    """Return the profiles that come with the package."""
    return Profiles.parse(_SHIPPED.read_text(encoding="utf-8"))
