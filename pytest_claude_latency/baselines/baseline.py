"""Baselines: a run's samples, kept under a name for later runs to be compared with.

`.latency/NAME.json` is a JSON array with a fact a line, in the order of test ids, made to be committed, read and
diffed: it names no machine, a test that measured what it did before keeps its lines, and every line but the last,
which is the same in all baselines, ends in a comma, so that a test added behind the others changes no line of them.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_claude_latency import duration
from pytest_claude_latency.atomic_files import replace_files
from pytest_claude_latency.baselines.reader import END, FORMAT, LEFT_OUT, UNIT, VERSION, Entry, read
from pytest_claude_latency.errors import BaselineError, FileWriteError, LatencyError
from pytest_claude_latency.metrics.series import Measured, Series, refuse_other_kind, series_of
from pytest_claude_latency.metrics.timeline import Call

__all__ = ["Baseline", "Entry", "commit_of", "gone", "locate", "merge", "path_of"]

FOLDER = ".latency"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_FAILED = ("failed", "error")


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known of each test, by node id."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def series(self) -> dict[str, Series]:
        """The samples of each test, for `comparison.compare`."""
        return {nodeid: entry.series for nodeid, entry in self.entries.items()}

    @classmethod
    def of(cls, results: Iterable[Measured], *, saved: str, commit: str | None = None) -> Baseline:
        """The samples of one run. `saved` is when (`cassette.timestamp`), `commit` what was checked out.

        Tests that were skipped, or failed as expected, are left out.

        Raises:
            LatencyError: a test failed, or its samples were measured in different ways.
        """
        results = list(results)
        failed = sorted({result.nodeid for result in results if result.outcome in _FAILED})
        if failed:
            others = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
            raise LatencyError(f"no baseline is kept of a run whose tests failed: {failed[0]}{others}")
        return cls({nodeid: Entry(series, saved, commit) for nodeid, series in series_of(results).items()})

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """The baseline in a file.

        Raises:
            BaselineError: there is none, or it cannot be read: which line, and why.
        """
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise BaselineError(path, line, "it is not UTF-8") from None
        except FileNotFoundError:
            raise BaselineError(path, None, "there is no such file") from None
        except OSError as error:
            raise BaselineError(path, None, error.strerror or str(error)) from error
        return cls(read(text, path))

    def save(self, path: Path) -> None:
        """Write the baseline to a file, whole or not at all. Folders are made.

        Raises:
            BaselineError: it could not be written; what was there is still there.
        """
        try:
            replace_files({path: self.dumps()})
        except FileWriteError as error:
            raise BaselineError(error.path, None, f"it could not be written: {error.reason}") from error

    def dumps(self) -> str:
        """The text of its file."""
        return "[\n" + ",\n".join(map(_line, self._facts())) + "\n]\n"

    def updated(self, run: Baseline, gone: Iterable[str] = ()) -> Baseline:
        """With the tests of a later run in place of what was kept of them; those it did not run stay, unless `gone`.

        A test that measured what is kept already keeps its date and commit as well.

        Raises:
            LatencyError: a test was measured in another way before: a replay never replaces a live run.
        """
        dropped = set(gone)
        entries = {nodeid: entry for nodeid, entry in self.entries.items() if nodeid not in dropped}
        for nodeid, entry in run.entries.items():
            known = entries.get(nodeid, entry)
            refuse_other_kind(known.series, entry.series)
            entries[nodeid] = known if known.series == entry.series else entry
        return Baseline(entries)

    def _facts(self) -> Iterator[dict[str, Any]]:
        yield {"format": FORMAT, "version": VERSION, "unit": UNIT}
        for nodeid in sorted(self.entries):
            yield from _entry_facts(self.entries[nodeid])
        yield {"end": END}


# ── where baselines lie ──


def path_of(root: Path, name: str) -> Path:
    """The file of the baseline NAME below rootdir.

    Raises:
        LatencyError: it is no name.
    """
    if not _NAME.fullmatch(name):
        raise LatencyError(f'{name!r} is no name of a baseline; accepted: letters, digits, "_", "-" and "."')
    return root / FOLDER / f"{name}.json"


def locate(root: Path, here: Path, text: str) -> Path:
    """The file that `--latency-compare=TEXT` means: a path, from `here`, if it looks like one, or a name.

    Raises:
        LatencyError: it is neither.
    """
    looks_like_a_path = "/" in text or "\\" in text or text.endswith(".json")
    return here / text if looks_like_a_path else path_of(root, text)


def commit_of(root: Path) -> str | None:
    """What is checked out there, `-dirty` if it was changed since; None without git or a commit."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() or None if run.returncode == 0 else None


