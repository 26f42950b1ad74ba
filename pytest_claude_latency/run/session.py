"""What one pytest run measures: one interception, one current measurement, the results of all its tests.

Results reach this object through test reports in every kind of run, from this
process or from a worker, so that a run under xdist shows what a run without it
shows.
"""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, ClassVar, final

import pytest

from pytest_claude_latency import virtual_time
from pytest_claude_latency.errors import FileError, LatencyError
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.settings import Pace, Settings
from pytest_claude_latency.virtual_time.clock import Clock, VirtualClock, WallClock

if TYPE_CHECKING:
    from pytest_claude_latency.baselines.collected_tests import Collected
    from pytest_claude_latency.baselines.history import History
    from pytest_claude_latency.cassettes.staging import Staging
    from pytest_claude_latency.diagnosis.recorded_traces import RecordedTraces
    from pytest_claude_latency.http.interception import Interception
    from pytest_claude_latency.http.library import Transport
    from pytest_claude_latency.http.sdk_patches import SDKPatches
    from pytest_claude_latency.measurement.measurement import Measurement
    from pytest_claude_latency.messages_api.exchange import Request
    from pytest_claude_latency.results.result import TestResult
    from pytest_claude_latency.results.verdict import RunVerdict
    from pytest_claude_latency.run.verdict_reports import Ran

REPORTED = "claude_latency"
"""The attribute of a test report, and the key of a worker's output, under which measurements travel."""

OVER_BUDGET = "claude_latency_over_budget"
"""The attribute of a test report that says that nothing but a budget failed."""


STAGED = "claude_latency_staging"
"""The key of a worker's input under which it learns where samples wait."""


