"""What the API sends when it refuses, breaks off or does not answer: written down, and sent from 127.0.0.1.

    seen = ask_both(ask, CASES["messages 429"])
    assert seen.injected == seen.sent

A program asks twice: in the replay of a fault, and a server that sends what the API is documented to send. It must not
be able to tell one from the other. Ids and dates are the replay's own, since the API's follow from no rule: only their
form is checked.
"""

from __future__ import annotations

import json
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple, final

from pytest_claude_latency import Recording, play
from pytest_claude_latency.faults import (
    Fault,
    dropped,
    failing,
    malformed,
    overloaded,
    overloaded_midstream,
    rate_limited,
    refused,
    truncated,
    unanswered,
)
from tests.support import other_forms
from tests.support.aws_frames import CHUNK, frame
from tests.support.some_recording import recording
from tests.support.written_calls import asked, streamed

CLAUDE: Final = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
IMPATIENT: Final = 0.05
"""The read time-out of a program that no answer comes to, in seconds."""
PATIENT: Final = 30.0

MESSAGES = recording(streamed(asked(), ((40, "text", "one "), (60, "text", "two "))))
CHAT = recording(
    other_forms.chat(
        (340, other_forms.chunk(content="one ")),
        (350, other_forms.chunk("stop", content="two") + other_forms.CHAT_USAGE + other_forms.DONE),
    )
)
CONVERSE = recording(
    other_forms.converse(
        (340, other_forms.delta(text="one")), (350, other_forms.delta(text="two") + other_forms.STOPPED)
    )
)
VERTEX = recording(
    replace(
        MESSAGES.exchanges[0],
        request=replace(
            MESSAGES.exchanges[0].request,
            url="https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/publishers"
            "/anthropic/models/claude-haiku-4-5@20251001:streamRawPredict",
        ),
    )
)


# ── what is documented ──

_HEAD = "HTTP/1.1 {status}\ndate: {date}\ncontent-type: application/json\ncontent-length: {length}\n"
_HEAD += "connection: keep-alive\n"
_OF_ANTHROPIC = "request-id: {id}\nanthropic-organization-id: {uuid}\n"
_OF_OPENAI = _OF_ANTHROPIC + "openai-version: 2020-10-01\nopenai-processing-ms: \n"
_OF_BEDROCK = "x-amzn-requestid: {uuid}\nx-amzn-errortype: %s:http://internal.amazon.com/coral/com.amazon.bedrock/\n"
_LIMITS = """\
anthropic-ratelimit-input-tokens-limit: 50000
anthropic-ratelimit-input-tokens-remaining: 50000
anthropic-ratelimit-input-tokens-reset: {reset}
anthropic-ratelimit-output-tokens-limit: 10000
anthropic-ratelimit-output-tokens-remaining: 10000
anthropic-ratelimit-output-tokens-reset: {reset}
anthropic-ratelimit-requests-limit: 50
anthropic-ratelimit-requests-remaining: 0
anthropic-ratelimit-requests-reset: {reset}
anthropic-ratelimit-tokens-limit: 60000
anthropic-ratelimit-tokens-remaining: 60000
anthropic-ratelimit-tokens-reset: {reset}
retry-after: 60
"""
_LIMITS_OF_OPENAI = """\
x-ratelimit-limit-requests: 50
x-ratelimit-remaining-requests: 0
x-ratelimit-reset-requests: 60s
x-ratelimit-limit-tokens: 60000
x-ratelimit-remaining-tokens: 60000
x-ratelimit-reset-tokens: 0s
retry-after: 60
"""
_EXCEEDED = (
    "This request would exceed your organization's rate limit of 50 requests per minute. For details, refer to: "
    "https://docs.claude.com/en/api/rate-limits. You can see the response headers for current usage."
)
_MESSAGES_ERROR = '{"type":"error","error":{"type":"%s","message":"%s"},"request_id":"{id}"}'
_CHAT_ERROR = '{"error":{"code":"%s","message":"%s","type":"invalid_request_error","param":null}}'
_GOOGLES_ERROR = """\
{
  "error": {
    "code": 429,
    "message": "Resource exhausted. Please try again later. Please refer to \
https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.",
    "status": "RESOURCE_EXHAUSTED"
  }
}
"""
_BROKEN = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_del'


