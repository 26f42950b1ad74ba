"""The reader of baselines: a JSON array of facts, each checked on its own and in its place.

Facts are read one by one, so that an error names its line also where a tool has laid out the file anew. Everything
the writer does not write is an error: a misspelt metric would otherwise be one that was never measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Never, get_args

from pytest_claude_latency import duration
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.errors import BaselineError
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.series import Mode, Pace, Series
from pytest_claude_latency.metrics.timeline import Call

FORMAT: Final = "claude-latency-baseline"
VERSION: Final = 1
UNIT: Final = "s"
END: Final = FORMAT

LEFT_OUT: Final = ("url", "output_tokens_per_second")
"""Of a call: see `Sample.comparable`."""

# 30 years, and what a float counts exactly: nothing measured is larger, and all that is smaller can be computed with
_BEYOND_SPANS = 1e9
_BEYOND_COUNTS = 2**53
_SPACE = re.compile(r"[ \t\r\n]+")
_TEXTS = ("model", "stop_reason", "error", "closed")
_SPANS = ("sent", "ttfb", "ttft", "ttfa", "total", "longest_gap", "tpot")
CALL: Final = frozenset(field.name for field in fields(Call)) - set(LEFT_OUT)
"""What is kept of a call."""
ALWAYS: Final = frozenset({"sent", "streamed", "attempts"})
"""Of that, what every call has."""
# kind of fact → keys it must have, keys it may have, kinds it may stand behind ("" is the first line)
_KINDS: dict[str, tuple[set[str], set[str], set[str]]] = {
    "test": ({"test", "mode", "clock"}, set(), {"", "sample", "call"}),
    "saved": ({"saved", "commit"}, set(), {"test"}),
    "facts": ({"conditions", "facts"}, set(), {"saved", "facts"}),
    "sample": ({"sample", "elapsed"}, set(), {"saved", "facts", "sample", "call"}),
    "call": ({"call", *ALWAYS}, {"under", *CALL}, {"sample", "call"}),
    "end": ({"end"}, set(), {"", "sample", "call"}),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one test. `saved` is when, `commit` what was checked out then; None if that is not known."""

    series: Series
    saved: str
    commit: str | None


class FaultError(ValueError):
    """What is wrong with one fact of a file; whoever reads the file says where."""


def read(text: str, path: Path) -> dict[str, Entry]:
    """The tests of a baseline.

    Raises:
        BaselineError: it cannot be read: which line, and why.
    """
    if not text.strip():
        raise BaselineError(path, None, "the file is empty")
    facts, entries = _Facts(text), _Entries()
    try:
        _check_header(next(facts))
        for fact in facts:
            entries.add(fact)
        return entries.whole()
    except FaultError as fault:
        raise BaselineError(path, facts.line, str(fault)) from None
    except json.JSONDecodeError as error:
        cut_off = not text[error.pos :].strip() or "Unterminated" in error.msg
        reason = "the file is cut off in this line" if cut_off else f"it is not JSON ({error.msg})"
        raise BaselineError(path, error.lineno, reason) from None


class _Facts:
    """The elements of the array. `line` is where the latest of them begins."""

    def __init__(self, text: str) -> None:
        self.line = 1
        self._text = text
        self._counted = 0
        self._place = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._counted and self._take("]"):
            if self._place < len(self._text):
                raise json.JSONDecodeError("something follows the array", self._text, self._place)
            raise StopIteration
        if not self._counted and not self._take("["):
            raise FaultError("it is no baseline of this plugin: a baseline is a JSON array")
        if self._counted and not self._take(","):
            raise json.JSONDecodeError("Expecting ','", self._text, self._place)
        self.line += self._text.count("\n", self._counted, self._place)
        self._counted = self._place
        try:
            fact, self._place = _DECODER.raw_decode(self._text, self._place)
        except RecursionError:
            raise FaultError("it is nested too deeply") from None
        except (json.JSONDecodeError, FaultError):
            raise
        except ValueError:  # Python reads no number of more than some thousand digits
            raise FaultError("a number in it is too long") from None
        return fact

    def _take(self, sign: str) -> bool:
        """Move behind the sign, and the space around it, if it is the next one."""
        self._skip()
        taken = self._text.startswith(sign, self._place)
        if taken:
            self._place += len(sign)
            self._skip()
        return taken

    def _skip(self) -> None:
        if space := _SPACE.match(self._text, self._place):
            self._place = space.end()


