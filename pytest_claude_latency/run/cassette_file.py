"""Shelves: where the recording of a test or of a wider-scoped fixture lies, how it is read and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import final

from pytest_claude_latency.cassettes.matching import Matcher, Rules, miss_message
from pytest_claude_latency.cassettes.recording import Recording, timestamp
from pytest_claude_latency.cassettes.redaction import keep_headers, redact
from pytest_claude_latency.measurement.sources import CassetteSource
from pytest_claude_latency.messages_api.exchange import Exchange
from pytest_claude_latency.settings import Settings


@final
@dataclass(frozen=True)
class Shelf:
    """The place of one recording."""

    path: Path
    subject: str
    """What is recorded: the node id of the test, without its sample, or a fixture's own name."""
    shown: str
    """The file as messages name it, relative to rootdir."""
    command: str
    """What a user types to record it."""
    save: Callable[[Sequence[Recording]], None]
    settings: Settings
    sample: int = 1

    @property
    def exists(self) -> bool:
        """Whether it was recorded."""
        return self.path.exists()

    def load(self) -> Recording | None:
        """The recording; None if there is none.

        Raises:
            CassetteError: it cannot be read.
        """
        return Recording.load(self.path) if self.exists else None

    def replaying(self, recording: Recording | None, rules: Rules) -> CassetteSource:
        """The source that serves `recording`, or whose every answer is that nothing was recorded."""
        matcher = Matcher(recording.exchanges if recording else (), rules)
        explain = partial(
            miss_message, matcher=matcher if recording else None, recording=self.shown, record=self.command
        )
        return CassetteSource(matcher, self.settings.redact, explain, self._overrun)

    def unused(self, source: object) -> str | None:
        """What to say of recorded exchanges that `source` served to nobody; None if there are none."""
        if not isinstance(source, CassetteSource) or not (unused := source.matcher.unused):
            return None
        return (
            f"{len(unused)} of {len(source.matcher.exchanges)} recorded exchanges were not used: {self.shown}; "
            f"record them again: {self.command}"
        )

    def keep(self, exchanges: Sequence[Exchange], begun: datetime) -> None:
        """Write what was exchanged, in place of what was recorded before; nothing if there is nothing to write.

        Raises:
            CredentialError: a body or URL looks as if it held a credential.
            CassetteWriteError: the file cannot be written; what was there is still there.
        """
        import anthropic

        recording = Recording(
            test=self.subject,
            sample=self.sample,
            recorded=timestamp(begun),
            anthropic=anthropic.__version__,
            exchanges=tuple(exchanges),
        )
        self.save([self._sealed(recording)] if exchanges else [])

    def _sealed(self, recording: Recording) -> Recording:
        """The recording without what must not reach the disk."""
        kept = tuple(self._with_kept_headers(exchange) for exchange in recording.exchanges)
        return redact(replace(recording, exchanges=kept), self.settings.redact)

    def _with_kept_headers(self, exchange: Exchange) -> Exchange:
        also = self.settings.keep_headers
        request = replace(exchange.request, headers=keep_headers(exchange.request.headers, also=also))
        response = exchange.response
        if response is not None:
            response = replace(response, headers=keep_headers(response.headers, status=response.status, also=also))
        return replace(exchange, request=request, response=response)

    def _overrun(self, exchange: Exchange) -> str:
        end = exchange.end
        stopped = f"{end.at / 1e6:.0f}ms after it was sent" if end else "when its test ended"
        return (
            f"the program waits for more of this {exchange.request.title} "
            f"than was recorded\n"
            f"  recorded  the recorded program stopped reading {stopped} (it closed the stream, or a time-out of its "
            f"own fired); what the API would have sent next is not known\n"
            f"  recording {self.shown}\n"
            f"  record    {self.command}"
        )