# ── which tests there are ──


def merge(parts: Sequence[tuple[Path, Baseline]]) -> Baseline:
    """One baseline of those that the shards of a run wrote: their tests, and the samples of tests they share.

    Raises:
        BaselineError: two of them hold different measurements of the same sample, or measured it in different ways.
    """
    entries: dict[str, Entry] = {}
    for path, part in parts:
        for nodeid, entry in part.entries.items():
            entries[nodeid] = _joined(entries.get(nodeid, entry), entry, path)
    return Baseline(entries)


def _joined(known: Entry, entry: Entry, path: Path) -> Entry:
    try:
        refuse_other_kind(known.series, entry.series)
    except LatencyError as error:
        raise BaselineError(path, None, str(error)) from None
    samples = {sample.number: sample for sample in known.series.samples}
    for sample in entry.series.samples:
        if samples.setdefault(sample.number, sample) != sample:
            reason = f"it holds another sample {sample.number} of {entry.series.nodeid} than the files before it"
            raise BaselineError(path, None, f"{reason}; merged are the shards of one run")
    ordered = tuple(samples[number] for number in sorted(samples))
    series = Series(nodeid=known.series.nodeid, mode=known.series.mode, clock=known.series.clock, samples=ordered)
    return Entry(series, max(known.saved, entry.saved), known.commit if known.commit == entry.commit else None)


def gone(kept: Iterable[str], collected: Iterable[str], asked: Sequence[str]) -> list[str]:
    """The tests of a baseline that are no more, of those a run asked for.

    `collected` holds deselected tests too; `asked` are the places that pytest was told, as prefixes of node ids:
    `""` for all of rootdir, a folder, a file, a class, a test.
    """
    there = set(collected)
    return sorted(nodeid for nodeid in kept if nodeid not in there and any(_lies_in(nodeid, place) for place in asked))


def _lies_in(nodeid: str, place: str) -> bool:
    place = place.removesuffix("/")
    return place in ("", ".", nodeid) or nodeid.startswith((f"{place}/", f"{place}::", f"{place}["))


# ── writing ──


def _entry_facts(entry: Entry) -> Iterator[dict[str, Any]]:
    series = entry.series
    yield {"test": series.nodeid, "mode": series.mode, "clock": series.clock}
    yield {"saved": entry.saved, "commit": entry.commit}
    every = [_ordered(facts) for sample in series.samples for facts in sample.conditions]
    numbers = {facts: number for number, facts in enumerate(dict.fromkeys(every), 1)}
    for facts, number in numbers.items():
        yield {"conditions": number, "facts": dict(facts)}
    for sample in series.samples:
        elapsed = None if sample.elapsed is None else round(duration.seconds(sample.elapsed), 6)
        yield {"sample": sample.number, "elapsed": elapsed}
        for place, call in enumerate(sample.calls):
            under = {"under": numbers[_ordered(sample.conditions[place])]} if sample.conditions else {}
            yield {"call": place + 1, **under, **_call_facts(call)}


def _ordered(facts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(facts.items()))


def _call_facts(call: Call) -> dict[str, Any]:
    return {name: value for name, value in call.as_json().items() if name not in LEFT_OUT and value is not None}


def _encode(fact: Mapping[str, Any]) -> str:
    return json.dumps(fact, ensure_ascii=False, allow_nan=False)


def _line(fact: Mapping[str, Any]) -> str:
    line = _encode(fact)
    try:
        line.encode()
    except UnicodeEncodeError:  # half a surrogate pair in a test's id: JSON can say it, UTF-8 cannot
        return json.dumps(fact)
    return line
