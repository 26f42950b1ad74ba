"""Polling: requests that ask again and again whether something is done, for example a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias
from urllib.parse import urlsplit

from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.messages_api.forms import form_of

Poll: TypeAlias = str
"""What is asked about: a host and a path."""


def poll_of(request: Request) -> Poll | None:
    """Return what a request would poll if it were sent again; None for one that changes something, or streams.

    The query does not count: a list that is polled is often asked for what came after the last item.
    """
    if request.method.upper() != "GET" or form_of(request) == "session":
        return None
    url = urlsplit(request.url)
    return f"{url.netloc}{url.path}"


def may_begin(request: Request, poll: Poll) -> bool:
    """Return whether a request may have begun what is asked about: a batch is made at the path under which it is."""
    url = urlsplit(request.url)
    return request.method.upper() == "POST" and f"{poll}/".startswith(f"{url.netloc}{url.path}/")


def polled(requests: Iterable[Request]) -> frozenset[Poll]:
    """Return what these requests poll: what more than one of them asks about."""
    # once is no polling: a program that asks a single time waits for that answer as for any other
    counts = Counter(map(poll_of, requests))
    return frozenset(poll for poll, count in counts.items() if poll is not None and count > 1)
