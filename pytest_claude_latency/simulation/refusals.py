"""What each provider sends when it refuses a call or breaks a stream off: statuses, headers and bodies.

A refusal that only looks about right would test nothing: clients decide by `retry-after`, `x-should-retry`, the name of
an exception and the words of a body whether to ask again.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple
from uuid import UUID
from zlib import crc32

from pytest_claude_latency.duration import MICROSECOND, SECOND, Nanoseconds
from pytest_claude_latency.messages_api import aws_event_stream
from pytest_claude_latency.messages_api.endpoints import provider_of
from pytest_claude_latency.messages_api.exchange import Exchange, Headers, Request, header
from pytest_claude_latency.messages_api.forms import form_of

RATE_LIMITED: Final = 429
OVERLOADED: Final = 529

_ANTHROPIC: Final[dict[int, tuple[str, str]]] = {
    400: ("invalid_request_error", "Your request could not be processed. Please check it and try again."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is a problem with your billing or payment information."),
    403: ("permission_error", "Your account does not have permission to use this resource."),
    404: ("not_found_error", "The requested resource could not be found."),
    408: ("timeout_error", "Request timed out."),
    409: ("conflict_error", "The request conflicts with the current state of the resource."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    RATE_LIMITED: (
        "rate_limit_error",
        "This request would exceed your organization's rate limit of 50 requests per minute. For details, refer to: "
        "https://docs.claude.com/en/api/rate-limits. You can see the response headers for current usage.",
    ),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out."),
    OVERLOADED: ("overloaded_error", "Overloaded"),
}
_BEDROCK: Final[dict[int, tuple[int, str, str]]] = {
    400: (400, "ValidationException", "The provided request is not valid."),
    403: (403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
    404: (404, "ResourceNotFoundException", "Could not resolve the foundation model from the model identifier."),
    408: (408, "ModelTimeoutException", "The request took too long to process."),
    424: (424, "ModelErrorException", "The request failed due to an error while processing the model."),
    RATE_LIMITED: (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    500: (
        500,
        "InternalServerException",
        "The system encountered an unexpected error during processing. Try your request again.",
    ),
    503: (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    # Bedrock has no status of its own for it.
    OVERLOADED: (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
}
_GOOGLE: Final[dict[int, tuple[str, str]]] = {
    RATE_LIMITED: (
        "RESOURCE_EXHAUSTED",
        "Resource exhausted. Please try again later. Please refer to "
        "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.",
    ),
    500: ("INTERNAL", "Internal error encountered."),
    503: ("UNAVAILABLE", "The service is currently unavailable."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}
"""What Vertex itself says. All other errors it hands on as Anthropic's API has them."""

_WORDS_IN_CHAT_FORM: Final = {"authentication_error": "Invalid Anthropic API Key"}
"""Where the endpoint in OpenAI's form has words of its own for an error."""
_USUAL_WAIT: Nanoseconds = 30 * SECOND
_LIMITS: Final = (
    ("input-tokens", 50_000, 50_000),
    ("output-tokens", 10_000, 10_000),
    ("requests", 50, 0),
    ("tokens", 60_000, 60_000),
)
"""What is limited, how much of it there is in a minute, and how much is left when the requests are used up."""
_NAMESPACE: Final = "http://internal.amazon.com/coral/com.amazon.bedrock/"
"""Where the names of Bedrock's exceptions come from, as `x-amzn-errortype` says behind each."""
_ID_LETTERS: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""Those of the API's ids: none that looks like another one."""
_EVENT: Final = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r)", re.DOTALL)
_RETRIED: Final = frozenset({408, 409, RATE_LIMITED})


class Refusal(NamedTuple):
    """An answer in place of a message."""

    status: int
    headers: Headers
    body: bytes