class Documented(NamedTuple):
    """An answer as the API sends it; ids and dates are put in where their names stand in braces."""

    status: str
    headers: str
    body: str
    content_type: str = "application/json"

    def sent(self, named: dict[str, str]) -> bytes:
        """Return the bytes on the wire."""
        body = _filled(self.body, named).encode()
        head = _HEAD.replace("application/json", self.content_type) + self.headers
        head = _filled(head, named | {"status": self.status, "length": str(len(body))})
        return head.replace("\n", "\r\n").encode() + b"\r\n" + body


def _filled(text: str, named: dict[str, str]) -> str:
    for name, value in named.items():
        text = text.replace("{" + name + "}", value)
    return text


@final
@dataclass(frozen=True)
class Case:
    """A fault of a recorded call, and what the API sends in its place: an answer, or parts of the recorded one."""

    fault: Fault
    recorded: Recording
    documented: Documented | None = None
    stream: Sequence[bytes] = ()
    """The chunks of a stream, of which an empty one is the end of the connection."""

    @property
    def path(self) -> str:
        """The path of the endpoint."""
        return "/" + self.recorded.exchanges[0].request.url.split("/", 3)[3]

    @property
    def read_timeout(self) -> float:
        """How long the program waits, in seconds. Only one that waits in vain is impatient: a machine may be slow."""
        return IMPATIENT if self.fault.name == "unanswered" else PATIENT

    def injected(self, base: str) -> Recording:
        """Return the recording with the fault, as if it had been made at the server of this address."""
        call = self.recorded.exchanges[0]
        there = replace(call, request=replace(call.request, url=base + self.path))
        return self.fault(replace(self.recorded, exchanges=(there,)))


def _chunks(recorded: Recording, until: bytes) -> list[bytes]:
    """Return the recorded chunks up to the one in which `until` is found."""
    data = [chunk.data for chunk in recorded.exchanges[0].chunks]
    return data[: 1 + next(place for place, chunk in enumerate(data) if until in chunk)]


def _cases(
    form: str, recorded: Recording, answers: dict[str, Documented], told: bytes, broken: bytes
) -> dict[str, Case]:
    """Return the cases of a form. `told` is its error in mid-stream, `broken` its event that is not JSON."""
    faults = {"429": rate_limited(retry_after="60s"), "529": overloaded(), "503": overloaded()}
    before = _chunks(recorded, b"one")
    behind = [chunk.data for chunk in recorded.exchanges[0].chunks][len(before) :]
    cases = {
        name: Case(faults.get(name) or failing(status=int(name)), recorded, documented)
        for name, documented in answers.items()
    }
    cases |= {
        "refused": Case(refused(times="always"), recorded),
        "unanswered": Case(unanswered(times="always"), recorded),
        "dropped": Case(dropped(after=1), recorded, stream=[*before, b""]),
        "truncated": Case(truncated(after=1), recorded, stream=before),
        "overloaded_midstream": Case(overloaded_midstream(after=1), recorded, stream=[*before, told]),
        "malformed": Case(malformed(after=1), recorded, stream=[*before, broken, *behind]),
    }
    return {f"{form} {name}": case for name, case in cases.items()}