def _refuse_constant(constant: str) -> Never:
    raise FaultError(f"{constant} is no measurement")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fact = dict(pairs)
    if len(fact) != len(pairs):
        raise FaultError("a key stands twice")
    return fact


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _check_header(fact: object) -> None:
    if not isinstance(fact, dict) or fact.get("format") != FORMAT:
        raise FaultError(f'it is no baseline of this plugin: the first fact has no "format": "{FORMAT}"')
    version = fact.get("version")
    if type(version) is not int or version < 1:
        raise FaultError(f'"version" is {_show(version)}, expected a whole number')
    if version > VERSION:
        raise FaultError(
            f"it has version {version}, this plugin reads up to {VERSION}: a newer pytest-claude-latency wrote it"
        )
    if fact.get("unit") != UNIT:
        raise FaultError(f'its times are in {_show(fact.get("unit"))}, expected "{UNIT}" for seconds')
    _check_keys(fact, {"format", "version", "unit"}, set())


class _Entries:
    """The tests read so far, and the one that is being read."""

    def __init__(self) -> None:
        self._done: dict[str, Entry] = {}
        self._previous = ""
        self._test: dict[str, Any] = {}
        self._saved: dict[str, Any] = {}
        self._facts: list[dict[str, str]] = []
        self._samples: list[Sample] = []
        self._number = 0
        self._elapsed: Nanoseconds | None = None
        self._calls: list[Call] = []
        self._under: list[dict[str, str]] = []

    def add(self, fact: object) -> None:
        if not isinstance(fact, dict):
            raise FaultError("it is not a JSON object")
        kind = _kind(fact)
        required, optional, behind = _KINDS[kind]
        _check_keys(fact, required, optional)
        if self._previous not in behind:
            raise FaultError(f'a fact "{kind}" cannot stand behind {_behind(self._previous)}')
        getattr(self, f"_add_{kind}")(fact)
        self._previous = kind

    def whole(self) -> dict[str, Entry]:
        if self._previous != "end":
            raise FaultError(f'the file is cut off: the last fact is not "end": "{END}"')
        return self._done

    def _add_test(self, fact: dict[str, Any]) -> None:
        self._finish_test()
        if _text(fact, "test") in self._done:
            raise FaultError(f"the test {fact['test']} stands twice")
        _one_of(fact, "mode", get_args(Mode))
        _one_of(fact, "clock", get_args(Pace))
        self._test, self._facts = fact, []

    def _add_saved(self, fact: dict[str, Any]) -> None:
        _text(fact, "saved")
        if fact["commit"] is not None:
            _text(fact, "commit")
        self._saved = fact

    def _add_facts(self, fact: dict[str, Any]) -> None:
        _numbered(fact, "conditions", len(self._facts) + 1)
        facts = fact["facts"]
        if not isinstance(facts, dict) or not all(isinstance(value, str) for value in facts.values()):
            raise FaultError('"facts" is not an object of texts')
        self._facts.append(facts)

    def _add_sample(self, fact: dict[str, Any]) -> None:
        self._finish_sample()
        last = self._samples[-1].number if self._samples else 0
        if _whole(fact, "sample") <= last:
            raise FaultError(f'"sample" is {fact["sample"]}, expected a number above {last}')
        elapsed = fact["elapsed"]
        self._number = fact["sample"]
        self._elapsed = None if elapsed is None else duration.nanoseconds(seconds(fact, "elapsed"))

    def _add_call(self, fact: dict[str, Any]) -> None:
        _numbered(fact, "call", len(self._calls) + 1)
        if "under" in fact:
            if not 1 <= _whole(fact, "under") <= len(self._facts):
                raise FaultError(f'"under" is {fact["under"]}, there are {len(self._facts)} conditions')
            self._under.append(self._facts[fact["under"] - 1])
        self._calls.append(call(fact))
        if self._under and len(self._under) != len(self._calls):
            raise FaultError('either every call of a sample has "under", or none')

    def _add_end(self, fact: dict[str, Any]) -> None:
        self._finish_test()
        _one_of(fact, "end", (END,))

    def _finish_sample(self) -> None:
        if self._previous in ("sample", "call"):
            calls, under = tuple(self._calls), tuple(self._under)
            self._samples.append(Sample(number=self._number, elapsed=self._elapsed, calls=calls, conditions=under))
            self._calls, self._under = [], []

    def _finish_test(self) -> None:
        self._finish_sample()
        if self._previous:
            test, saved, samples = self._test, self._saved, tuple(self._samples)
            series = Series(nodeid=test["test"], mode=test["mode"], clock=test["clock"], samples=samples)
            self._done[series.nodeid] = Entry(series, saved["saved"], saved["commit"])
            self._samples = []


