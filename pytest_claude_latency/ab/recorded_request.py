"""Counterparts: the recorded request that a call of now is compared with, and whether it can be sent as it stands.

It is sent where the current one went, with the credentials of now; what it asks is the recording's. A request that
holds `[redacted]`, or words of an answer that only its own run got, would ask for something else than it did.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

from pytest_claude_latency.cassettes.matching import Rules, key_of
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cassettes.redaction import PLACEHOLDER, redact_request
from pytest_claude_latency.comparison.call_pairing import Keys, paired
from pytest_claude_latency.messages_api.endpoints import (
    asks_to_stream,
    is_prompt_call,
    place_of,
    provider_of,
    requested_model,
)
from pytest_claude_latency.messages_api.exchange import Exchange, Headers, Request, header
from pytest_claude_latency.messages_api.quotes import quotes_an_answer
from pytest_claude_latency.messages_api.retries import calls_of

_SIGNATURES = ("x-amz-content-sha256", "x-amz-date", "signature", "digest", "content-digest", "content-md5")
_OF_ONE_SENDING = frozenset({"content-length", "transfer-encoding", "idempotency-key", "x-stainless-retry-count"})
_OF_ITS_LOGIN = re.compile(r"oauth-.*")  # a beta that comes with the credential, not with what is asked


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a call is not compared. `mendable`: recording the test would change that."""

    reason: str
    mendable: bool = False


@dataclass(frozen=True, slots=True)
class Counterparts:
    """Two requests to be sent side by side. They hold credentials: they are sent and forgotten."""

    recorded: Request
    current: Request


Found: TypeAlias = Counterparts | Obstacle


def counterparts(
    recording: Recording,
    calls: Sequence[Exchange],
    run: Sequence[Exchange],
    rules: Rules,
    redact: Sequence[re.Pattern[str]],
) -> Iterator[Found]:
    """For each prompt call of a test, given by its answering attempt, the two requests or why there are none.

    `calls` are all of them, fixtures' too, since a recording does not tell these apart; `run` holds every exchange
    of the test. `rules` and `redact` are those by which its requests are matched in a replay.
    """
    recorded = prompts(recording.exchanges)
    before = [_keys(each.request, rules) for each in recorded]
    after = [_keys(redact_request(each.request, redact), rules) for each in calls]
    pairs = paired(before, after)
    for place, call in enumerate(calls):
        if place not in pairs:
            yield Obstacle("it corresponds to no recorded call", mendable=True)
        else:
            yield _found(recorded[pairs[place]], recording, call, run)


def sendable(recording: Recording) -> int:
    """How many recorded calls can be sent as they stand, as far as the recording tells."""
    return sum(_obstacle(each, recording) is None for each in prompts(recording.exchanges))


def prompts(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """The answering attempt of each prompt call in a recording, in the order the calls were made."""
    answering = (call[-1] for call in calls_of(exchanges))
    return [exchange for exchange in answering if is_prompt_call(exchange.request) and not exchange.is_redirect]


def _found(recorded: Exchange, recording: Recording, call: Exchange, run: Sequence[Exchange]) -> Found:
    obstacle = _obstacle(recorded, recording) or _obstacle_now(recorded.request, call, run)
    return obstacle or Counterparts(as_sent_now(recorded.request, call.request), _resent(call.request))


def _obstacle(recorded: Exchange, recording: Recording) -> Obstacle | None:
    request = recorded.request
    if PLACEHOLDER.encode() in request.content:
        return Obstacle(f"its recorded request holds {PLACEHOLDER}")
    if quotes_an_answer(request, recorded.sent, recording.exchanges):
        return Obstacle("its recorded request quotes an earlier answer")
    return None


def _obstacle_now(recorded: Request, call: Exchange, run: Sequence[Exchange]) -> Obstacle | None:
    request = call.request
    if is_signed(request):
        return Obstacle("its request is signed, and a signature holds for one body only")
    if provider_of(recorded) != provider_of(request):
        return Obstacle("it was recorded at another provider, whose requests differ", mendable=True)
    if quotes_an_answer(request, call.sent, run):
        return Obstacle("its request quotes an earlier answer")
    return None


# ── which recorded call ──


def _keys(request: Request, rules: Rules) -> Keys:
    shape: Hashable = requested_model(request), asks_to_stream(request)
    return key_of(request, rules), shape


# ── how it is sent ──


def as_sent_now(recorded: Request, current: Request) -> Request:
    """The recorded request as the program of now would send it.

    Its body, endpoint, API version and betas are the recording's; host, login and everything else are the current
    one's.
    """
    return Request(recorded.method, _url(recorded, current), _headers(recorded, current), recorded.content)


def is_signed(request: Request) -> bool:
    """Whether something in its headers or its query holds for this body only."""
    login = header(request.headers, "authorization") or ""
    signed = any(header(request.headers, name) is not None for name in _SIGNATURES)
    return signed or login.startswith("AWS4-") or "x-amz-signature=" in request.url.lower()


def _resent(current: Request) -> Request:
    headers = tuple((name, value) for name, value in current.headers if name.lower() not in _OF_ONE_SENDING)
    return Request(current.method, current.url, headers, current.content)


def _url(recorded: Request, current: Request) -> str:
    before, _ = place_of(current) or ("", "")
    _, endpoint = place_of(recorded) or ("", "")
    return urlsplit(current.url)._replace(path=before + endpoint, query=urlsplit(recorded.url).query).geturl()


def _headers(recorded: Request, current: Request) -> Headers:
    kept = {name: value for name in ("content-type", "anthropic-version") if (value := header(recorded.headers, name))}
    if betas := _betas(recorded, current):
        kept["anthropic-beta"] = betas
    others = [
        (name, value) for name, value in _resent(current).headers if name.lower() not in {*kept, "anthropic-beta"}
    ]
    return (*others, *kept.items())


def _betas(recorded: Request, current: Request) -> str:
    asked = [beta for beta in _listed(recorded) if not _OF_ITS_LOGIN.fullmatch(beta)]
    return ",".join([*asked, *filter(_OF_ITS_LOGIN.fullmatch, _listed(current))])


def _listed(request: Request) -> list[str]:
    values = [value for name, value in request.headers if name.lower() == "anthropic-beta"]
    return [beta.strip() for value in values for beta in value.split(",") if beta.strip()]
