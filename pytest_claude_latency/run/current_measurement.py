"""The measurement that the requests of this process belong to, and what sends them there.

Interception and the changes inside the SDK are made once, at the first measurement, and stay until the run ends.
Which measurement they serve changes with every test.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, final

from pytest_claude_latency import virtual_time
from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.guard import listening, names
from pytest_claude_latency.measurement.processes.shared_page import SharedPage, Shown, guard_when_shown, tell_of_forks
from pytest_claude_latency.settings import Pace, Settings
from pytest_claude_latency.virtual_time.clock import Clock, VirtualClock, WallClock

if TYPE_CHECKING:
    from pytest_claude_latency.http.changes.sdk import SDKPatches
    from pytest_claude_latency.http.door import Door
    from pytest_claude_latency.http.guard.connection import Connection, NewProcess
    from pytest_claude_latency.http.guard.guard import Guard
    from pytest_claude_latency.http.interception import Interception
    from pytest_claude_latency.measurement.measurement import Measurement
    from pytest_claude_latency.measurement.processes.older_children import OlderChild, OutlivingChild
    from pytest_claude_latency.messages_api.exchange import Request

_UNSEEN: Final = (
    "{name} measured no call, and this system shows no connection that code in C opens: if this test, or another one "
    "without a call, talks to a Claude API through such code, that is neither measured nor recorded, and a replay "
    "cannot hold it back"
)


def replay_clock(settings: Settings) -> Clock:
    """Return a new clock for a replay: virtual, unless the run asks for real waits."""
    return VirtualClock() if settings.pace is Pace.VIRTUAL else WallClock()


@final
class _Interceptors:
    """What brings requests of this process here: interception, the changes inside the SDK, and the guard.

    `responder` returns what answers a request of the calling thread. `note_missing_credential` is called where a client
    has no key.
    """

    def __init__(
        self,
        settings: Settings,
        warn: Callable[[str], None],
        responder: Callable[[], Any],
        note_missing_credential: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._warn = warn
        self._responder = responder
        self._note_missing_credential = note_missing_credential
        self._interception: Interception | None = None
        self._sdk: SDKPatches | None = None
        self._guard: Guard | None = None

    @property
    def has_doors(self) -> bool:
        """Whether client libraries are intercepted."""
        return self._interception is not None

    @property
    def has_guard(self) -> bool:
        """Whether connections that pass no door are met."""
        return self._guard is not None

    def prove(self) -> None:
        """Make sure that the requests of this process are met.

        Raises:
            InterceptionError: it is not live.
        """
        if self._interception is None:
            # Not at plugin load: a run without latency tests never needs the SDK and its HTTP library.
            from pytest_claude_latency.http.changes.sdk import SDKPatches
            from pytest_claude_latency.http.interception import Interception
            from pytest_claude_latency.measurement import carriers
            from pytest_claude_latency.messages_api.recognition import Recognition

            recognition = Recognition(self._settings.endpoints, self._warn)
            interception = Interception(self._responder, recognition)
            interception.start()
            # Kept only now: where something is missing, every latency test errors, and none runs half patched.
            self._interception = interception
            self._sdk = SDKPatches(self._replays, self._note_missing_credential, recognition)
            self._sdk.start()
            self.start_guard()
            carriers.install()
            # SDKs ask this in a thread before the first request of a client. Python starts a process to answer, once.
            # In a test that would be real work, and what came first would depend on the machine.
            platform.platform()
        # Proved again for every test: a fixture or plugin may have replaced the patch since the last one, and then
        # requests would leave for the network, with the key.
        self._interception.prove()
        if self._sdk is not None:
            self._sdk.prove()
        self._interception.forget()

    def warn_of_new_libraries(self, name: str) -> None:
        """Warn of libraries that the test of this name loaded, and that cannot be intercepted."""
        if self._interception is None or self._sdk is None:
            return
        self._interception.forget()
        # It was not there when the test began. What it sent in the test met only the guard.
        try:
            self._interception.require_supported()
            self._sdk.prove()
        except InterceptionError as error:
            self._warn(f"{name} loaded a library that cannot be intercepted: {error}")

    def start_guard(self) -> None:
        """Meet connections that pass no door."""
        from pytest_claude_latency.http.guard.guard import Guard

        added = [line.pattern.pattern for line in self._settings.endpoints if not line.excludes]
        guard = Guard(self._responder, added)
        guard.start()
        self._guard = guard

    def stop(self) -> None:
        """Leave HTTP and the SDK as they were."""
        if self._guard is not None:
            self._guard.stop()
            self._guard = None
        if self._interception is not None and self._sdk is not None:
            self._interception.stop()
            self._sdk.stop()
            self._interception = self._sdk = None

    def _replays(self) -> bool:
        # Asked of the responder, so that a client of a thread whose test has ended needs no key either.
        responder = self._responder()
        return responder is not None and bool(responder.replays)


@final
class CurrentMeasurement:
    """The measurement that is under way in this process, if any.

    `warn` is called with a message for each request of a thread that outlived its test, and for what `Recognition` has
    to say.
    """

    def __init__(self, settings: Settings, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._measurement: Measurement | None = None
        self._fixtures: list[Measurement] = []  # whose threads may outlive them: a server for all tests, for example
        self._credential_missing = False
        self._interceptors = _Interceptors(settings, warn, self._responder, self._note_missing_credential)
        self._is_warm = False
        self._has_told_of_unseen = False
        self._page = SharedPage()
        self._is_forked = False
        names.install()
        tell_of_forks(self)

    def prove_interception(self) -> None:
        """Make sure that the requests of this process are met.

        Raises:
            InterceptionError: it is not live.
        """
        virtual_time.require_supported()
        self._interceptors.prove()

    def warm_up_sdk(self) -> None:
        """Let the SDK import and build what it needs for an answer, before this process measures the first one."""
        if self._is_warm:
            return
        from pytest_claude_latency.http.sdk_warmup import warm_up_sdk

        self._is_warm = True
        # a fixture may be measured inside a test: neither the test's time nor its calls may show the warm-up
        outer, self._measurement = self._measurement, None
        if outer is not None:
            outer.leave()
        try:
            warm_up_sdk()
        finally:
            if outer is not None:
                self._enter(outer)

    @property
    def credential_missing(self) -> bool:
        """Whether a live client without a key wanted to call the API since the current test began."""
        return self._credential_missing

    def begin(self, measurement: Measurement) -> None:
        """Send every request to the measurement of a test that begins."""
        self._credential_missing = False
        self._enter(measurement)

    def end(self, measurement: Measurement) -> None:
        """End the measurement of a test."""
        measurement.close()
        measurement.leave()
        self._measurement = None
        self._page.clear()
        is_silent = not (measurement.log.exchanges or measurement.misses)
        if self._interceptors.has_doors and is_silent and not (self._has_told_of_unseen or listening.are_listed()):
            self._has_told_of_unseen = True
            self._warn(_UNSEEN.format(name=measurement.name))
        self._interceptors.warn_of_new_libraries(measurement.name)

    @contextmanager
    def during(self, inner: Measurement) -> Iterator[None]:
        """Measure what happens in this block as `inner`.

        The time of the block belongs to `inner`. The clock of the outer measurement stands still meanwhile.
        """
        # A test that triggers the fixture has begun already, so its own world stands outside this one.
        outer = self._measurement
        if outer is not None:
            outer.leave()
        if inner not in self._fixtures:
            self._fixtures.append(inner)
        self._enter(inner)
        try:
            yield
        finally:
            inner.leave()
            self._measurement = None
            self._page.clear()
            if outer is not None:
                self._enter(outer)

    def close(self) -> None:
        """Leave HTTP, time and the SDK as they were, also after an interrupted test."""
        if self._measurement is not None:
            self._measurement.leave()
            self._measurement = None
        self._page.clear()
        self._interceptors.stop()

    def _enter(self, measurement: Measurement) -> None:
        # Requests that other threads send while the world begins are the measurement's already.
        self._measurement = measurement
        self._page.show(measurement.unseen.children.path, replays=measurement.replays)
        measurement.enter()

    def forked(self) -> None:
        """Learn that this process is a forked child of the one that runs the tests."""
        self._is_forked = True
        if not self._interceptors.has_guard:
            guard_when_shown(self._page, self._interceptors.start_guard)

    def _responder(self) -> Measurement | OlderChild | OutlivingChild | _EndedTest | None:
        """Return what answers a request of the calling thread; `None` where it is left alone."""
        if self._is_forked:
            return _responder_of_child(self._measurement, self._page.read(), has_doors=self._interceptors.has_doors)
        world = virtual_time.current()
        # A thread stays in the world of its test when that ends. Its calls must not count for the test that runs now.
        if world is not None and world.ended:
            # The world may be that of the measurement under way, or of a fixture.
            served = () if self._measurement is None else (self._measurement, *self._fixtures)
            if not any(measurement.lives_in(world) for measurement in served):
                return _EndedTest(world, self._warn)
        return self._measurement

    def _note_missing_credential(self) -> None:
        # Between tests a client without a key is none of this plugin's business.
        self._credential_missing = self._measurement is not None


def _responder_of_child(
    own: Measurement | None, shown: Shown | None, *, has_doors: bool
) -> Measurement | OlderChild | OutlivingChild | None:
    """Return what answers a request of a forked child: its copy of the measurement, if that is still under way."""
    from pytest_claude_latency.measurement.processes.older_children import OlderChild, OutlivingChild

    if shown is None:
        return OutlivingChild() if own is not None and own.replays else None
    if own is not None and own.unseen.children.path == shown.path:
        return own
    return OlderChild(shown, has_doors=has_doors)


@final
class _EndedTest:
    """Refuses the requests of a thread whose test has ended."""

    replays: ClassVar[bool] = True  # no credential is needed to be refused, and none must be asked for

    def __init__(self, world: virtual_time.WorldState, report_stray: Callable[[str], None]) -> None:
        self._world = world
        self._report_stray = report_stray

    def answer(self, request: Request, door: Door) -> NoReturn:
        self._refuse(request.title)

    def met_outside(self, connection: Connection) -> NoReturn:
        self._refuse(f"to {connection.destination}, through {connection.library}")

    def met_process(self, process: NewProcess) -> None:
        """Learn nothing: what no test measures, no report shows."""

    def _refuse(self, request: str) -> NoReturn:
        from pytest_claude_latency.measurement.miss import Miss
        from pytest_claude_latency.run import messages

        message = messages.stray_call(threading.current_thread().name, self._world.name, request)
        # Reported too, since a thread's error reaches nobody.
        self._report_stray(message)
        raise Miss(message)

    def note_stand_in(self, request: Request) -> None:
        """Nothing was sent, and it belongs to no test."""
