"""Credentials: what must not be written, and where in a recording it stands.

A recording is committed to a repository, so one that seems to hold a key is not written. A
finding says where it is and of what kind, never what it is. The table below knows credentials by the form that
their issuers gave them, not by how random a text looks: images, signatures and ids look random too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

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


class _Form(NamedTuple):
    """How a kind of credential is written.

    Only a text that holds a `hint`, in whatever case, is searched for the `pattern`.
    """

    kind: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


def _form(kind: str, hints: Iterable[str], pattern: str) -> _Form:
    return _Form(kind, tuple(hint.lower() for hint in hints), re.compile(pattern))


def _prefixed(kind: str, *prefixes: str, of: str = r"[A-Za-z0-9_-]{20,}") -> _Form:
    """Return the form of tokens that begin in a way that nothing else does, and go on with a digit somewhere."""
    begins = "|".join(map(re.escape, prefixes))
    return _form(kind, prefixes, rf"(?<![A-Za-z0-9+_-])(?:{begins})(?=[A-Za-z_+/=-]{{0,40}}\d){of}")


_SECRET_NAMES = (
    r"(?:api[_-]?key|apikey|key|access[_-]?token|auth[_-]?token|id[_-]?token|refresh[_-]?token|token"
    r"|secret|client[_-]?secret|password|passwd|sig|signature|x-(?:amz|goog)-(?:signature|security-token|credential))"
)
_SECRET_NAME = re.compile(_SECRET_NAMES, re.IGNORECASE)
_PARAMETER = re.compile(rf"""(?i)((?:\A|[?&]){_SECRET_NAMES}=)[^&\s#"'<>]+""")
_ALONE = r"(?<![A-Za-z0-9])"  # not inside a longer word: "task-ant-…" is not a key

# What documentation writes in the place of a secret: it stops no recording.
_PLACEHOLDER = re.compile(
    r"example|placeholder|your[_-]|dummy|change_?me|redacted|(?:\A|[^a-z])(?:fake|test_?key|sample)(?:[^a-z]|\Z)"
    r"|x{6,}|0{10,}|\*{3}|\.\.\.",
    re.IGNORECASE,
)

_FORMS = (
    # Console and OAuth keys are sk-ant-<kind><version>-<secret>.
    _form("an Anthropic key", ["sk-ant-"], _ALONE + r"sk-ant-[A-Za-z0-9_-]{8,}"),
    # Newer keys name their kind; older ones are alphanumeric and hold a digit, as no word does.
    _form("an OpenAI key", ["sk-proj-", "sk-svcacct-", "sk-admin-"], _ALONE + r"sk-[a-z]+-[A-Za-z0-9_-]{20,}"),
    _form("an OpenAI key", ["sk-"], _ALONE + r"sk-(?=[A-Za-z]{0,99}\d)[A-Za-z0-9]{32,}"),
    # Key ids are four letters that say of what, then sixteen of base 32.
    _form(
        "an AWS access key id",
        ["AKIA", "ASIA", "ABIA", "ACCA"],
        r"(?<![A-Za-z0-9+])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9+=])",
    ),
    # The secret has no form of its own; the names that AWS's tools give it do.
    _form("an AWS secret key", ["secret"], r"(?i)secret[_-]?access[_-]?key\W{1,7}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"),
    _form(
        "an AWS session token",
        ["token"],
        r"(?i)(?:session|security)[_-]?token\W{1,7}(?=[A-Za-z/+]{0,99}\d)[A-Za-z0-9/+]{100,}",
    ),
    _form("a Bedrock API key", ["ABSK"], _ALONE + r"ABSK[A-Za-z0-9+/]{40,}"),
    _form("a signature of AWS", ["signature="], r"(?i)AWS4-HMAC-SHA256\b[^\n]{1,400}?\bSignature=[0-9a-f]{64}"),
    # The third letter says whether it is a personal, OAuth, user, server or refresh token.
    _form("a GitHub token", ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], _ALONE + r"gh[pousr]_[A-Za-z0-9]{30,}"),
    _form("a GitHub token", ["github_pat_"], _ALONE + r"github_pat_[A-Za-z0-9_]{22,}"),
    _prefixed(
        "a GitLab token",
        "glpat-",
        "glrt-",
        "gldt-",
        "glptt-",
        "glcbt-",
        "glsoat-",
        "glagent-",
        "gloas-",
        "glft-",
        "glimt-",
    ),
    _form("a GitLab token", ["glffct-", "GR1348941"], _ALONE + r"(?:glffct-|GR1348941)[A-Za-z0-9_-]{20,}"),
    # Bot, user, app and refresh tokens; of a webhook the path is the secret.
    _form("a Slack token", ["xox", "xapp-"], _ALONE + r"(?:xox[a-z]-(?=[A-Za-z-]{0,99}\d)|xapp-\d-)[A-Za-z0-9-]{10,}"),
    _form("a Slack webhook", ["hooks.slack.com/"], r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,}"),
    # API keys are exactly 39 characters; inside base64 the neighbours give a chance likeness away.
    _form("a Google API key", ["AIza"], r"(?<![A-Za-z0-9+_-])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9+=_-])"),
    _form("a Google OAuth token", ["ya29."], _ALONE + r"ya29\.[A-Za-z0-9_-]{20,}"),
    _form("a Google refresh token", ["1//0"], _ALONE + r"1//0[A-Za-z0-9_-]{30,}"),
    _prefixed("a Google client secret", "GOCSPX-"),
    _form("a Stripe key", ["k_live_"], _ALONE + r"[rs]k_live_[A-Za-z0-9]{16,}"),
    _prefixed(
        "a key of another model vendor", "gsk_", "xai-", "pplx-", "r8_", "nvapi-", "fw_", of=r"[A-Za-z0-9_-]{32,}"
    ),
    _form("a key of another model vendor", ["sk-or-v1-"], _ALONE + r"sk-or-v1-[0-9a-f]{32,}"),
    _prefixed("a package registry token", "npm_", "pypi-AgE", "rubygems_", "dckr_pat_", of=r"[A-Za-z0-9_-]{24,}"),
    _prefixed("a token of a cloud", "dop_v1_", "dor_v1_", "doo_v1_", "hvs.", "hvb.", "dp.pt.", "dp.st.", "pscale_tkn_"),
    _prefixed("a token of a cloud", "pul-", "dapi", "atlasv1.", "FlyV1 fm", of=r"[A-Za-z0-9+/=_-]{32,}"),
    _prefixed(
        "a service's token", "lin_api_", "ntn_", "PMAK-", "sntrys_", "sntryu_", "ATATT3", "glsa_", "NRAK-", "phx_"
    ),
    _prefixed("a service's token", "shpat_", "shpss_", "shpca_", "shppa_", "sq0atp-", "sq0csp-", "figd_", "sha256~"),
    _form("a service's token", ["SG."], _ALONE + r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{32,}"),
    _form("a service's token", [":AA"], _ALONE + r"\d{8,10}:AA[A-Za-z0-9_-]{32,34}(?![A-Za-z0-9_-])"),
    _prefixed("a service's token", "duffel_live_", "EZAK", "HRKU-AA", "pnu_", "rdme_", "tk-us-", "xkeysib-", "sgp_"),
    _prefixed(
        "a service's token", "shippo_live_", "shippo_test_", "dt0c01.", "FLWSECK", "fm2_", "fo1_", "glc_", "p8e-"
    ),
    _form("a service's token", ["A3-"], _ALONE + r"A3-[A-Z0-9]{6}-[A-Z0-9-]{11,13}(?:-[A-Z0-9]{5}){3}"),
    _form("a private key", ["AGE-SECRET-KEY-1"], r"AGE-SECRET-KEY-1[A-Z0-9]{50,}"),
    _form(
        "an Azure storage key",
        ["accountkey", "accesskey", "access_key"],
        r"(?i)(?:account|shared_?access)_?key\W{1,7}[A-Za-z0-9+/]{40,}={0,2}",
    ),
    _form("an Azure client secret", ["q~"], r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])"),
    _form("a Hugging Face token", ["hf_"], _ALONE + r"hf_[A-Za-z0-9]{34}(?![A-Za-z0-9])"),
    # RFC 7468, and OpenSSH and PGP, which follow it.
    _form("a private key", ["PRIVATE KEY"], r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    # RFC 7519: header and claims are JSON objects, so their base64 begins with eyJ.
    _form("a JSON web token", ["eyJ"], _ALONE + r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    # RFC 6750 and 7617; a token has a digit, prose and YOUR_TOKEN_HERE have none.
    _form("a bearer token", ["earer ", "EARER "], r"(?i)\bbearer {1,4}(?=[a-z._~+/=-]{0,99}\d)[\w.~+/=-]{20,}"),
    _form("a password for basic authentication", ["asic "], r"(?i)authorization\W{1,5}basic {1,4}[a-z0-9+/]{8,}"),
    _form(
        "an API key header",
        ["api-key"],
        r"""(?i)\bapi-key["']?\s{0,3}[:=]\s{0,3}["']?(?=[a-z._-]{0,99}\d)[\w.-]{16,}""",
    ),
    # In an environment, an ini file, JSON or YAML the name says what it is. The value has a digit and is no uuid.
    _form(
        "a secret by its name",
        ["secret", "token", "api_key", "apikey", "password", "passwd", "access_key", "private_key"],
        r"""(?i)(?:client_?secret|secret_?key|(?:refresh|access|auth)_?token|api_?key|private_?key|access_?key)["']?"""
        r"""[ \t]{0,3}(?:=>|:=|[=:])[ \t]{0,3}["']?(?![0-9a-f]{8}-)(?=[a-z._/+~-]{0,99}\d)(?=[\d._/+~-]{0,99}[a-z])"""
        r"""[\w.~+/-]{20,}""",
    ),
    _form(
        "a password by its name",
        ["password", "passwd"],
        r"""(?i)pass(?:word|wd)["']?[ \t]{0,3}(?:=>|:=|[=:])[ \t]{0,3}["']?"""
        r"""(?=[^\s"'\d]{0,50}\d)(?=[^\s"'a-z]{0,50}[a-z])[^\s"'<>{}()\[\]$&;,]{8,64}(?![^\s"'&;,])""",
    ),
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
    for form in _FORMS:
        if any(hint in lowered for hint in form.hints):
            text = form.pattern.sub("[credential]", text)
    return _PARAMETER.sub(r"\1[credential]", text)


def conceal_url(url: str) -> str:
    """Return the URL without user name, password and whatever else looks like a credential, for messages."""
    parts = urlsplit(url)
    return conceal(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())


def _found(place: str, text: str, *, redactable: bool = False) -> Iterator[Finding]:
    """Yield what a text holds, in whatever spelling; `redactable` says that `latency_redact` reaches the text."""
    for spelling in dict.fromkeys(spellings(text)):
        lowered = spelling.lower()
        for form in _FORMS:
            if not any(hint in lowered for hint in form.hints):
                continue
            if any(_PLACEHOLDER.search(match[0]) is None for match in form.pattern.finditer(spelling)):
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
