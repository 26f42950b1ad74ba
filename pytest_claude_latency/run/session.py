"""What all parts of one pytest run share in one process: its settings, its current measurement, its warnings."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir
from typing import TYPE_CHECKING, final

import pytest

from pytest_claude_latency import litter
from pytest_claude_latency.errors import FileError, LatencyError, NotUnderstoodError
from pytest_claude_latency.printable import fitted
from pytest_claude_latency.run.current_measurement import CurrentMeasurement
from pytest_claude_latency.settings import Settings

if TYPE_CHECKING:
    from pytest_claude_latency.baselines.collected_tests import CollectedTests
    from pytest_claude_latency.cassettes.staging import Staging
    from pytest_claude_latency.diagnosis.recorded_traces import RecordedTraces

REPORTED = "claude_latency"
"""The attribute of a test report, and the key of a worker's output, under which measurements travel."""

OVER_BUDGET = "claude_latency_over_budget"
"""The attribute of a test report that says that only a budget failed."""

RAN_AGAIN = "claude_latency_ran_again"
"""The attribute of a report by which a worker says that the test ran again, with the API."""

STAGING = "claude_latency_staging"
"""The key of a worker's input under which it learns where samples wait."""

BEGAN = "claude_latency_began"
"""The key of a worker's input under which it learns when the run began."""


@final
class Failure(pytest.fail.Exception):  # type: ignore[misc, name-defined]  # pytest declares it as a value
    """pytest's own failure, with a text that says all: it is shown without a traceback and without its class."""

    def __init__(self, text: str) -> None:
        super().__init__(fitted(text), pytrace=False)
        self.text = text


@final
class Session:
    """One pytest run, as one of its processes sees it."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.current = CurrentMeasurement(settings, self.warn)
        self.not_recorded: set[str] = set()
        """The tests whose recording was to be written in this run, and was not."""
        self._warnings: list[str] = []
        self.recorded_fixtures: dict[str, tuple[int, float, int]] = {}
        """The recordings of higher-scoped fixtures that were written: calls, seconds and bytes of each, by its name."""
        self._staging_folder: Path | None = None
        # xdist gives a worker's config this attribute, and no other process has it.
        self._worker_input: dict[str, str] | None = getattr(config, "workerinput", None)

    @property
    def is_worker(self) -> bool:
        """Whether this process is an xdist worker."""
        return self._worker_input is not None

    @property
    def began(self) -> str | None:
        """When the run of this worker began, as recordings write a time; `None` in a process that is no worker."""
        return None if self._worker_input is None else self._worker_input.get(BEGAN, "")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings that belong to the result of no single test."""
        return tuple(self._warnings)

    def warn(self, message: str) -> None:
        """Add a warning that belongs to the result of no single test."""
        self._warnings.append(message)

    @cached_property
    def collected_tests(self) -> CollectedTests | None:
        """The tests that were collected; `None` where the run uses no baseline."""
        if not self.settings.uses_baselines:
            return None
        from pytest_claude_latency.baselines.collected_tests import CollectedTests

        return CollectedTests()

    @cached_property
    def recorded_traces(self) -> RecordedTraces:
        """What recordings tell, for findings. Each recording is read once."""
        from pytest_claude_latency.diagnosis.recorded_traces import RecordedTraces

        return RecordedTraces()

    @property
    def staging(self) -> Staging:
        """The place where samples wait for the rest of their set."""
        from pytest_claude_latency.cassettes.staging import Staging

        return Staging(self.staging_folder())

    def staging_folder(self) -> Path:
        """Return the folder of `staging`. It is the same for all workers of a run."""
        if self._staging_folder is None:
            # The controller tells its workers the folder. It lies outside the suite, so that an interrupted run leaves
            # nothing next to the recordings.
            given = None if self._worker_input is None else self._worker_input.get(STAGING)
            shared = Path(gettempdir())
            self._staging_folder = Path(given or shared / litter.name("staging", prefix="claude-latency-"))
            if given is None:
                litter.sweep(shared)
                self._staging_folder.mkdir(mode=0o700)
                self._mark_of_staging.touch()
        return self._staging_folder

    @property
    def _mark_of_staging(self) -> Path:
        """A file that is gone if somebody removed the folder; a worker makes the folder anew, but not the file."""
        return self.staging_folder() / "run"

    def close_staging(self, not_recorded: Iterable[str]) -> None:
        """Drop samples whose set is not complete, and warn of each such test. Its old recordings stay.

        `not_recorded` are the tests of which a sample was not recorded: if the folder was removed, it does not tell.
        """
        if self._staging_folder is not None:
            from pytest_claude_latency.run import messages

            unfinished = list(self.staging.unfinished())
            if self._mark_of_staging.exists():
                for nodeid, done, total in unfinished:
                    self.warn(messages.incomplete_set(nodeid, done, total))
            elif lost := dict.fromkeys([*(nodeid for nodeid, _, _ in unfinished), *not_recorded]):
                self.warn(messages.staging_gone(self._staging_folder, list(lost)))
            # Only the controller gets here, after its last worker: nobody can still be writing.
            rmtree(self._staging_folder, ignore_errors=True)
            self._staging_folder = None

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Turn this package's errors into pytest's own failures: a user needs the message, not the traceback."""
        __tracebackhide__ = True
        try:
            yield
        except FileError as error:
            raise Failure(error.in_lines(self.config.rootpath)) from None
        except NotUnderstoodError as error:
            raise Failure(error.labelled()) from None
        except LatencyError as error:
            raise Failure(str(error)) from None

    def record_command(self, *nodeids: str, variants: bool = False) -> str:
        """Return what a user types, where pytest was started, to record these tests, or the tests of a file or folder.

        `variants` says that only a run of variants has this test.
        """
        option = " --latency-variants" if variants else ""
        return f"pytest --latency-mode=record{option} {self.arguments_for(nodeids)}"

    def arguments_for(self, nodeids: Iterable[str]) -> str:
        """Return node ids as the arguments that a user types where pytest was started."""
        arguments = []
        for nodeid in nodeids:
            # a node id is relative to rootdir, but pytest reads a path from the folder it is started in
            path, separator, test = nodeid.partition("::")
            there = Path(os.path.relpath(self.config.rootpath / path, self.config.invocation_params.dir)).as_posix()
            arguments.append(shlex.quote(there + separator + test))
        return " ".join(arguments)