def refusal(request: Request, status: int, *, moment: datetime, retry_after: Nanoseconds | None = None) -> Refusal:
    """Return what the provider of `request` answers with this status. Each has its own way to say it.

    `moment` is when it answers. `retry_after` is sent where it is given; otherwise as the provider does.
    """
    # Ids follow from the request, so that every run gets the same ones.
    mark = sha256(request.content)
    provider = provider_of(request)
    waits: Headers = () if retry_after is None else (("retry-after", _seconds(retry_after)),)
    if provider == "bedrock":
        # A status that Bedrock does not document comes with its most general error.
        status, name, text = _BEDROCK.get(status, (status, *_BEDROCK[500][1:]))
        request_id = str(UUID(bytes=mark.digest()[:16], version=4))
        named = (("x-amzn-requestid", request_id), ("x-amzn-errortype", f"{name}:{_NAMESPACE}"))
        return _refused(status, moment, "application/json", (*named, *waits), _json({"message": text}))
    if provider == "vertex" and status in _GOOGLE:
        name, text = _GOOGLE[status]
        error = {"error": {"code": status, "message": text, "status": name}}
        # Indented, as all of Google's errors are.
        data = json.dumps(error, indent=2, ensure_ascii=False).encode() + b"\n"
        return _refused(status, moment, "application/json; charset=UTF-8", waits, data)
    name, text = _named(status)
    letters = "".join(_ID_LETTERS[byte % len(_ID_LETTERS)] for byte in mark.digest()[:20])
    request_id = f"req_{'vrtx_' if provider == 'vertex' else ''}011C{letters}"
    is_chat = form_of(request) == "chat"
    headers: Headers = (("x-should-retry", "true" if status in _RETRIED or status >= 500 else "false"),)
    if status == RATE_LIMITED:
        wait = _USUAL_WAIT if retry_after is None else retry_after
        headers += _limits_of_openai(wait) if is_chat else _limits_of_anthropic(moment, wait)
        waits = (("retry-after", _seconds(wait)),)
    headers += (*waits, ("request-id", request_id))
    if provider != "vertex":  # Google does not say whose organization it is
        headers += (("anthropic-organization-id", str(UUID(bytes=mark.digest()[16:], version=4))),)
    if is_chat:
        # Anthropic's endpoint in this form sends these two with each answer, the second one always empty.
        headers += (("openai-version", "2020-10-01"), ("openai-processing-ms", ""))
        return _refused(status, moment, "application/json", headers, _json(_in_chat_form(name, text)))
    body = {"type": "error", "error": {"type": name, "message": text}, "request_id": request_id}
    return _refused(status, moment, "application/json", headers, _json(body))


def error_event(exchange: Exchange, status: int = OVERLOADED) -> bytes:
    """Return the event by which the provider of a streamed answer tells an error in the middle of it."""
    name, text = _named(status)
    if is_event_stream_of_aws(exchange):
        _, exception, words = _BEDROCK[status]
        # In a stream, AWS begins the names of the same exceptions with a small letter.
        headers = {":exception-type": exception[0].lower() + exception[1:], ":content-type": "application/json"}
        return aws_frame({**headers, ":message-type": "exception"}, _json({"message": words}))
    if form_of(exchange.request) == "chat":
        return b"data: " + _json(_in_chat_form(name, text)) + b"\n\n"
    error = {"details": None, "type": name, "message": text}
    # with the space in front of the last brace that the API sends
    return b'event: error\ndata: {"type":"error","error":' + _json(error) + b" }\n\n"


