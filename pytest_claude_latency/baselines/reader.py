"""The reader of baselines: JSON lines to entries, each line checked on its own and in its place.

Everything the writer does not write is an error: a misspelt metric would otherwise be one that was never measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from msgspec import UNSET

from pytest_claude_latency import duration
from pytest_claude_latency.baselines import facts
from pytest_claude_latency.errors import BaselineError
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.series import Series
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.strict_json import JSONFaultError, JSONLines, Line, check_format, convert, kind_of

# kind of line → its struct, and the kinds that may stand before it ("" is the first line)
_KINDS: Final[dict[str, tuple[type[Line], set[str]]]] = {
    "test": (facts.TestFact, {"", "sample", "call"}),
    "saved": (facts.SavedFact, {"test"}),
    "conditions": (facts.ConditionsFact, {"saved", "conditions"}),
    "sample": (facts.SampleFact, {"saved", "conditions", "sample", "call"}),
    "call": (facts.CallFact, {"sample", "call"}),
    "end": (facts.EndFact, {"", "sample", "call"}),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """The samples of one test. `saved` is when, `commit` what was checked out then; None if that is not known."""

    series: Series
    saved: str
    commit: str | None


def read(text: str, path: Path) -> dict[str, Entry]:
    """Return the tests of a baseline, by node id; `path` is for messages.

    Raises:
        BaselineError: it cannot be read: which line, and why.
    """
    lines = JSONLines(text)
    tests: dict[str, _Test] = {}
    kind = ""
    try:
        objects = iter(lines)
        # the format and version before the keys: a newer version may have keys that this one does not know
        header = next(objects)
        check_format(header, facts.FORMAT, facts.VERSION, "a baseline")
        convert(header, facts.HeaderFact)
        for fact in objects:
            previous, kind = kind, kind_of(fact, _KINDS, "a baseline")
            struct, follows = _KINDS[kind]
            if previous not in follows:
                before = f'a line "{previous}"' if previous else "the first line"
                raise JSONFaultError(f'a line "{kind}" cannot follow {before}')
            line = convert(fact, struct)
            if isinstance(line, facts.TestFact):
                if line.test in tests:
                    raise JSONFaultError(f"the test {line.test} appears twice")
                test = tests[line.test] = _Test(line)
            elif not isinstance(line, facts.EndFact):
                test.add(line)
        if kind != "end":
            raise JSONFaultError(f'the file is cut off: the last line is not "end": "{facts.FORMAT}"')
    except JSONFaultError as fault:
        raise BaselineError(path, lines.number, str(fault)) from None
    return {nodeid: test.entry() for nodeid, test in tests.items()}


@final
@dataclass
class _Test:
    """The lines of one test that were read so far."""

    test: facts.TestFact
    saved: facts.SavedFact | None = None
    conditions: list[dict[str, str]] = field(default_factory=list)
    samples: list[tuple[facts.SampleFact, list[facts.CallFact]]] = field(default_factory=list)

    def add(self, line: Line) -> None:
        """Take the next line.

        Raises:
            JSONFaultError: its number is not the one that comes next, or there are no such conditions.
        """
        match line:
            case facts.SavedFact():
                self.saved = line
            case facts.ConditionsFact():
                self.conditions.append(line.facts)
                _check_number("conditions", line.conditions, len(self.conditions))
            case facts.SampleFact():
                last = self.samples[-1][0].sample if self.samples else 0
                if line.sample <= last:
                    raise JSONFaultError(f'"sample" is {line.sample}, expected a number above {last}')
                self.samples.append((line, []))
            case facts.CallFact():
                calls = self.samples[-1][1]
                calls.append(line)
                _check_number("call", line.call, len(calls))
                if line.under is not UNSET and not 1 <= line.under <= len(self.conditions):
                    raise JSONFaultError(f'"under" is {line.under}, there are {len(self.conditions)} conditions')
                # `Sample` has the conditions of all its calls or of none: nobody could tell whose were missing
                if (line.under is UNSET) != (calls[0].under is UNSET):
                    raise JSONFaultError('either every call of a sample has "under", or none')

    def entry(self) -> Entry:
        """Return the test, all its lines read."""
        assert self.saved is not None  # the order of the lines was checked, and none ends a test before its samples
        samples = []
        for fact, calls in self.samples:
            measured: tuple[Call, ...] = tuple(call.to_call() for call in calls)
            conditions = tuple(self.conditions[call.under - 1] for call in calls if call.under is not UNSET)
            # the writer rounds to microseconds: a file that was edited must not hold what no run could measure
            elapsed = None if fact.elapsed is None else duration.nanoseconds(round(fact.elapsed, 6))
            samples.append(Sample(number=fact.sample, elapsed=elapsed, calls=measured, conditions=conditions))
        test = self.test
        series = Series(nodeid=test.test, mode=test.mode, clock=test.clock, samples=tuple(samples))
        return Entry(series, self.saved.saved, self.saved.commit)


def _check_number(key: str, number: int, expected: int) -> None:
    if number != expected:
        raise JSONFaultError(f'"{key}" is {number}, expected {expected}: they are numbered from 1')
