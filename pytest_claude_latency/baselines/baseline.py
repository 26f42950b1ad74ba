"""Baselines: the samples of a run, saved under a name so that later runs can be compared with them.

`.latency/NAME.jsonl` has a fact a line, sorted by test, and is made to be committed, read and diffed: it names no
machine, and a test that measures the same as before keeps its lines. The last line is the same in all baselines, so a
test that is added behind the others changes no line of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import UNSET, to_builtins

from pytest_claude_latency import duration
from pytest_claude_latency.atomic_files import replace_files
from pytest_claude_latency.baselines import facts
from pytest_claude_latency.baselines.reader import Entry, read
from pytest_claude_latency.errors import BaselineError, FileWriteError, LatencyError, OldBaselineError
from pytest_claude_latency.metrics.series import Measured, Series, refuse_other_kind, series_of
from pytest_claude_latency.strict_json import Line, read_text

_FAILED = ("failed", "error")


@dataclass(frozen=True, slots=True)
class Baseline:
    """The saved samples of each test, by node id."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def series(self) -> dict[str, Series]:
        """The samples of each test, for `comparison.compare`."""
        return {nodeid: entry.series for nodeid, entry in self.entries.items()}

    @classmethod
    def of(cls, results: Iterable[Measured], *, saved: str, commit: str | None = None) -> Baseline:
        """Return the samples of one run. `saved` is when (`recording.timestamp`), `commit` what was checked out.

        Tests that were skipped, or failed as expected, are left out.

        Raises:
            LatencyError: a test failed, or its samples were measured in different ways.
        """
        results = list(results)
        failed = sorted({result.nodeid for result in results if result.outcome in _FAILED})
        if failed:
            more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
            raise LatencyError(f"a run whose tests failed is not saved as a baseline: {failed[0]}{more}")
        return cls({nodeid: Entry(series, saved, commit) for nodeid, series in series_of(results).items()})

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Return the baseline in a file.

        Raises:
            BaselineError: there is none, or it cannot be read: which line, and why.
        """
        if old := old_file(path):
            # the old form was never published, so it is not worth a reader; the message says how to replace the file
            raise OldBaselineError(old)
        return cls(read(read_text(path, BaselineError), path))

    def save(self, path: Path) -> None:
        """Write the baseline to a file, completely or not at all. Missing folders are made.

        Raises:
            BaselineError: it could not be written; what was there is still there.
        """
        try:
            replace_files({path: self.dumps()})
        except FileWriteError as error:
            raise BaselineError(error.path, None, f"it could not be written: {error.reason}") from error

    def dumps(self) -> str:
        """Return the text of the file."""
        lines: list[Line] = [facts.HeaderFact()]
        for nodeid in sorted(self.entries):
            lines += _facts_of(self.entries[nodeid])
        texts = []
        for fact in (*lines, facts.EndFact()):
            values = to_builtins(fact)
            line = json.dumps(values, ensure_ascii=False, allow_nan=False)
            try:
                line.encode()
            except UnicodeEncodeError:  # half a surrogate pair in a test's id: JSON can write it, UTF-8 cannot
                line = json.dumps(values)
            texts.append(f"{line}\n")
        return "".join(texts)

    def updated(self, run: Baseline, missing: Iterable[str] = ()) -> Baseline:
        """Return this baseline with the tests of a later run; other tests stay, unless they are `missing` now.

        A test that measured the same as before keeps its date and commit too.

        Raises:
            LatencyError: a test was measured in another way before: a replay never replaces a live run.
        """
        removed = set(missing)
        entries = {nodeid: entry for nodeid, entry in self.entries.items() if nodeid not in removed}
        for nodeid, entry in run.entries.items():
            before = entries.get(nodeid, entry)
            refuse_other_kind(before.series, entry.series)
            # a replay gives the same numbers every time: without this, each run would change the date of every test,
            # and a diff of the file would show all of them
            entries[nodeid] = before if before.series == entry.series else entry
        return Baseline(entries)


def old_file(path: Path) -> Path | None:
    """Return the file in the old form, a JSON array, where the baseline at `path` is only found in that; else None."""
    candidates = [path] if path.exists() else [path.with_suffix(".json")] if path.suffix == ".jsonl" else []
    for candidate in candidates:
        try:
            with candidate.open("rb") as file:
                start = file.read(4096)
        except OSError:
            continue  # whoever reads the file says what is wrong with it
        # the format has to be in it: the folder may hold any other JSON array
        if start.lstrip().startswith(b"[") and facts.FORMAT.encode() in start:
            return candidate
    return None


def merge(shards: Sequence[tuple[Path, Baseline]]) -> Baseline:
    """Return one baseline of those that the shards of a run wrote: all their tests, with the samples of each.

    Raises:
        BaselineError: two shards hold different measurements of the same sample, or measured it in different ways.
    """
    entries: dict[str, Entry] = {}
    for path, shard in shards:
        for nodeid, entry in shard.entries.items():
            before = entries.get(nodeid, entry)
            try:
                refuse_other_kind(before.series, entry.series)
            except LatencyError as error:
                raise BaselineError(path, None, str(error)) from None
            # a shard may have run some samples of a test and another shard the rest, so samples are joined one by one
            samples = {sample.number: sample for sample in before.series.samples}
            for sample in entry.series.samples:
                if samples.setdefault(sample.number, sample) != sample:
                    reason = f"it holds another sample {sample.number} of {nodeid} than the files before it"
                    raise BaselineError(path, None, f"{reason}; only shards of one run can be merged")
            ordered = tuple(samples[number] for number in sorted(samples))
            series = Series(nodeid=nodeid, mode=before.series.mode, clock=before.series.clock, samples=ordered)
            # the test has one commit: where shards ran different ones, no commit describes all its samples
            commit = before.commit if before.commit == entry.commit else None
            entries[nodeid] = Entry(series, max(before.saved, entry.saved), commit)
    return Baseline(entries)


def _facts_of(entry: Entry) -> Iterator[Line]:
    series = entry.series
    yield facts.TestFact(test=series.nodeid, mode=series.mode, clock=series.clock)
    yield facts.SavedFact(saved=entry.saved, commit=entry.commit)
    # most calls of a test are made under the same conditions: they are written once, and calls refer to their number
    numbers: dict[tuple[tuple[str, str], ...], int] = {}
    for sample in series.samples:
        for conditions in sample.conditions:
            key = tuple(sorted(conditions.items()))
            if key not in numbers:
                numbers[key] = len(numbers) + 1
                yield facts.ConditionsFact(conditions=numbers[key], facts=dict(key))
    for sample in series.samples:
        elapsed = None if sample.elapsed is None else round(duration.seconds(sample.elapsed), 6)
        yield facts.SampleFact(sample=sample.number, elapsed=elapsed)
        under = [numbers[tuple(sorted(conditions.items()))] for conditions in sample.conditions]
        for number, call in enumerate(sample.calls, 1):
            yield facts.CallFact.of(number, call, under[number - 1] if under else UNSET)