_SHOULD, _SHOULD_NOT = "x-should-retry: true\n", "x-should-retry: false\n"
CASES: dict[str, Case] = {
    **_cases(
        "messages",
        MESSAGES,
        {
            "429": Documented(
                "429 Too Many Requests",
                _SHOULD + _LIMITS + _OF_ANTHROPIC,
                _MESSAGES_ERROR % ("rate_limit_error", _EXCEEDED),
            ),
            "529": Documented("529 ", _SHOULD + _OF_ANTHROPIC, _MESSAGES_ERROR % ("overloaded_error", "Overloaded")),
            "500": Documented(
                "500 Internal Server Error",
                _SHOULD + _OF_ANTHROPIC,
                _MESSAGES_ERROR % ("api_error", "Internal server error"),
            ),
            "401": Documented(
                "401 Unauthorized",
                _SHOULD_NOT + _OF_ANTHROPIC,
                _MESSAGES_ERROR % ("authentication_error", "invalid x-api-key"),
            ),
        },
        b"event: error\ndata: "
        b'{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"} }\n\n',
        b"event: content_block_delta\ndata: " + _BROKEN + b"\n\n",
    ),
    **_cases(
        "chat",
        CHAT,
        {
            "429": Documented(
                "429 Too Many Requests",
                _SHOULD + _LIMITS_OF_OPENAI + _OF_OPENAI,
                _CHAT_ERROR % ("rate_limit_error", _EXCEEDED),
            ),
            "529": Documented("529 ", _SHOULD + _OF_OPENAI, _CHAT_ERROR % ("overloaded_error", "Overloaded")),
            "401": Documented(
                "401 Unauthorized",
                _SHOULD_NOT + _OF_OPENAI,
                _CHAT_ERROR % ("authentication_error", "Invalid Anthropic API Key"),
            ),
        },
        b"data: " + (_CHAT_ERROR % ("overloaded_error", "Overloaded")).encode() + b"\n\n",
        b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"del\n\n',
    ),
    **_cases(
        "converse",
        CONVERSE,
        {
            "429": Documented(
                "429 Too Many Requests",
                _OF_BEDROCK % "ThrottlingException" + "retry-after: 60\n",
                '{"message":"Too many requests, please wait before trying again."}',
            ),
            "503": Documented(
                "503 Service Unavailable",
                _OF_BEDROCK % "ServiceUnavailableException",
                '{"message":"Bedrock is unable to process your request."}',
            ),
            "400": Documented(
                "400 Bad Request",
                _OF_BEDROCK % "ValidationException",
                '{"message":"The provided request is not valid."}',
            ),
        },
        frame(
            {
                ":exception-type": "serviceUnavailableException",
                ":content-type": "application/json",
                ":message-type": "exception",
            },
            b'{"message":"Bedrock is unable to process your request."}',
        ),
        frame(CHUNK | {":event-type": "contentBlockDelta"}, b'{"contentBlockIndex":0,"delta":{"te'),
    ),
    "vertex 429": Case(
        rate_limited(),
        VERTEX,
        Documented("429 Too Many Requests", "", _GOOGLES_ERROR, "application/json; charset=UTF-8"),
    ),
    "vertex 404": Case(
        failing(status=404),
        VERTEX,
        Documented(
            "404 Not Found",
            _SHOULD_NOT + "request-id: {vertex_id}\n",
            (_MESSAGES_ERROR % ("not_found_error", "The requested resource could not be found.")).replace(
                "{id}", "{vertex_id}"
            ),
        ),
    ),
}
"""Each form of the API with each of its faults, by both names."""


# ── what a program sees ──


class Seen(NamedTuple):
    """What a client library told the program: an answer, or its errors from the outermost in."""

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: object = None
    errors: tuple[str, ...] = ()


class Both(NamedTuple):
    """What one program saw of the injected fault, and of the API's own."""

    injected: Seen
    sent: Seen


Ask = Callable[[str, Case], Seen]
"""Asks the server of an address once, as the case says, and returns what it saw; an error may be raised."""

_FORMS: Final = {
    "id": r"req_011C[1-9A-HJ-NP-Za-km-z]{20}",
    "vertex_id": r"req_vrtx_011C[1-9A-HJ-NP-Za-km-z]{20}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "date": r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
}
_LIBRARIES: Final = ("anthropic", "openai", "litellm", "botocore", "aiohttp", "httpx", "httpx2", "requests", "urllib3")


def ask_both(ask: Ask, case: Case) -> Both:
    """Return what the program sees of the fault, and of a server that does what the API does."""
    if case.fault.name == "refused":
        with socket.socket() as bound:  # and does not listen
            bound.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{bound.getsockname()[1]}"
            return Both(_replayed(ask, nobody, case), _asked(ask, nobody, case))
    parts: list[bytes | None] = []
    with _Server(parts) as server:
        injected = _replayed(ask, server.url, case)
        parts += _sent(case, _named_in(injected))
        return Both(injected, server.answering(lambda: _asked(ask, server.url, case)))