def call(fact: dict[str, Any]) -> Call:
    """The call that a fact tells of; what it does not name is None.

    Raises:
        FaultError: a value is none of its metric.
    """
    known: dict[str, Any] = dict.fromkeys(CALL) | {name: _value(fact, name) for name in CALL & fact.keys()}
    return Call(url="", output_tokens_per_second=None, **known)


def _value(fact: dict[str, Any], name: str) -> Any:
    if name in _SPANS:
        return seconds(fact, name)
    if name == "closed":
        return _one_of(fact, name, ("client",))
    if name == "streamed":
        return _one_of(fact, name, (True, False))
    return _text(fact, name) if name in _TEXTS else _whole(fact, name)


# ── checks ──


def _kind(fact: dict[str, Any]) -> str:
    kinds = [kind for kind in _KINDS if kind in fact]
    if len(kinds) != 1:
        raise FaultError(f"it is no fact of a baseline: expected exactly one of the keys {_names(_KINDS)}")
    return kinds[0]


def _behind(kind: str) -> str:
    return f'a fact "{kind}"' if kind else "the first line"


def _check_keys(fact: dict[str, Any], required: set[str], optional: set[str]) -> None:
    if missing := required - fact.keys():
        raise FaultError(f"it lacks {_names(sorted(missing))}")
    if unknown := fact.keys() - required - optional:
        raise FaultError(f"it has {_names(sorted(unknown))}, which version {VERSION} does not know")


def _names(keys: Any) -> str:
    return ", ".join(f'"{key}"' for key in keys)


def _show(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _text(fact: dict[str, Any], key: str) -> str:
    if not isinstance(fact[key], str):
        raise FaultError(f'"{key}" is {_show(fact[key])}, expected a text')
    return str(fact[key])


def _whole(fact: dict[str, Any], key: str) -> int:
    if type(fact[key]) is not int or not 0 <= fact[key] < _BEYOND_COUNTS:
        raise FaultError(f'"{key}" is {_show(fact[key])}, expected a whole number of at least 0')
    return int(fact[key])


def _numbered(fact: dict[str, Any], key: str, number: int) -> None:
    if _whole(fact, key) != number:
        raise FaultError(f'"{key}" is {fact[key]}, expected {number}: they are numbered from 1')


def seconds(fact: Mapping[str, Any], key: str) -> float:
    """What a fact says in seconds, to the microsecond.

    Raises:
        FaultError: that is no number of them.
    """
    value = fact[key]
    if type(value) not in (int, float) or not 0 <= value < _BEYOND_SPANS:
        raise FaultError(f'"{key}" is {_show(value)}, expected seconds')
    return round(float(value), 6)


def _one_of(fact: dict[str, Any], key: str, accepted: tuple[Any, ...]) -> Any:
    if not any(fact[key] is each or (isinstance(each, str) and fact[key] == each) for each in accepted):
        raise FaultError(f'"{key}" is {_show(fact[key])}, expected {" or ".join(map(_show, accepted))}')
    return fact[key]
