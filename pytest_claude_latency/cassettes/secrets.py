"""Credentials: what must not be written, and where in a recording it stands.

A recording is committed to a repository, so one that seems to hold a key is not written. A
finding says where it is and of what kind, never what it is. `credential_forms.py` has the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

from pytest_claude_latency.cassettes.credential_forms import FORMS, PARAMETER, PLACEHOLDER, SECRET_NAME
from pytest_claude_latency.cassettes.redaction import Recorded
from pytest_claude_latency.cassettes.spellings import spellings
from pytest_claude_latency.errors import CredentialError
from pytest_claude_latency.messages_api.body_text import body_texts
from pytest_claude_latency.messages_api.exchange import Headers


@dataclass(frozen=True)
class Finding:
    """Something that looks like a credential: where it stands, and of which kind it is."""

    where: str
    kind: str
    pattern: str = field(default="", compare=False)
    """What `latency_redact` would find it by; empty where redaction does not reach it."""

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}"


def find_credentials(recording: Recorded) -> list[Finding]:
    """Return everything in a recording that looks like a credential, in its order. Empty if it may be written."""
    findings: list[Finding] = []
    for number, exchange in enumerate(recording.exchanges, 1):
        place, request = f"exchange {number}", exchange.request
        url = urlsplit(request.url)
        in_url = ["a user name or password"] if url.username or url.password else []
        in_url += [
            f"the parameter {key}" for key, value in parse_qsl(url.query) if value and SECRET_NAME.fullmatch(key)
        ]
        findings += [Finding(f"{place}, request URL", kind) for kind in in_url]
        findings += _found(f"{place}, request URL", request.url)
        findings += _in_headers(f"{place}, request header", request.headers)
        findings += _in_body(f"{place}, request body", " at ", request.content)
        if exchange.response is not None:
            findings += _in_headers(f"{place}, response header", exchange.response.headers)
        findings += _in_body(f"{place}, answer", ", ", b"".join(chunk.data for chunk in exchange.chunks))
        message = exchange.end and exchange.end.message
        findings += _found(f"{place}, error message", message or "", redactable=True)
    return list(dict.fromkeys(findings))


def refuse_credentials(recording: Recorded, name: str) -> None:
    """Refuse a recording that looks as if it held a credential. `name` is what the message calls it.

    Raises:
        CredentialError: it does; the message says where.
    """
    if findings := find_credentials(recording):
        lines = [f"the recording of {name} was not written: something in it looks like a credential"]
        lines += [f"  {'where' if finding is findings[0] else '':<9} {finding}" for finding in findings]
        lines += ["  instead   keep it out of what is sent, or let the ini key latency_redact replace it"]
        if patterns := dict.fromkeys(finding.pattern for finding in findings if finding.pattern):
            lines += [f"{'':<12}latency_redact =", *(f"{'':<16}{pattern}" for pattern in patterns)]
        raise CredentialError("\n".join(lines))


def conceal(text: str) -> str:
    """Return the text without what looks like a credential, for messages."""
    # a pattern may be slow on long texts, and most texts hold no hint
    lowered = text.lower()
    for form in FORMS:
        if any(hint in lowered for hint in form.hints):
            text = form.pattern.sub("[credential]", text)
    return PARAMETER.sub(r"\1[credential]", text)


@lru_cache(maxsize=256)  # for each call of each test, and a program has few URLs
def conceal_url(url: str) -> str:
    """Return the URL without user name, password and whatever else looks like a credential, for messages."""
    parts = urlsplit(url)
    return conceal(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())


def _found(place: str, text: str, *, redactable: bool = False) -> Iterator[Finding]:
    """Yield what a text holds, in whatever spelling; `redactable` says that `latency_redact` reaches the text."""
    for spelling in dict.fromkeys(spellings(text)):
        lowered = spelling.lower()
        for form in FORMS:
            if not any(hint in lowered for hint in form.hints):
                continue
            if any(PLACEHOLDER.search(match[0]) is None for match in form.pattern.finditer(spelling)):
                yield Finding(place, form.kind, form.pattern.pattern if redactable and spelling == text else "")


def _in_headers(place: str, headers: Headers) -> Iterator[Finding]:
    # a header is told apart by its name, which is a part of how some credentials are written
    return (found for name, value in headers for found in _found(f"{place} {name}", value))


def _in_body(place: str, joint: str, body: bytes) -> Iterator[Finding]:
    """Yield the findings in a body; `joint` separates the body from the place in it."""
    kinds_found: set[str] = set()
    for body_text in body_texts(body):
        texts = [body_text.text]
        if body_text.holds_json:  # an escape may stand inside a key, as in "sk-\u0061nt-…"
            texts += [part.text for part in body_text.parts()]
        where = f"{place}{joint}{body_text.where}" if body_text.where else place
        for found in (found for text in texts for found in _found(where, text, redactable=True)):
            kinds_found.add(found.kind)
            yield found
    # What no text of the body holds: keys, comments of a stream, the API's own words.
    for found in _found(place, body.decode(errors="replace")):
        if found.kind not in kinds_found:
            yield found
