"""Higher-scoped fixtures: measured by themselves, in their own set-up and teardown.

Which test triggers such a fixture depends on order and selection, so its calls
belong to no test: they have a recording of their own next to the file that
defines the fixture. Only fixtures that a selected latency test requests are
looked at, and only those defined under rootdir.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, final

import pytest

from pytest_claude_latency.cassettes.header_dates import on_the_calendar
from pytest_claude_latency.cassettes.matching import Rules
from pytest_claude_latency.cassettes.paths import fixture_id, fixture_path, shown
from pytest_claude_latency.cassettes.recording import Recording, first_line
from pytest_claude_latency.measurement import machine_stalls, unmeasured_calls
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.sources import LiveSource
from pytest_claude_latency.run import messages
from pytest_claude_latency.run.cassette_file import CassetteFile
from pytest_claude_latency.run.current_measurement import replay_clock
from pytest_claude_latency.run.item_checks import loaded_mocks
from pytest_claude_latency.run.session import Failure, Session
from pytest_claude_latency.virtual_time.clock import WallClock

_XUNIT = {
    "_unittest_setUpClass_fixture_": ("setUpClass",),
    "_xunit_setup_module_fixture_": ("setUpModule", "setup_module"),
    "_xunit_setup_class_fixture_": ("setup_class",),
}
"""How pytest names the fixtures it makes of xunit hooks, and the hooks' own names."""


@final
class ScopedFixtures:
    """The higher-scoped fixtures of a run whose calls are measured by themselves."""

    def __init__(self, session: Session, tests: Iterable[pytest.Item]) -> None:
        self._session = session
        # By identity, since pytest compares definitions by nothing else. The functions are kept as they are now: async
        # plugins put wrappers of their own in their place, whose file is the plugin's.
        self._requested: dict[int, tuple[Any, Callable[..., object]]] = {}
        for item in tests:
            info = getattr(item, "_fixtureinfo", None)
            for definitions in info.name2fixturedefs.values() if info else ():
                for definition in definitions:
                    if definition.scope != "function":
                        self._requested[id(definition)] = (definition, definition.func)

    def watches(self, definition: Any, request: Any) -> bool:
        """Return whether a latency test requests the fixture, and it is defined under rootdir."""
        if id(definition) not in self._requested:
            return False
        file = self._file_of(definition, request)
        return file.is_relative_to(self._session.config.rootpath) and "site-packages" not in file.parts

    @contextmanager
    def setting_up(self, definition: Any, request: Any) -> Iterator[None]:
        """Surround the set-up of a watched fixture: measure it, and its teardown when that comes."""
        __tracebackhide__ = True
        with self._session.failing():
            file = _cassette_file(self._session, self._file_of(definition, request), definition, request)
            fixture = _MeasuredFixture(self._session, file)
        # What the set-up adds as finalizers is the fixture's teardown. They are taken out of pytest's hands, so that
        # one finalizer can run and measure them all.
        finalizers: list[Callable[[], object]] = []
        definition.addfinalizer = finalizers.append
        try:
            with fixture.measured():
                yield
        finally:
            del definition.addfinalizer
            definition.addfinalizer(partial(fixture.tear_down, finalizers))

    def _file_of(self, definition: Any, request: Any) -> Path:
        """Return where a fixture is defined: for an xunit hook the file of its class or module, not pytest's own."""
        # pytest makes the fixtures of xunit hooks in files of its own.
        if definition.argname.startswith(tuple(_XUNIT)):
            return Path(request.node.path)
        _, function = self._requested[id(definition)]
        return Path(inspect.unwrap(function).__code__.co_filename)


