"""The file that the recording of a test or of a scoped fixture lies in: how it is found, replayed and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from threading import get_ident
from typing import Final, final

import pytest

from pytest_claude_latency import duration, litter
from pytest_claude_latency.cassettes.matching import Matcher, Rules
from pytest_claude_latency.cassettes.mismatch import Explanation, Origin, explanation
from pytest_claude_latency.cassettes.paths import path_of, samples, shown
from pytest_claude_latency.cassettes.recording import Recording, dumps, save_set, timestamp
from pytest_claude_latency.cassettes.redaction import keep_headers, redact
from pytest_claude_latency.cassettes.staging import Place
from pytest_claude_latency.collection.identity import identity_of
from pytest_claude_latency.collection.markers import OWNERS, CassetteMarker, place_of
from pytest_claude_latency.duration import MILLISECOND, Nanoseconds
from pytest_claude_latency.errors import CassetteError, LatencyError
from pytest_claude_latency.measurement import call_location
from pytest_claude_latency.measurement.measurement import Measurement
from pytest_claude_latency.measurement.miss import MissText
from pytest_claude_latency.measurement.sources import CassetteSource
from pytest_claude_latency.messages_api.exchange import Exchange, Request
from pytest_claude_latency.messages_api.retries import calls_of, failure
from pytest_claude_latency.run import messages
from pytest_claude_latency.run.session import Session
from pytest_claude_latency.settings import Mode, Settings
from pytest_claude_latency.virtual_time import Hold
from pytest_claude_latency.virtual_time.watch import source_location

_SILENCE: Final[Nanoseconds] = 100 * MILLISECOND
"""A program that stops so long after the last thing that came was stopped by a timer."""
_JUST_NOW: Final[Nanoseconds] = 10 * MILLISECOND


@final
@dataclass(frozen=True)
class CassetteFile:
    """Where one recording lies."""

    path: Path
    subject: str
    """What is recorded: the node id of the test, without its sample, or a fixture's own name."""
    shown: str
    """The file as messages name it, relative to rootdir."""
    tell_command: Callable[[], str]
    """Returns `command`: only messages need it."""
    save: Callable[[Sequence[Recording]], None]
    """Writes the recording. An empty sequence says that the test sent nothing: no recording is to stay."""
    settings: Settings
    sample: int = 1
    recorded_by: str = ""
    """The test that writes it; empty for a fixture, which each test that uses it records."""

    @cached_property
    def command(self) -> str:
        """What a user types to record it."""
        return self.tell_command()

    @property
    def exists(self) -> bool:
        """Whether there is a recording."""
        return self.path.exists()

    def load(self) -> Recording | None:
        """Return the recording; `None` if there is none.

        Raises:
            CassetteError: it cannot be read.
        """
        litter.sweep(self.path.parent)
        return Recording.load(self.path) if self.exists else None

    def source(self, recording: Recording | None, rules: Rules, *, sends: bool = False) -> CassetteSource:
        """Return the source that serves a recording, or that misses every request where there is none.

        With `sends` it lets what the recording does not fit go to the API.
        """
        # without a recording every request is a miss, and its message says how to record
        matcher = Matcher(recording.exchanges if recording else (), rules)
        known = matcher if recording else None

        def explain(request: Request, line: str | None, measurement: Measurement) -> MissText:
            caller = call_location.caller_of_this_call(measurement.root)
            origin = _let_by(measurement, request, Origin(line or "", caller))
            return self._miss_text(explanation(request, known, recording=self.shown, origin=origin))

        return CassetteSource(matcher, self.settings.redact, explain, partial(self._overrun, matcher), sends)

    def _miss_text(self, found: Explanation) -> MissText:
        return MissText(found.text(self.command), found, self.recorded_by)

    def unused(self, source: object) -> str | None:
        """Return what to say of recorded exchanges that no request asked for; `None` if there are none."""
        if not isinstance(source, CassetteSource) or not (unused := source.matcher.unused):
            return None
        return messages.unused_exchanges(len(unused), len(source.matcher.exchanges), self.shown, self.command)

    def keep(self, exchanges: Sequence[Exchange], began: datetime, client: str, holds: Sequence[Hold] = ()) -> int:
        """Write what was exchanged, without what must not reach the disk, in place of the old recording.

        `client` names the libraries that sent the requests, `holds` are when the program kept itself from reading.
        Return how many bytes the recording has; 0 where nothing was exchanged, and none is to stay.

        Raises:
            CredentialError: a body or URL looks as if it held a credential.
            CassetteWriteError: the file cannot be written. The old recording is still there.
        """
        if not exchanges:
            self.save([])
            return 0
        # Only what records needs it.
        from pytest_claude_latency.diagnosis.lateness import with_lateness

        also, kept = self.settings.keep_headers, []
        for exchange in exchanges:
            request, response = exchange.request, exchange.response
            request = replace(request, headers=keep_headers(request.headers, also=also))
            if response is not None:
                headers = keep_headers(response.headers, status=response.status, also=also)
                response = replace(response, headers=headers)
            kept.append(with_lateness(replace(exchange, request=request, response=response), holds))
        recording = Recording(
            test=self.subject,
            sample=self.sample,
            recorded=timestamp(began),
            client=client,
            exchanges=tuple(kept),
        )
        recording = redact(recording, self.settings.redact)
        self.save([recording])
        return len(dumps(recording).encode(errors="surrogatepass"))

    def lost_by(self, exchanges: Sequence[Exchange], mocks: Sequence[str]) -> str | None:
        """Return what to say where these exchanges replace a recording of more calls; `None` where they do not.

        `mocks` may have answered what is missing.
        """
        try:
            recording = self.load()
        except CassetteError:  # nobody can say what a damaged one held
            return None
        before, now = len(calls_of(recording.exchanges if recording else ())), len(calls_of(exchanges))
        if now >= before:
            return None
        return messages.fewer_calls(now, before, mocks) if now else messages.recording_removed(self.shown)

    def _overrun(
        self, matcher: Matcher, exchange: Exchange, line: str | None, waited: Nanoseconds, patience: Nanoseconds | None
    ) -> MissText:
        # Nobody knows what came after the point where the recorded program stopped reading, so nothing is made up.
        request, end = exchange.request.title, exchange.end
        arrivals = [chunk.at for chunk in exchange.chunks[-1:]] or (
            [exchange.response.at] if exchange.response else [0]
        )
        if end is None or end.at - arrivals[-1] < _SILENCE:
            stopped = f"{duration.show(end.at)} after it was sent" if end else "when its test ended"
            found = messages.end_of_recording(request, stopped, self.shown, line)
        elif (winner := _winner(matcher, exchange)) is not None:
            number, after = matcher.place_of(winner) + 1, winner.sent - exchange.sent
            found = messages.hedge_gone(request, self.shown, line, number=number, after=after, waited=waited)
        else:
            # It did not stop because of what it read: nothing had come for a while.
            gave_up = end.at, end.at - arrivals[-1]
            # the client's own limit was not what stopped a program that closed the request itself
            now = waited, None if end.error is None else patience
            found = messages.time_out_gone(request, self.shown, line, gave_up=gave_up, now=now)
        return self._miss_text(found)


