"""Wider-scoped fixtures: measured by themselves, in their own set-up and teardown.

Which test triggers such a fixture depends on order and selection, so its calls
belong to no test: they have a recording of their own beside the file that
defines the fixture. Only fixtures that a selected latency test requests are
looked at, and only those defined under rootdir.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, final

import pytest

from pytest_claude_latency.cassette import Recording, fixture_id, fixture_path
from pytest_claude_latency.clock import WallClock
from pytest_claude_latency.matching import Rules
from pytest_claude_latency.measurement import Measurement, Phase
from pytest_claude_latency.session import Session, replays
from pytest_claude_latency.shelf import Shelf, shown
from pytest_claude_latency.sources import Network

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
        self._requested: dict[int, Any] = {}  # by identity; the values keep the definitions alive
        for item in tests:
            info = getattr(item, "_fixtureinfo", None)
            for definitions in info.name2fixturedefs.values() if info else ():
                self._requested.update((id(each), each) for each in definitions if each.scope != "function")

    def watches(self, definition: Any, request: Any) -> bool:
        """Whether a latency test requests the fixture, and it is defined under rootdir."""
        if id(definition) not in self._requested:
            return False
        file = _file_of(definition, request)
        return file.is_relative_to(self._session.config.rootpath) and "site-packages" not in file.parts

    @contextmanager
    def setting_up(self, definition: Any, request: Any) -> Iterator[None]:
        """Around the set-up of a watched fixture: measure it, and its teardown when that comes."""
        __tracebackhide__ = True
        with self._session.failing():
            life = _Life(self._session, definition, request)
        definition.addfinalizer(life.conclude)  # finalizers run in reverse: this one after the fixture's own
        with life.measured():
            yield
        definition.addfinalizer(life.tear_down)


@final
class _Life:
    """One set-up and teardown of one fixture."""

    def __init__(self, session: Session, definition: Any, request: Any) -> None:
        self._session = session
        self._shelf = _shelf(session, definition, request)
        self._begun = datetime.now(UTC)
        self._spoilt = False
        self._teardown = ExitStack()
        self._measurement = self._new_measurement()

    def _new_measurement(self) -> Measurement:
        session, name = self._session, self._shelf.subject
        stack = session.interception().stack
        if not replays(session.settings.mode, self._shelf.exists, borrowed=False):
            return Measurement(name, WallClock(), Network(), stack)
        return Measurement(name, session.clock(), self._shelf.replaying(self._shelf.load(), Rules()), stack)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure what happens in this block as the fixture's."""
        try:
            with self._session.during(self._measurement):
                yield
            self._measurement.fail_if_missed()
        except BaseException:
            self._spoilt = True
            raise

    def tear_down(self) -> None:
        """The fixture's teardown begins."""
        self._measurement.phase = Phase.TEARDOWN
        self._teardown.enter_context(self.measured())

    def conclude(self) -> None:
        """The fixture is torn down: keep what was recorded. A recording that could not be written is a failure."""
        __tracebackhide__ = True
        self._teardown.close()
        self._measurement.close()
        if self._session.settings.mode.records and not self._measurement.replays and not self._spoilt:
            with self._session.failing():
                self._shelf.keep(self._measurement.exchanges(), self._begun)


def _shelf(session: Session, definition: Any, request: Any) -> Shelf:
    file = _file_of(definition, request)
    scope, name, param = definition.scope, _name_of(definition, request), _param_id(definition, request)
    path = fixture_path(file, session.settings.cassettes, scope, name, param)
    root = session.config.rootpath
    subject = f"{shown(file, root)}::{fixture_id(scope, name, param)}"
    command = session.record_command(request.node.nodeid)
    return Shelf(path, subject, shown(path, root), command, partial(_save, session, path), session.settings)


def _save(session: Session, path: Path, recordings: list[Recording]) -> None:
    """Write the fixture's recording; of several workers that set the fixture up, the first to finish wins."""
    for recording in recordings:
        if not (session.worker and session.wrote_already(path)):
            recording.save(path)
    if not recordings and not session.worker:
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
    if definition.params is None:
        return None
    index = request.param_index
    ids = definition.ids
    chosen = ids(request.param) if callable(ids) else ids[index] if ids else None
    if chosen is None and isinstance(request.param, str | int | float | bool | None):
        chosen = request.param
    return f"{definition.argname}{index}" if chosen is None else str(chosen)


def _file_of(definition: Any, request: Any) -> Path:
    """Where a fixture is defined: for an xunit hook the file of its class or module, not pytest's own."""
    if definition.argname.startswith(tuple(_XUNIT)):
        return Path(request.node.path)
    return Path(inspect.unwrap(definition.func).__code__.co_filename)