@final
class _MeasuredFixture:
    """One set-up and teardown of one fixture."""

    def __init__(self, session: Session, file: CassetteFile) -> None:
        self._session = session
        self._file = file
        self._began = datetime.now(UTC)
        self._is_incomplete = False
        session.current.prove_interception()
        root = session.config.rootpath
        if session.settings.mode.replays(recorded=file.exists, borrowed=False):
            recording, date = file.load(), None
            if recording is not None:
                recording, date = on_the_calendar(recording, date)
            source = file.source(recording, Rules())
            self._measurement = Measurement(file.subject, replay_clock(session.settings), source, date, root=root)
        else:
            session.current.warm_up_sdk()
            self._measurement = Measurement(file.subject, WallClock(), LiveSource(), root=root)
        self._measurement.prices = session.settings.prices or self._measurement.prices

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure what happens in this block as the fixture's."""
        __tracebackhide__ = True
        try:
            # The test that triggers the fixture must not pay for it: neither in time nor in calls.
            with self._session.current.during(self._measurement), self._measurement.misses.failing():
                yield
        except BaseException:
            self._is_incomplete = True
            raise

    def tear_down(self, finalizers: Sequence[Callable[[], object]]) -> None:
        """Tear the fixture down and keep what was recorded. A recording that could not be written is a failure."""
        __tracebackhide__ = True
        measurement, settings = self._measurement, self._session.settings
        # In the same measurement as the set-up: a fixture has one recording.
        measurement.log.begin(Phase.TEARDOWN)
        try:
            with self.measured():
                _run(finalizers)
        finally:
            measurement.close()
        if self._is_incomplete or measurement.unseen.children.is_child:  # its set-up failed, or files are the parent's
            return
        stalled = machine_stalls.warning_of(measurement, is_recorded=settings.mode.records)
        for warning in [*unmeasured_calls.warnings_of(measurement), *([stalled] if stalled else [])]:
            self._session.warn(f"{self._file.subject}: {warning}")
        if measurement.answered_elsewhere:
            self._session.warn(f"{self._file.subject}: {messages.answered_elsewhere(measurement.answered_elsewhere)}")
        if settings.mode.records and not measurement.replays and measurement.asked_the_api:
            self._keep_recording()
        if unused := self._file.unused(measurement.source):
            if settings.strict:
                raise Failure(messages.failing_strictly(unused))
            self._session.warn(unused)

    def _keep_recording(self) -> None:
        """Write what was recorded, and say where that is less than was recorded before."""
        __tracebackhide__ = True
        log, file, mocks = self._measurement.log, self._file, loaded_mocks()
        if mocks and not log.exchanges and file.exists:
            self._session.warn(f"{file.subject}: not written: {messages.kept_unseen(mocks)}")
            return
        # A worker that recorded nothing removes nothing: another one may just have recorded the fixture in full.
        if (log.exchanges or not self._session.is_worker) and (lost := file.lost_by(log.exchanges, mocks)):
            self._session.warn(f"{file.subject}: {lost}")
        with self._session.failing():
            size = file.keep(log.exchanges, self._began, log.clients, self._measurement.holds())
        if size:
            sent = log.of(*Phase)
            self._session.recorded_fixtures[file.subject] = (len(sent.calls), sent.elapsed or 0.0, size)


def _run(finalizers: Sequence[Callable[[], object]]) -> None:
    """Run the finalizers as pytest does: the last one first, and all of them, also where one fails."""
    __tracebackhide__ = True
    failures: list[BaseException] = []
    for finalizer in reversed(finalizers):
        try:
            finalizer()
        except BaseException as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise BaseExceptionGroup("several finalizers failed", failures)


def _cassette_file(session: Session, file: Path, definition: Any, request: Any) -> CassetteFile:
    """Return where the recording of a fixture lies: next to the file that defines it."""
    scope, name, param = definition.scope, _name_of(definition, request), _param_id(definition, request)
    path, root = fixture_path(file, session.settings.cassettes, scope, name, param), session.config.rootpath

    def save(recordings: Sequence[Recording]) -> None:
        if recordings:
            # Of several workers that set the fixture up, the first that finishes wins; a damaged file is replaced.
            header = first_line(path)
            if session.began is None or header is None or header.recorded < session.began:
                recordings[0].save(path)
        elif not session.is_worker:  # another worker may just have recorded the fixture in full
            path.unlink(missing_ok=True)

    subject = f"{shown(file, root)}::{fixture_id(scope, name, param)}"
    command = partial(session.record_command, request.node.nodeid)
    return CassetteFile(path, subject, shown(path, root), command, save, session.settings)


def _name_of(definition: Any, request: Any) -> str:
    """Return the fixture's name, with its class where it is defined in one; xunit hooks have their own names."""
    for prefix, hooks in _XUNIT.items():
        if definition.argname.startswith(prefix):
            hook = next((hook for hook in hooks if hasattr(request.module, hook)), hooks[-1])
            return hook if definition.scope == "module" else f"{definition.argname.removeprefix(prefix)}::{hook}"
    owner = (definition.baseid or "").partition("::")[2]
    return f"{owner}::{definition.argname}" if owner else str(definition.argname)


def _param_id(definition: Any, request: Any) -> str | None:
    """Return the id of the fixture's parameter, its own or one that a test gives it indirectly; `None` without one."""
    if not hasattr(request, "param"):
        return None
    index, params = request.param_index, definition.params
    param_id = None
    if params is not None:
        ids = definition.ids
        param_id = ids(request.param) if callable(ids) else ids[index] if ids else None
        if param_id is None and isinstance(params[index], type(pytest.param())):
            param_id = params[index].id
    if param_id is None and isinstance(request.param, str | int | float | bool | None):
        param_id = request.param
    # A value that is no text or number has no name of its own: its place in the list stands for it.
    return f"{definition.argname}{index}" if param_id is None else str(param_id)