def malformed_event(exchange: Exchange) -> bytes:
    """Return an event of a streamed answer whose data break off, so that they are no JSON."""
    form = form_of(exchange.request)
    if form == "converse":
        return _content_frame("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"te')
    # Frames of AWS around it stay whole: a wrong checksum would be another fault.
    broken = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_del'
    if is_event_stream_of_aws(exchange):
        return _content_frame("chunk", _json({"bytes": base64.b64encode(broken).decode()}))
    if form == "chat":
        return b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"del\n\n'
    return b"event: content_block_delta\ndata: " + broken + b"\n\n"


def ping(exchange: Exchange) -> bytes | None:
    """Return what the provider sends to keep a stream alive; None in a form that has no such thing."""
    form = form_of(exchange.request)
    if form == "converse":
        return None
    if is_event_stream_of_aws(exchange):
        return _content_frame("chunk", _json({"bytes": base64.b64encode(b'{"type":"ping"}').decode()}))
    return b": keep-alive\n\n" if form == "chat" else b'event: ping\ndata: {"type": "ping"}\n\n'


def opening(exchange: Exchange) -> bytes:
    """Return the bytes of the event that opens a streamed answer, before any content; none if it has no such event."""
    data = b"".join(chunk.data for chunk in exchange.chunks)
    if form_of(exchange.request) == "chat":
        return b""  # its first chunk may bring content already
    if is_event_stream_of_aws(exchange):
        # A frame begins with its own length.
        return data[: struct.unpack_from(">I", data)[0]] if len(data) >= 4 else b""
    first = _EVENT.match(data)
    return first[0] if first is not None and b"message_start" in first[0] else b""


def is_event_stream_of_aws(exchange: Exchange) -> bool:
    """Return whether an answer streams in the binary frames of AWS."""
    content_type = exchange.response and header(exchange.response.headers, "content-type")
    return (content_type or "").partition(";")[0].strip().lower() == aws_event_stream.MEDIA_TYPE


def aws_frame(headers: dict[str, str], payload: bytes) -> bytes:
    """Return a frame of AWS's event streams."""
    # Type 7 is a string: its length has two bytes, that of the name one.
    named = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", len(named) + len(payload) + 16, len(named))
    frame = prelude + struct.pack(">I", crc32(prelude)) + named + payload
    return frame + struct.pack(">I", crc32(frame))


def _content_frame(event: str, payload: bytes) -> bytes:
    headers = {":event-type": event, ":content-type": "application/json", ":message-type": "event"}
    return aws_frame(headers, payload)


def _refused(status: int, moment: datetime, content_type: str, headers: Headers, body: bytes) -> Refusal:
    """Return a refusal with what each server says of an answer that does not stream."""
    date = format_datetime(moment.astimezone(UTC), usegmt=True)
    about: Headers = (("date", date), ("content-type", content_type), ("content-length", str(len(body))))
    return Refusal(status, (*about, ("connection", "keep-alive"), *headers), body)


def _limits_of_anthropic(moment: datetime, wait: Nanoseconds) -> Headers:
    reset = (moment + timedelta(microseconds=wait // MICROSECOND)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers: Headers = ()
    for limited, limit, left in _LIMITS:
        start = f"anthropic-ratelimit-{limited}"
        headers += ((f"{start}-limit", str(limit)), (f"{start}-remaining", str(left)), (f"{start}-reset", reset))
    return headers


def _limits_of_openai(wait: Nanoseconds) -> Headers:
    headers: Headers = ()
    for limited, limit, left in _LIMITS[2:]:
        start = "x-ratelimit"
        headers += ((f"{start}-limit-{limited}", str(limit)), (f"{start}-remaining-{limited}", str(left)))
        # A span, where Anthropic gives a moment; tokens that are all left need none.
        headers += ((f"{start}-reset-{limited}", f"{_seconds(wait)}s" if left == 0 else "0s"),)
    return headers


def _named(status: int) -> tuple[str, str]:
    """Return the API's name for the error of a status, and its words."""
    return _ANTHROPIC.get(status) or _ANTHROPIC[500 if status >= 500 else 400]


def _in_chat_form(name: str, text: str) -> dict[str, Any]:
    """Return an error as Anthropic's endpoint in OpenAI's form has it: the name of each is its code.

    All have one type: so users' logs have it of 400, 401, 404 and 429. Of a 5xx no log was found.
    """
    text = _WORDS_IN_CHAT_FORM.get(name, text)
    return {"error": {"code": name, "message": text, "type": "invalid_request_error", "param": None}}


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _seconds(span: Nanoseconds) -> str:
    """Return a span as `retry-after` has it: whole seconds, rounded up, since to come too early is refused again."""
    return str(-(-span // SECOND))