def _winner(matcher: Matcher, closed: Exchange) -> Exchange | None:
    """Return the recorded exchange that asked the same later and was answered when `closed` was: it won a hedge."""
    over = closed.sent + (closed.end.at if closed.end else 0)
    for number in matcher.fitting(closed.request):
        other = matcher.exchanges[number - 1]
        is_answered = other.end is not None and (other.end.error, other.end.closed) == (None, None)
        if other.end is None or not is_answered or not closed.sent < other.sent < over:
            continue
        if abs(other.sent + other.end.at - over) < _SILENCE:
            return other
    return None


def cassette_file_of(item: pytest.Item, marker: CassetteMarker, session: Session) -> CassetteFile:
    """Return where the item's recording lies: its own, or the one it shares.

    Raises:
        LatencyError: no selected test, or more than one, owns the shared recording.
    """
    identity, settings = identity_of(item), session.settings
    nodeid = identity.nodeid if identity.fault is None else identity.original_nodeid
    file, test_id = place_of(item, nodeid, marker)
    path = path_of(file, settings.cassettes, test_id, identity.sample)
    if identity.fault is not None:
        # one sample is enough: a fault is met in the first one that there is
        path = next(iter(samples(file, settings.cassettes, test_id)), path)
    save: Callable[[Sequence[Recording]], None]
    if identity.sample_count == 1 and settings.mode is Mode.RECORD:
        save = partial(save_set, test_file=file, folder=settings.cassettes, test_id=test_id)
    else:
        # Samples replace the old ones as one set, so each waits for the others. The folder in which they wait is made
        # only when the first of them arrives.
        is_addition = settings.mode is Mode.RECORD_MISSING
        place = Place(nodeid, file, settings.cassettes, test_id, identity.sample_count, add=is_addition)

        def save(recordings: Sequence[Recording]) -> None:
            session.staging.take(recordings, place, identity.sample)

    if marker.name is not None:
        owners = item.config.stash.get(OWNERS, {}).get((file, marker.name), [])
        if len(owners) == 1:
            nodeid = owners[0]
        elif not owners and path.exists():  # its owner is not among the tests that run: the file tells who it is
            nodeid = Recording.load(path).test
        else:
            raise LatencyError(messages.not_one_owner(marker.name, owners))
    if identity.fault is not None and path.exists():
        nodeid = identity.nodeid  # what is asked for and not recorded is what only the fault makes the program ask
    command = partial(session.record_command, nodeid, variants=identity.variant is not None)
    return CassetteFile(
        path, nodeid, shown(path, session.config.rootpath), command, save, settings, identity.sample, recorded_by=nodeid
    )


