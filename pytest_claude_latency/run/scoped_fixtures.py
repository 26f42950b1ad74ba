"""Wider-scoped fixtures: measured by themselves, in their own set-up and teardown.

Which test triggers such a fixture depends on order and selection, so its calls
belong to no test: they have a recording of their own beside the file that
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

from pytest_claude_latency.cassettes.matching import Rules
from pytest_claude_latency.cassettes.paths import shown
from pytest_claude_latency.cassettes.recording import Recording, fixture_id, fixture_path
from pytest_claude_latency.measurement.call_log import Phase
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.sources import LiveSource
from pytest_claude_latency.run.cassette_file import Shelf
from pytest_claude_latency.run.session import Session
from pytest_claude_latency.virtual_time.clock import WallClock

_XUNIT = {
    "_unittest_setUpClass_fixture_": ("setUpClass",),
    "_xunit_setup_module_fixture_": ("setUpModule", "setup_module"),
    "_xunit_setup_class_fixture_": ("setup_class",),
}
"""How pytest names the fixtures it makes of xunit hooks, and the hooks' own names."""


@final
class WideFixtures:
    """The fixtures of a run whose calls are measured by themselves."""

    def __init__(self, session: Session, tests: Iterable[pytest.Item]) -> None:
        self._session = session
        # By identity. Functions as they are now: async plugins put wrappers of their own in their place.
        self._requested: dict[int, tuple[Any, Callable[..., object]]] = {}
        for item in tests:
            info = getattr(item, "_fixtureinfo", None)
            for definitions in info.name2fixturedefs.values() if info else ():
                wide = [each for each in definitions if each.scope != "function"]
                self._requested.update((id(each), (each, each.func)) for each in wide)

    def watches(self, definition: Any, request: Any) -> bool:
        """Whether a latency test requests the fixture, and it is defined under rootdir."""
        if id(definition) not in self._requested:
            return False
        file = self._file_of(definition, request)
        return file.is_relative_to(self._session.config.rootpath) and "site-packages" not in file.parts

    @contextmanager
    def setting_up(self, definition: Any, request: Any) -> Iterator[None]:
        """Around the set-up of a watched fixture: measure it, and its teardown when that comes."""
        __tracebackhide__ = True
        with self._session.failing():
            life = _Life(self._session, _shelf(self._session, self._file_of(definition, request), definition, request))
        finalizers: list[Callable[[], object]] = []
        try:
            with life.measured(), _collected(definition, finalizers):
                yield
        finally:
            definition.addfinalizer(partial(life.tear_down, finalizers))

    def _file_of(self, definition: Any, request: Any) -> Path:
        """Where a fixture is defined: for an xunit hook the file of its class or module, not pytest's own."""
        if definition.argname.startswith(tuple(_XUNIT)):
            return Path(request.node.path)
        _, function = self._requested[id(definition)]
        return Path(inspect.unwrap(function).__code__.co_filename)


@contextmanager
def _collected(definition: Any, finalizers: list[Callable[[], object]]) -> Iterator[None]:
    """Take the finalizers that a fixture's set-up adds: its teardown, which is to be measured as a whole."""
    definition.addfinalizer = finalizers.append
    try:
        yield
    finally:
        del definition.addfinalizer


@final
class _Life:
    """One set-up and teardown of one fixture."""

    def __init__(self, session: Session, shelf: Shelf) -> None:
        self._session = session
        self._shelf = shelf
        self._begun = datetime.now(UTC)
        self._spoilt = False
        self._measurement = self._new_measurement()

    def _new_measurement(self) -> Measurement:
        session, name = self._session, self._shelf.subject
        library = session.current.interception().library
        if not session.settings.mode.replays(recorded=self._shelf.exists, borrowed=False):
            return Measurement(name, WallClock(), LiveSource(), library)
        source = self._shelf.replaying(self._shelf.load(), Rules())
        return Measurement(name, session.current.replay_clock(), source, library)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure what happens in this block as the fixture's."""
        __tracebackhide__ = True
        try:
            with self._session.current.during(self._measurement), self._measurement.failing_on_misses():
                yield
        except BaseException:
            self._spoilt = True
            raise

    def tear_down(self, finalizers: Sequence[Callable[[], object]]) -> None:
        """Tear the fixture down and keep what was recorded; that it could not be written is a failure."""
        __tracebackhide__ = True
        self._measurement.log.begin(Phase.TEARDOWN)
        try:
            with self.measured():
                _run(finalizers)
        finally:
            self._conclude()

    def _conclude(self) -> None:
        __tracebackhide__ = True
        measurement, settings = self._measurement, self._session.settings
        measurement.close()
        if self._spoilt:
            return
        if settings.mode.records and not measurement.replays:
            with self._session.failing():
                self._shelf.keep(measurement.log.exchanges, self._begun)
        if unused := self._shelf.unused(measurement.source):
            if settings.strict:
                pytest.fail(f"{unused} (--latency-strict)", pytrace=False)
            self._session.warn(unused)


def _run(finalizers: Sequence[Callable[[], object]]) -> None:
    """Run all of them, the last one first, as pytest does: one that fails keeps none from running."""
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


def _shelf(session: Session, file: Path, definition: Any, request: Any) -> Shelf:
    scope, name, param = definition.scope, _name_of(definition, request), _param_id(definition, request)
    path = fixture_path(file, session.settings.cassettes, scope, name, param)
    root = session.config.rootpath
    subject = f"{shown(file, root)}::{fixture_id(scope, name, param)}"
    command = session.record_command(request.node.nodeid)
    return Shelf(path, subject, shown(path, root), command, partial(_save, session, path), session.settings)


def _save(session: Session, path: Path, recordings: list[Recording]) -> None:
    """Write the fixture's recording; of several workers that set the fixture up, the first to finish wins."""
    if recordings:
        is_kept = session.began is not None and path.exists() and Recording.load(path).recorded >= session.began
        if not is_kept:
            recordings[0].save(path)
    elif not session.is_worker:
        path.unlink(missing_ok=True)


def _name_of(definition: Any, request: Any) -> str:
    """The fixture's name, with its class where it is defined in one; xunit hooks by their own names."""
    for prefix, hooks in _XUNIT.items():
        if definition.argname.startswith(prefix):
            hook = next((hook for hook in hooks if hasattr(request.module, hook)), hooks[-1])
            return hook if definition.scope == "module" else f"{definition.argname.removeprefix(prefix)}::{hook}"
    owner = (definition.baseid or "").partition("::")[2]
    return f"{owner}::{definition.argname}" if owner else str(definition.argname)


def _param_id(definition: Any, request: Any) -> str | None:
    """The id of the fixture's parameter, its own or one that a test gives it indirectly; None if it has none."""
    if not hasattr(request, "param"):
        return None
    index = request.param_index
    ids = definition.ids if definition.params is not None else None
    chosen = ids(request.param) if callable(ids) else ids[index] if ids else None
    given = definition.params[index] if definition.params is not None else None
    if chosen is None and isinstance(given, type(pytest.param())):
        chosen = given.id
    if chosen is None and isinstance(request.param, str | int | float | bool | None):
        chosen = request.param
    return f"{definition.argname}{index}" if chosen is None else str(chosen)
