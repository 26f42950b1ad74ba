"""Credentials: what must not be written, and where in a recording it stands.

A recording is committed to a repository, so one that seems to hold a key is not written. A
finding says where it is and of what kind, never what it is. The table below knows credentials by the form that
their issuers gave them, not by how random a text looks: images, signatures and ids look random too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from pytest_claude_latency.cassettes.redaction import Recorded
from pytest_claude_latency.errors import CredentialError
from pytest_claude_latency.messages_api.body_text import body_texts
from pytest_claude_latency.messages_api.exchange import Headers


@dataclass(frozen=True)
class Finding:
    """Something that looks like a credential: where it stands, and of which kind it is."""

    where: str
    kind: str

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}"


class _Form(NamedTuple):
    """How a kind of credential is written. Only a text that holds a `hint` is searched for the `pattern`."""

    kind: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


def _form(kind: str, hints: Iterable[str], pattern: str) -> _Form:
    return _Form(kind, tuple(hints), re.compile(pattern))


_SECRET_NAMES = (
    r"(?:api[_-]?key|apikey|key|access[_-]?token|auth[_-]?token|id[_-]?token|refresh[_-]?token|token"
    r"|secret|client[_-]?secret|password|passwd|sig|signature|x-(?:amz|goog)-(?:signature|security-token|credential))"
)
_SECRET_NAME = re.compile(_SECRET_NAMES, re.IGNORECASE)
_PARAMETER = re.compile(rf"""(?i)((?:\A|[?&]){_SECRET_NAMES}=)[^&\s#"'<>]+""")
_ALONE = r"(?<![A-Za-z0-9])"  # not inside a longer word: "task-ant-…" is not a key

_FORMS = (
    # Console and OAuth keys are sk-ant-<kind><version>-<secret>.
    _form("an Anthropic key", ["sk-ant-"], _ALONE + r"sk-ant-[A-Za-z0-9_-]{8,}"),
    # Newer keys name their kind; older ones are alphanumeric and hold a digit, as no word does.
    _form("an OpenAI key", ["sk-proj-", "sk-svcacct-", "sk-admin-"], _ALONE + r"sk-[a-z]+-[A-Za-z0-9_-]{20,}"),
    _form("an OpenAI key", ["sk-"], _ALONE + r"sk-(?=[A-Za-z]{0,99}\d)[A-Za-z0-9]{32,}"),
    # Key ids are four letters that say of what, then sixteen of base 32.
    _form("an AWS access key id", ["AKIA", "ASIA"], r"(?<![A-Za-z0-9+/])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9+/=])"),
    # The secret has no form of its own; the names that AWS's tools give it do.
    _form("an AWS secret key", ["ecret"], r"(?i)secret_?access_?key\W{1,5}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"),
    # The third letter says whether it is a personal, OAuth, user, server or refresh token.
    _form("a GitHub token", ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], _ALONE + r"gh[pousr]_[A-Za-z0-9]{30,}"),
    _form("a GitHub token", ["github_pat_"], _ALONE + r"github_pat_[A-Za-z0-9_]{22,}"),
    _form("a GitLab token", ["glpat-"], _ALONE + r"glpat-[A-Za-z0-9_-]{20,}"),
    # Bot, user, app and refresh tokens; of a webhook the path is the secret.
    _form("a Slack token", ["xox", "xapp-"], _ALONE + r"(?:xox[a-z]-(?=[A-Za-z-]{0,99}\d)|xapp-\d-)[A-Za-z0-9-]{10,}"),
    _form("a Slack webhook", ["hooks.slack.com/"], r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,}"),
    # API keys are exactly 39 characters; inside base64 the neighbours give a chance likeness away.
    _form("a Google API key", ["AIza"], r"(?<![A-Za-z0-9+/_-])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9+/=_-])"),
    _form("a Google OAuth token", ["ya29."], _ALONE + r"ya29\.[A-Za-z0-9_-]{20,}"),
    _form("a Stripe key", ["k_live_"], _ALONE + r"[rs]k_live_[A-Za-z0-9]{16,}"),
    _form("a Hugging Face token", ["hf_"], _ALONE + r"hf_[A-Za-z0-9]{34}(?![A-Za-z0-9])"),
    # RFC 7468, and OpenSSH and PGP, which follow it.
    _form("a private key", ["PRIVATE KEY"], r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    # RFC 7519: header and claims are JSON objects, so their base64 begins with eyJ.
    _form("a JSON web token", ["eyJ"], _ALONE + r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    # RFC 6750 and 7617; a token has a digit, prose and YOUR_TOKEN_HERE have none.
    _form("a bearer token", ["earer ", "EARER "], r"(?i)\bbearer {1,4}(?=[a-z._~+/=-]{0,99}\d)[\w.~+/=-]{20,}"),
    _form("a password for basic authentication", ["asic "], r"(?i)authorization\W{1,5}basic {1,4}[a-z0-9+/]{8,}"),
    _form("an API key header", ["-api-key", "-Api-Key"], r"(?i)x-api-key\W{1,5}(?=[a-z._-]{0,99}\d)[\w.-]{16,}"),
    # user:password@host, unless the password is a word that stands for one.
    _form(
        "a URL with a password",
        ["://"],
        r"""(?i)://[^\s/:@"'<>]{1,99}:(?!(?:pass(?:word|wd)?|secret|pwd?|x+|\.+|\*+)@)[^\s/:@"'<>{}$]{3,199}@(?=[\w.-])""",
    ),
    _form(
        "a URL with a key",
        ["key=", "oken=", "ecret=", "sig=", "nature=", "word=", "passwd=", "dential="],
        rf"""(?i)[?&]{_SECRET_NAMES}=(?=[^&\s#"'<>]{{0,99}}\d)[^&\s#"'<>{{}}]{{16,}}""",
    ),
)


def find_credentials(recording: Recorded) -> list[Finding]:
    """Return everything in a recording that looks like a credential, in its order. Empty if it may be written."""
    findings: list[Finding] = []
    for number, exchange in enumerate(recording.exchanges, 1):
        place, request = f"exchange {number}", exchange.request
        url = urlsplit(request.url)
        in_url = ["a user name or password"] if url.username or url.password else []
        in_url += [
            f"the parameter {key}" for key, value in parse_qsl(url.query) if value and _SECRET_NAME.fullmatch(key)
        ]
        findings += [Finding(f"{place}, request URL", kind) for kind in (*in_url, *_kinds(request.url))]
        findings += _in_headers(f"{place}, request header", request.headers)
        findings += _in_body(f"{place}, request body", " at ", request.content)
        if exchange.response is not None:
            findings += _in_headers(f"{place}, response header", exchange.response.headers)
        findings += _in_body(f"{place}, answer", ", ", b"".join(chunk.data for chunk in exchange.chunks))
        message = exchange.end and exchange.end.message
        findings += (Finding(f"{place}, error message", kind) for kind in _kinds(message or ""))
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
        raise CredentialError("\n".join(lines))


def conceal(text: str) -> str:
    """Return the text without what looks like a credential, for messages."""
    # a pattern may be slow on long texts, and most texts hold no hint
    for form in _FORMS:
        if any(hint in text for hint in form.hints):
            text = form.pattern.sub("[credential]", text)
    return _PARAMETER.sub(r"\1[credential]", text)


def conceal_url(url: str) -> str:
    """Return the URL without user name, password and whatever else looks like a credential, for messages."""
    parts = urlsplit(url)
    return conceal(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())


def _kinds(text: str) -> Iterator[str]:
    return (form.kind for form in _FORMS if any(hint in text for hint in form.hints) and form.pattern.search(text))


def _in_headers(place: str, headers: Headers) -> Iterator[Finding]:
    return (Finding(f"{place} {name}", kind) for name, value in headers for kind in _kinds(value))


def _in_body(place: str, joint: str, body: bytes) -> Iterator[Finding]:
    """Yield the findings in a body; `joint` separates the body from the place in it."""
    kinds_found: set[str] = set()
    for body_text in body_texts(body):
        texts = [body_text.text]
        if body_text.holds_json:  # an escape may stand inside a key, as in "sk-\u0061nt-…"
            texts += [part.text for part in body_text.parts()]
        for kind in (kind for text in texts for kind in _kinds(text)):
            kinds_found.add(kind)
            yield Finding(f"{place}{joint}{body_text.where}" if body_text.where else place, kind)
    # What no text of the body holds: keys, comments of a stream, the API's own words.
    for kind in _kinds(body.decode(errors="replace")):
        if kind not in kinds_found:
            yield Finding(place, kind)