def own_file_of(item: pytest.Item, session: Session) -> CassetteFile:
    """Return where the recording lies of what a test asks only with the fault of this item.

    It lies beside the test's own, whoever writes that.
    """
    identity, folder = identity_of(item), session.settings.cassettes
    assert identity.fault is not None
    test_id = f"{identity.test_id}~{identity.fault.id}"
    path = path_of(item.path, folder, test_id, sample=1)
    return CassetteFile(
        path,
        f"{identity.original_nodeid}~{identity.fault.id}",
        shown(path, session.config.rootpath),
        partial(session.record_command, identity.nodeid),
        partial(save_set, test_file=item.path, folder=folder, test_id=test_id),
        session.settings,
    )


def _let_by(measurement: Measurement, request: Request, origin: Origin) -> Origin:
    """Add what let the program send a request once more: a failure, or a timer that fired too early.

    A timer fires before an answer is read if something held the event loop until just now.
    """
    now, holds = measurement.now(), [hold for hold in measurement.holds() if hold.thread == get_ident()]
    held = [hold for hold in holds if hold.in_loop and not hold.is_loop]
    if held and held[-1].length >= _SILENCE and now - held[-1].end <= _JUST_NOW:
        what, where = source_location.place_of_hold(held[-1])
        let_by = (
            f"{what} at {where} held the event loop for {duration.show(held[-1].length)}; {_timer_of(holds, held[-1])} "
            "was due meanwhile and fired before the program read what had come"
        )
        return replace(origin, let_by=let_by, remedy=f"mend what holds the event loop at {where}")
    alike = [exchange for exchange in measurement.log.exchanges if exchange.request.content == request.content]
    # after a time-out the program may also ask for something else
    last = next(reversed(alike or measurement.log.exchanges), None)
    return origin if last is None else _asked_again(last, now, origin, is_same=bool(alike))


def _asked_again(last: Exchange, now: Nanoseconds, origin: Origin, *, is_same: bool) -> Origin:
    """Add what became of the request before, which asked the same or not, where that let the program ask again."""
    reason, ended, recorded, sent_ago = failure(last), last.end, last.recorded, now - last.sent
    if recorded is not None and (recorded.is_injected or failure(recorded) is not None):
        recorded = None  # it brought no answer while recording either
    came = None if recorded is None else recorded.response if last.response is None else recorded.end
    which = "the same request" if is_same else "the request before"
    if ended is None:
        if not is_same or came is None or sent_ago < _SILENCE:  # calls that are made together wait for none
            return origin
        let_by = f"{which}, sent {duration.show(sent_ago)} ago, is not answered yet; the program asks beside it"
        return replace(origin, let_by=let_by)
    ends = "" if last.response is None else "ended "
    before = f", before the recorded answer {ends}({duration.show(came.at)})" if came is not None else ""
    if recorded is not None and reason is not None and "Timeout" in reason:
        let_by = f"a time-out that fired {duration.show(ended.at)} after the request was sent{before}"
        return replace(origin, let_by=f"{let_by}; the program asks again", remedy="give the call its time-out again")
    was_read = recorded is not None and recorded.end is not None and recorded.end.closed is None
    if reason is None and ended.closed is not None and came is not None and was_read and (is_same or not ends):
        let_by = f"the program gave {which} up {duration.show(ended.at)} after it was sent{before}, and asks again"
        return replace(origin, let_by=let_by, remedy="wait for the answer as long as before")
    if reason is None or not is_same:
        return origin
    let_by = (
        f"a failure: {which} ended with {reason} {duration.show(sent_ago - ended.at)} ago, and the program asks again"
    )
    return replace(origin, let_by=let_by, remedy="limit how often the program asks again after a failure")


def _timer_of(holds: Sequence[Hold], held: Hold) -> str:
    """Return which timers were due while the loop was held; "a timer" where that is not known."""
    around = [hold for hold in holds if hold.is_loop and hold.start <= held.start and held.end <= hold.end]
    names = [due.name for hold in around for due in hold.due if due.instant < held.end]
    timers = [name if name.startswith("the timer of ") else f"the timer of {name}" for name in dict.fromkeys(names)]
    return " or ".join(timers[:2]) or "a timer"
