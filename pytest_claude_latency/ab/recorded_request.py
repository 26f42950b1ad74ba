"""The recorded request that a current call is compared with, and whether both can be sent now.

A recorded request goes where the current one went, with the current credentials; what it asks is the recording's. Some
cannot be sent again: one that holds `[redacted]`, or words of an answer that only its own run got, would ask for
something else now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pytest_claude_latency.cassettes.matching import Rules, key_of
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cassettes.redaction import PLACEHOLDER, redact_request
from pytest_claude_latency.comparison.call_pairing import Keys, paired
from pytest_claude_latency.messages_api.endpoints import (
    asks_to_stream,
    is_prompt_call,
    is_signed_by_aws,
    place_of,
    provider_of,
    requested_model,
)
from pytest_claude_latency.messages_api.exchange import Exchange, Request, header
from pytest_claude_latency.messages_api.quotes import quotes_an_answer
from pytest_claude_latency.messages_api.retries import calls_of

# The date of AWS is among them: it is part of what is signed, and on its own it says that there is a signature.
_SIGNATURES = ("x-amz-content-sha256", "x-amz-date", "signature", "digest", "content-digest", "content-md5")
_OF_ONE_SENDING = frozenset({"content-length", "transfer-encoding", "idempotency-key", "x-stainless-retry-count"})
_OF_THE_RECORDING = ("content-type", "anthropic-version")
_BETA_OF_A_LOGIN = re.compile(r"oauth-.*")  # comes with the credential, and is no part of what is asked


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a call is not compared."""

    reason: str
    mendable: bool = False
    """Whether recording the test would change that."""


NO_RECORDED_CALL: Final = Obstacle("it corresponds to no recorded call", mendable=True)
ANOTHER_PROVIDER: Final = Obstacle("it was recorded at another provider, whose requests differ", mendable=True)
HOLDS_REDACTED: Final = Obstacle(f"its recorded request holds {PLACEHOLDER}")
RECORDED_QUOTES: Final = Obstacle("its recorded request quotes an earlier answer")
CURRENT_QUOTES: Final = Obstacle("its request quotes an earlier answer")
SIGNED: Final = Obstacle("its request is signed, and a signature holds for one body only")


@dataclass(frozen=True, slots=True)
class RequestPair:
    """Two requests to be sent one right after the other. They hold credentials and are kept nowhere."""

    recorded: Request
    current: Request


def request_pairs(
    recording: Recording,
    calls: Sequence[Exchange],
    exchanges: Sequence[Exchange],
    rules: Rules,
    redact: Sequence[re.Pattern[str]],
) -> Iterator[RequestPair | Obstacle]:
    """Yield for each prompt call of a test the two requests to send, or why there are none.

    `calls` holds the answering attempt of each prompt call, also of those in fixtures, since a recording does not tell
    these apart. `exchanges` are all that the test made. Its requests are matched by `rules` and `redact`, as they are
    in a replay.
    """

    def keys(request: Request) -> Keys:
        return key_of(request, rules), (requested_model(request), asks_to_stream(request))

    # Calls correspond by what they ask, else by model and streaming, else by their place: a changed prompt, which an
    # A/B run is made for, must still find its recorded call.
    recorded_calls = prompts(recording.exchanges)
    before = [keys(recorded.request) for recorded in recorded_calls]
    after = [keys(redact_request(call.request, redact)) for call in calls]
    pairs = paired(before, after)
    for place, call in enumerate(calls):
        if place not in pairs:
            yield NO_RECORDED_CALL
            continue
        recorded, request = recorded_calls[pairs[place]], call.request
        if obstacle := obstacle_of(recorded, recording):
            yield obstacle
            continue
        if is_signed(request):
            yield SIGNED
            continue
        # the recorded request would have to go to where the current one went, where its form is not understood
        if provider_of(recorded.request) != provider_of(request):
            yield ANOTHER_PROVIDER
            continue
        if quotes_an_answer(request, call.sent, exchanges):
            yield CURRENT_QUOTES
            continue
        current = Request(request.method, request.url, _headers_to_repeat(request), request.content)
        yield RequestPair(as_sent_now(recorded.request, request), current)


def sendable(recording: Recording) -> int:
    """Return how many recorded calls can be sent as they stand, as far as the recording tells."""
    return sum(obstacle_of(recorded, recording) is None for recorded in prompts(recording.exchanges))


def prompts(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Return the answering attempt of each prompt call in a recording, in the order the calls were made."""
    # The last attempt got the answer. The ones before it were refused, or sent elsewhere.
    answering = (call[-1] for call in calls_of(exchanges))
    return [exchange for exchange in answering if is_prompt_call(exchange.request) and not exchange.is_redirect]


def obstacle_of(recorded: Exchange, recording: Recording) -> Obstacle | None:
    """Return what stands against sending a recorded request again, as far as the recording tells."""
    # What was redacted is lost: the request would ask about the word [redacted].
    if PLACEHOLDER.encode() in recorded.request.content:
        return HOLDS_REDACTED
    if quotes_an_answer(recorded.request, recorded.sent, recording.exchanges):
        return RECORDED_QUOTES
    return None


def is_signed(request: Request) -> bool:
    """Return whether something in its headers or its query holds for this body only."""
    return is_signed_by_aws(request) or any(header(request.headers, name) is not None for name in _SIGNATURES)


def as_sent_now(recorded: Request, current: Request) -> Request:
    """Return the recorded request as the current program would send it.

    Its body, endpoint, API version and betas are the recording's. Host, login and everything else are the current
    request's.
    """
    # A gateway's prefix, or the project that pays, is the current one's; which model is asked, in a path too, is not.
    prefix, _ = place_of(current) or ("", "")
    _, endpoint = place_of(recorded) or ("", "")
    query = urlsplit(recorded.url).query
    url = urlsplit(current.url)._replace(path=prefix + endpoint, query=query).geturl()

    headers = {name: value for name in _OF_THE_RECORDING if (value := header(recorded.headers, name))}
    # A login by OAuth works only with its own beta, and must not be sent with a key.
    betas = [beta for beta in _betas(recorded) if not _BETA_OF_A_LOGIN.fullmatch(beta)]
    betas += filter(_BETA_OF_A_LOGIN.fullmatch, _betas(current))
    if betas:
        headers["anthropic-beta"] = ",".join(betas)
    replaced = {*headers, "anthropic-beta"}
    current_headers = [(name, value) for name, value in _headers_to_repeat(current) if name.lower() not in replaced]
    return Request(recorded.method, url, (*current_headers, *headers.items()), recorded.content)


def _headers_to_repeat(request: Request) -> tuple[tuple[str, str], ...]:
    """Return its headers without those that number one sending, or describe its body on the wire."""
    return tuple((name, value) for name, value in request.headers if name.lower() not in _OF_ONE_SENDING)


def _betas(request: Request) -> list[str]:
    values = [value for name, value in request.headers if name.lower() == "anthropic-beta"]
    return [beta.strip() for value in values for beta in value.split(",") if beta.strip()]
