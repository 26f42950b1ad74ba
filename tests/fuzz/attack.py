"""Attacks: one damaged file or one odd command, and what is wrong with how it ended."""

from __future__ import annotations

import io
import random
import re
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from pytest_claude_latency.baselines import measured_file, reported_limits
from pytest_claude_latency.cassettes.recording import Recording, dumps, loads
from pytest_claude_latency.cassettes.secrets import find_credentials
from pytest_claude_latency.cli.command import main
from pytest_claude_latency.cli.explain import explained
from pytest_claude_latency.diagnosis.recorded_traces import trace_of
from pytest_claude_latency.errors import FileError, LatencyError
from pytest_claude_latency.messages_api.answer import read
from pytest_claude_latency.metrics.prices import Prices
from pytest_claude_latency.simulation.profiles import Profiles
from pytest_claude_latency.strict_json import read_text
from tests.fuzz import samples
from tests.fuzz.damage import ODD_VALUES, damaged

SLOWEST = 2.0
LOADING = 60.0
"""How many seconds it may take while libraries are still being imported."""
BYTES_A_SECOND = 1_000_000
HANGS = 30
"""After how many seconds a run is ended: most likely it would never end."""


@dataclass
class Attack:
    """A series of attacks that a seed fixes, in a folder of its own."""

    folder: Path
    chance: random.Random
    faults: list[str] = field(default_factory=list)
    slowest: float = SLOWEST
    """How many seconds of processor time a file may take; more for one that is large."""

    def __post_init__(self) -> None:
        """Make the sound files that are damaged."""
        self._recordings = samples.recordings()
        self._baselines = samples.baselines(self.folder)
        self._reports = samples.reports()
        kinds: list[tuple[str, list[bytes], Callable[[Path], object]]] = [
            ("a.1.jsonl", self._recordings, _use_recording),
            ("b.jsonl", self._baselines, measured_file.load),
            ("r.json", self._reports, _use_report),
            ("p.json", samples.profile_files(), lambda path: Profiles.parse(read_text(path, FileError))),
            ("c.json", [samples.PRICES.encode()], lambda path: Prices.parse(read_text(path, FileError))),
        ]
        self._kinds = [kinds[place] for place in (0, 0, 0, 1, 2, 2, 3, 4)]
        (self.folder / "sound").mkdir()
        (self.folder / "sound" / "good.1.jsonl").write_bytes(self._recordings[0])

    def file(self) -> None:
        """Read one damaged file."""
        name, sound, use = self.chance.choice(self._kinds)
        path = self.folder / name
        path.write_bytes(damaged(self.chance.choice(sound), self.chance))
        with self._watched(f"reading {name}", path):
            try:
                use(path)
            except FileError as error:
                lines = path.read_bytes().count(b"\n") + 1
                if path.name not in str(error) or not (error.line is None or 1 <= error.line <= lines):
                    self.note(f"it does not say where: {error}", path)
            except LatencyError as error:
                if name == "a.1.jsonl":
                    raise
                if name in ("p.json", "c.json") and not re.match(r"line [1-9]", str(error)):
                    self.note(f"it does not say where: {error}", path)

    def command(self) -> None:
        """Run one command on damaged files and with odd arguments."""
        for name, sound in (("a.1.jsonl", self._recordings), ("b.jsonl", self._baselines), ("r.json", self._reports)):
            content = self.chance.choice(sound)
            (self.folder / "sound" / name).write_bytes(damaged(content, self.chance))
        arguments = self._arguments()
        out, error = io.StringIO(), io.StringIO()
        with self._watched(f"claude-latency {' '.join(map(ascii, arguments))}", *self.folder.glob("sound/[abr].*")):
            try:
                with redirect_stdout(out), redirect_stderr(error):
                    status = main(arguments)
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 99
            if status not in (0, 1, 2) or (status == 2 and not error.getvalue()):
                self.note(f"status {status}, without a word: {arguments!a}")
            whole_folder = arguments[-1] == str(self.folder / "sound") and arguments[0] in ("explain", "check")
            if whole_folder and "good.1.jsonl" not in out.getvalue():
                self.note("one bad file hides the others", *self.folder.glob("sound/[abr].*"))

    def _arguments(self) -> list[str]:
        folder, odd = self.folder / "sound", [str(self.chance.choice(ODD_VALUES))[:200].replace("\x00", "")]
        a, b, r = (str(folder / name) for name in ("a.1.jsonl", "b.jsonl", "r.json"))
        good = str(folder / "good.1.jsonl")
        choices: list[list[str]] = [
            *(["explain", place] for place in (a, b, r, good, str(folder))),
            *(["check", "--no-collect", place] for place in (a, str(folder))),
            *(["suggest", place] for place in (a, b, r)),
            *(["compare", b, r], ["compare", r, b], ["compare", r, r, "--format=json"], ["compare", b, b, "--all"]),
            *(["compare", r, b, "--format=markdown"], ["compare", a, b], ["list", str(folder)]),
            *(["export", "--format=bencher", place] for place in (b, r)),
            *(["show", place] for place in (a, b, r, good, str(folder))),
            *(["diff", a, good], ["diff", good, a], ["diff", a, r]),
            *(["report", r, "-o", str(self.folder / file)] for file in ("r.html", "r.md", "r.trace.json", "copy.json")),
            *(["drift", "--dry-run", place] for place in (a, str(folder))),
            ["export", "--format=github", b],
            *(["profile", a], ["profile", str(folder)], ["merge", b, r, "--output", r]),
            *(["merge", b, "--output", str(self.folder / "merged.jsonl"), "--force"], odd, ["compare", *odd, b]),
            *(["compare", b, b, "--min-ratio", *odd], ["compare", b, b, f"--min-shift={odd[0]}"], ["explain", *odd]),
        ]
        return self.chance.choice(choices)

    @contextmanager
    def _watched(self, what: str, *files: Path) -> Iterator[None]:
        """Note whatever ends otherwise than it should: with an exception that is not ours, or late, or never."""
        allowed = self.slowest + sum(file.stat().st_size for file in files) / BYTES_A_SECOND
        handler = signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, HANGS)
        began = time.process_time()
        try:
            yield
        except Exception:
            self.note(f"{what}\n{traceback.format_exc(limit=-6)}", *files)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
        if (took := time.process_time() - began) > allowed:
            self.note(f"{what}: took {took:.1f} s of the processor", *files)

    def note(self, fault: str, *files: Path) -> None:
        """Keep a fault, with the files that made it."""
        kept = self.folder / "faults" / str(len(self.faults) + 1)
        kept.mkdir(parents=True)
        for file in files:
            (kept / file.name).write_bytes(file.read_bytes())
        (kept / "fault.txt").write_text(fault, "utf-8", "backslashreplace")
        self.faults.append(f"{kept}: {fault}")


def _interrupt(*_: object) -> None:
    raise TimeoutError(f"it did not end within {HANGS} s")


def _use_recording(path: Path) -> None:
    recording = Recording.load(path)
    for exchange in recording.exchanges:
        read(exchange)
    explained(trace_of(recording))
    find_credentials(recording)
    assert loads(dumps(recording), path) == recording


def _use_report(path: Path) -> None:
    measured_file.load(path)
    reported_limits.limits_in(path)
