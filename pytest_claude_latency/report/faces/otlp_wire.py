"""The wire of OTLP's exporters: where they sent, and why it was not taken.

The exporters tell failures by logging only, and repeat what cannot be connected for ten seconds. So their sessions of
`requests` send through an adapter that notes the reason, and lets each endpoint refuse a connection once.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final
from urllib.parse import urlsplit

from pytest_claude_latency.printable import printable

_URL = re.compile(r"\S*//\S*")


@final
class Wire:
    """An adapter for sessions of `requests`, which notes what became of the last request."""

    def __init__(self) -> None:
        self.place = ""
        """Where the last request went, without what may be secret in its URL."""
        self.problem = ""
        """Why it was not taken; empty if it was."""
        self._refused: dict[str, str] = {}
        self._adapter: Any = None

    def session(self) -> Any:
        """Return a session for an exporter; `None` where a variable names a provider of sessions."""
        import requests
        from requests.adapters import HTTPAdapter

        self.place, self.problem = "", ""
        if any(name.endswith("CREDENTIAL_PROVIDER") for name in os.environ):
            return None
        self._adapter = HTTPAdapter()
        session: Any = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, self)
        return session

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request, as an adapter does."""
        url = urlsplit(request.url)
        host = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
        # where nothing answers, the path does not matter
        self.place = printable(host)
        if host in self._refused:
            self.problem = self._refused[host]
            raise RuntimeError(self.problem)
        try:
            answer = self._adapter.send(request, **options)
        except Exception as error:
            self.problem = self._refused[host] = printable(_reason(error))
            raise RuntimeError(self.problem) from error  # no error of a connection: exporters repeat those
        self.place = printable(host + url.path)
        self.problem = "" if answer.ok else printable(f"{answer.status_code} {answer.reason}")
        return answer

    def close(self) -> None:
        """Close the connections."""
        if self._adapter is not None:
            self._adapter.close()


@contextmanager
def silenced() -> Iterator[list[str]]:
    """Keep what OpenTelemetry logs from the terminal, and yield a list that gets it."""
    reasons: list[str] = []
    handler = _Noting(reasons)
    logger = logging.getLogger("opentelemetry")
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield reasons
    finally:
        logger.propagate = before
        logger.removeHandler(handler)


@final
class _Noting(logging.Handler):
    """Notes errors, and passes nothing on."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._reasons = reasons

    def emit(self, record: logging.LogRecord) -> None:
        """Note what a record says."""
        self._reasons.append(without_urls(record.getMessage()))


def without_urls(text: str) -> str:
    """Return a library's words for a failure, printable: what they quote of an endpoint may hold a login or a key."""
    return printable(_URL.sub("the endpoint", text))


def _reason(error: BaseException) -> str:
    """Return why there is no answer, in the system's words where it has some: those of the libraries are long."""
    found: BaseException | None = error
    seen: list[BaseException] = []
    while found is not None and found not in seen:
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        if isinstance(found, TimeoutError) or "Timeout" in type(found).__name__:
            return "no answer in time"
        seen.append(found)
        found = next((cause for cause in (found.__cause__, found.__context__) if cause is not None), None)
    return type(error).__name__