def _named_in(seen: Seen) -> dict[str, str]:
    """Return the ids and dates that a replay made up."""
    shown = repr(seen)
    named = {name: found[0] for name, form in _FORMS.items() if (found := re.search(form, shown))}
    if "date" in named:
        reset = parsedate_to_datetime(named["date"]) + timedelta(seconds=60)
        named["reset"] = reset.strftime("%Y-%m-%dT%H:%M:%SZ")
    return named


def _replayed(ask: Ask, base: str, case: Case) -> Seen:
    with play(case.injected(base)):
        return _asked(ask, base, case)


def _asked(ask: Ask, base: str, case: Case) -> Seen:
    try:
        seen = ask(base, case)
    except Exception as error:
        seen = _told(error)
    # A recording does not keep how a stream travelled.
    kept = [(name.lower(), value) for name, value in seen.headers if name.lower() != "transfer-encoding"]
    return seen._replace(headers=tuple(kept))


def _told(error: BaseException) -> Seen:
    """Return what an error says, and the answer that it holds."""
    errors, seen = [], Seen()
    link: BaseException | None = error
    while link is not None and type(link).__module__.partition(".")[0] in _LIBRARIES:
        errors.append(_plain(f"{type(link).__module__}.{type(link).__qualname__}: {link}"))
        if seen.status is None:
            seen = _answer_in(link)
        if type(link).__module__.startswith("httpx"):
            break  # what lies below it is no part of its interface
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    if not errors:
        if not isinstance(error, ValueError):  # which is what the SDKs raise for an event that is no JSON
            raise error
        errors.append(repr(error))
    return seen._replace(errors=tuple(errors))


def _answer_in(error: BaseException) -> Seen:
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        return Seen(headers=_in_order(response.get("ResponseMetadata", {}).get("HTTPHeaders", {})), body=response)
    if response is None or not hasattr(response, "headers"):
        return Seen()
    body = None if response.status_code == 200 else response.content
    return Seen(response.status_code, _in_order(response.headers), body)


def _in_order(headers: Any) -> tuple[tuple[str, str], ...]:
    return tuple(headers.multi_items() if hasattr(headers, "multi_items") else headers.items())


def _plain(text: str) -> str:
    """Return the text of an error without what differs from one asking to the next."""
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    # litellm gives aiohttp a context of its own; in a replay none is made.
    return re.sub(r"time taken=[\d.]+", "time taken", re.sub(r"ssl:<[^>]*>", "ssl:default", text))


def answered(status: int, headers: Any, body: object) -> Seen:
    """Return what a program saw that got an answer."""
    return Seen(status, _in_order(headers), body)


def events(parts: object) -> str:
    """Return what a program read of a stream, as text."""
    return json.dumps(parts, default=str)


# ── the server ──


def _sent(case: Case, named: dict[str, str]) -> list[bytes | None]:
    """Return what is sent, in order. `None` is nothing, until the program hangs up."""
    if case.documented is not None:
        return [case.documented.sent(named)]
    if not case.stream:
        return [None]
    response = case.recorded.exchanges[0].response
    assert response is not None
    headers = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    sent: list[bytes | None] = [f"HTTP/1.1 200 OK\r\n{headers}transfer-encoding: chunked\r\n\r\n".encode()]
    sent += [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in case.stream if chunk]
    return sent if b"" in case.stream else [*sent, b"0\r\n\r\n"]


class _Server(socketserver.ThreadingTCPServer):
    """A server that sends these parts on each connection and closes it. Its port is there before it answers."""

    daemon_threads = True  # a client may keep its connection for as long as it likes

    def __init__(self, parts: Sequence[bytes | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.parts = parts

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answering(self, ask: Callable[[], Seen]) -> Seen:
        """Return what is seen by one who asks while it answers."""
        thread = threading.Thread(target=self.serve_forever, args=(0.005,))
        thread.start()
        try:
            return ask()
        finally:
            self.shutdown()
            thread.join()


class _Answering(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        length = 0
        while line := self.rfile.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        self.rfile.read(length)
        assert isinstance(self.server, _Server)
        for part in self.server.parts:
            if part is None:
                self.rfile.read(1)  # until the program hangs up
            else:
                self.wfile.write(part)