@final
class Session:
    """The run."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.results: dict[tuple[str, int], TestResult] = {}
        self.warnings: list[str] = []  # that belong to no test's result
        self.run_verdicts: tuple[RunVerdict, ...] = ()
        self.collected: Collected | None = None
        self.history: History | None = None
        self.saved = ""  # what is said of the baseline that was kept
        self._ran: dict[str, Ran] = {}
        self.measured_again: list[str] = []
        self.owners: dict[tuple[Path, str], list[str]] = {}
        self.credential_missing = False
        self._recorded_traces: RecordedTraces | None = None
        self._current: Measurement | None = None
        self._staging: Path | None = None
        self._interception: Interception | None = None
        self._sdk: SDKPatches | None = None

    @property
    def worker(self) -> bool:
        """Whether this process is an xdist worker."""
        return hasattr(self.config, "workerinput")

    def interception(self) -> Interception:
        """The run's interception, live.

        Raises:
            InterceptionError: it is not live.
        """
        if self._interception is None:
            from pytest_claude_latency.http.interception import Interception
            from pytest_claude_latency.http.sdk_patches import SDKPatches

            self._interception = Interception(self._responder)
            self._interception.start()
            self._sdk = SDKPatches(self._replays, self._miss_credential)
            self._sdk.start()
        self._interception.prove()
        self._interception.forget()
        return self._interception

    @property
    def recorded_traces(self) -> RecordedTraces:
        """What recordings tell, for findings; each is read once."""
        if self._recorded_traces is None:
            from pytest_claude_latency.diagnosis.recorded_traces import RecordedTraces

            self._recorded_traces = RecordedTraces()
        return self._recorded_traces

    @property
    def staging(self) -> Staging:
        """Where samples wait for the rest of their set."""
        from pytest_claude_latency.cassettes.staging import Staging

        return Staging(self.staging_folder())

    def staging_folder(self) -> Path:
        """The folder of `staging`, the same for all workers."""
        if self._staging is None:
            given = getattr(self.config, "workerinput", {}).get(STAGED)
            self._staging = Path(given or mkdtemp(prefix="claude-latency-"))
        return self._staging

    @contextmanager
    def failing(self) -> Iterator[None]:
        """This package's errors as pytest's own failures: the message is for the reader, not the traceback."""
        __tracebackhide__ = True
        try:
            yield
        except FileError as error:
            raise pytest.fail.Exception(error.seen_from(self.config.rootpath), pytrace=False) from None
        except LatencyError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None

    def record_command(self, nodeid: str, *, variants: bool = False) -> str:
        """What a user types where pytest was started to record this test, or the tests of this file or folder.

        With `variants`, the test is one that only a run of variants has.
        """
        path, separator, test = nodeid.partition("::")
        there = Path(os.path.relpath(self.config.rootpath / path, self.config.invocation_params.dir)).as_posix()
        asked = " --latency-variants" if variants else ""
        return f"pytest --latency-mode=record{asked} {shlex.quote(there + separator + test)}"

    def close(self) -> None:
        """Leave HTTP, time and the SDK as they were, also after an interrupted test."""
        if self._current is not None:
            self._current.leave()
            self._current = None
        if self._interception is not None and self._sdk is not None:
            self._interception.stop()
            self._sdk.stop()
            self._interception = self._sdk = None

    def clock(self) -> Clock:
        """The clock of a replay: virtual, unless the run asks for real waits."""
        return VirtualClock() if self.settings.pace is Pace.VIRTUAL else WallClock()

    def begin(self, measurement: Measurement) -> None:
        """Send every request to `measurement` from now on."""
        self._current = measurement
        measurement.enter()

    def end(self, measurement: Measurement) -> None:
        """The measurement is over."""
        measurement.close()
        measurement.leave()
        self._current = None
        if self._interception is not None:
            self._interception.forget()

    @contextmanager
    def during(self, inner: Measurement) -> Iterator[None]:
        """Measure what happens in this block as `inner`, whose time is its own; the outer time stands meanwhile."""
        outer = self._current
        if outer is not None:
            outer.leave()
        self.begin(inner)
        try:
            yield
        finally:
            inner.leave()
            self._current = None
            if outer is not None:
                self.begin(outer)

    def collect(self, plain: Mapping[str, Any], report: pytest.TestReport) -> None:
        """Take a result out of a test report; a rerun replaces what the first run measured."""
        from pytest_claude_latency.results.result import TestResult
        from pytest_claude_latency.run.verdict_reports import Ran, key_of

        result = TestResult.from_dict(plain)
        self.results[result.nodeid, result.sample] = result
        self._ran.setdefault(result.nodeid, Ran(report.location, {})).items[key_of(report)] = None

    def open_history(self) -> None:
        """Read the baselines that the run is compared with or changes.

        Raises:
            pytest.UsageError: one of them cannot be read.
        """
        from pytest_claude_latency.baselines.collected_tests import Collected

        self.collected = Collected()
        if not self.worker:
            from pytest_claude_latency.baselines.history import History

            try:
                self.history = History(self.settings.compare, self.settings.save, self.settings.rules)
            except FileError as error:
                raise pytest.UsageError(error.seen_from(self.config.rootpath)) from None

    def conclude(self, session: pytest.Session, interrupted: bool = False) -> None:
        """Judge a run whose last test is done, and report the verdicts that fail it."""
        compares = self.settings.ab or (self.history is not None and self.history.compared is not None)
        if self.worker or not (compares or any(result.percentiles for result in self.results.values())):
            return
        from pytest_claude_latency.run import verdict_reports

        found = self._found()
        if interrupted:
            self.run_verdicts = tuple(each.not_judged(verdict_reports.INTERRUPTED) for each in found)
            return
        self.run_verdicts = tuple(verdict_reports.fail(map(self._explained, found), session, self._ran))

    def _explained(self, run_verdict: RunVerdict) -> RunVerdict:
        """With where the time of the slowest sample went, if it fails for being slow."""
        if not run_verdict.fails or run_verdict.verdict != "broken":
            return run_verdict
        from pytest_claude_latency.measurement.diagnosis import of_slowest

        samples = [result for result in self.results.values() if result.nodeid == run_verdict.nodeid]
        explanation = of_slowest(samples, self.config.rootpath, self.recorded_traces)
        return replace(run_verdict, message=run_verdict.message + explanation)

    def _found(self) -> list[RunVerdict]:
        from pytest_claude_latency.results import verdict

        results, strict = self.as_written(), self.settings.strict
        found = verdict.on_percentiles(results, judged=self.settings.judged, strict=strict)
        if self.history is not None and self.history.compared is not None:
            from pytest_claude_latency.baselines import verdicts

            live = [result.nodeid for result in results if result.mode == "live"]
            name = self.history.compared.stem
            found += verdicts.on_baseline(self.history.differences(results), name, live=live, strict=strict)
            self.warnings += verdicts.said(self._gone(self.history.known), name, is_new=self.history.is_new)
        if self.settings.ab:
            from pytest_claude_latency.ab import verdicts as ab_verdicts

            found += ab_verdicts.on_pairs(results, self.settings.rules, strict=strict)
        return found

    def as_written(self) -> list[TestResult]:
        """The results of tests as they are written: baselines and percentiles know no variants."""
        return [result for result in self.results.values() if not result.variant]

    def _gone(self, known: Sequence[str]) -> list[str]:
        return self.collected.gone(known, self.config) if self.collected is not None else []

    def keep_baseline(self) -> None:
        """Save what the run measured, if it is to be kept and nothing failed that it stands for.

        Raises:
            LatencyError: it could not be kept; what was kept before is still there.
        """
        if self.history is None or self.history.saved is None:
            return
        results = self.as_written()
        if failed := [each for each in self.run_verdicts if each.fails]:
            raise LatencyError(f"it is not kept, since the run failed: {failed[0].name}")
        kept = self.history.save(results, self._gone(self.history.kept), self.config.rootpath)
        self.saved = f"claude latency: {number_of(kept, 'test')} kept as baseline {self.history.saved.stem}"

    def said(self) -> dict[str, Any]:
        """What a worker has to say beside its results."""
        collected = None if self.collected is None else self.collected.plain()
        return {"warnings": self.warnings, "collected": collected}

    def announcement(self, nodeids: Sequence[str]) -> list[str]:
        """What a run of these items, of several samples each, will cost; nothing where it costs nothing."""
        if self.worker or (self.settings.samples or 1) == 1 or not self.settings.mode.measures_live:
            return []
        from pytest_claude_latency.collection.sampling import identities
        from pytest_claude_latency.run import cost_estimate

        line = cost_estimate.announcement(list(identities(nodeids)), self.config.rootpath, self.settings)
        return [] if line is None else [line]

    @property
    def judges_percentiles(self) -> bool:
        """Whether percentiles are judged in this run, or measured for one that will."""
        return not self.worker and (self.settings.judged or self.settings.mode.measures_live)

    def close_staging(self) -> None:
        """What did not become a whole set goes; its tests keep the recordings they had."""
        if self._staging is not None:
            self.warnings += [
                f"{nodeid}: {done} of {of} samples succeeded, so its recordings are as they were before"
                for nodeid, done, of in self.staging.unfinished()
            ]
            rmtree(self._staging, ignore_errors=True)
            self._staging = None

    def wrote_already(self, path: Path) -> bool:
        """Whether another worker of this run has written the recording `path`."""
        from pytest_claude_latency.cassettes.recording import Recording

        begun: str = getattr(self.config, "workerinput", {}).get(REPORTED, "")
        return path.exists() and Recording.load(path).recorded >= begun

    def _responder(self) -> Measurement | _Closed | None:
        world = virtual_time.current()
        if world is not None and world.ended and not (self._current and self._current.lives_in(world)):
            return _Closed(world, self.warnings)
        return self._current

    def _replays(self) -> bool:
        responder = self._responder()
        return responder is not None and responder.replays

    def _miss_credential(self) -> None:
        self.credential_missing = self._current is not None


@final
class _Closed:
    """Refuses the requests of a thread whose test has ended."""

    replays: ClassVar[bool] = True  # no credential is needed to be refused, and none must be asked for

    def __init__(self, world: virtual_time.World, strays: list[str]) -> None:
        self._world = world
        self._strays = strays

    def transport_for(self, request: Request, real: Transport) -> Transport:
        message = (
            f"a thread called the API after its test had ended; nothing was sent\n"
            f"  thread    {threading.current_thread().name}\n"
            f"  test      {self._world.name}\n"
            f"  request   {request.title}\n"
            f"  do        join the thread, or shut its pool down, before the test returns"
        )
        self._strays.append(message)
        raise pytest.fail.Exception(message, pytrace=False)
