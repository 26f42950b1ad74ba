"""Matching: which recorded answer fits a request.

Two requests fit if method, path, query and the whole body are the same. A JSON body is
compared as a value: neither the order of keys nor the spelling of a number counts, so 1 fits
1.0, but `true` does not. The host does not count: a recording made through a gateway fits the API.
Nor does `beta=true` in the query, which the SDK's `beta` clients add or not, by their version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from threading import Lock
from typing import Any, Final, TypeAlias, cast, final
from urllib.parse import urlsplit

from pytest_claude_latency.messages_api.endpoints import PROJECT, UNKNOWN_PROJECT
from pytest_claude_latency.messages_api.exchange import Exchange, Request, header

Key: TypeAlias = Hashable
_INDEX = re.compile(r"\[([^\[\]]+)\]")


@dataclass(frozen=True)
class Rules:
    """How the requests of a test are matched, as its marker says.

    `ignore` lists dotted paths of the JSON body that both sides are compared without
    (`"metadata.user_id"`, `"messages.*.content.*.cache_control"`; `messages[0].content` means the same
    as `messages.0.content`). With `repeat` a recorded answer serves any number of identical requests.
    """

    ignore: tuple[str, ...] = ()
    repeat: bool = False


EXACT: Final = Rules()
"""Nothing is ignored, and each answer serves one request."""


def key_of(request: Request, rules: Rules = EXACT) -> Key:
    """Return a value that two requests share if, and only if, the answer to one is the answer to the other."""
    return _key(request, *body_of(request, rules))


def _key(request: Request, kind: str, value: Any) -> Key:
    return request.method.upper(), *address_of(request), kind, _SORTED.encode(value)


def address_of(request: Request) -> tuple[str, str]:
    """Return path and query of a request as they are compared."""
    parts = urlsplit(request.url)
    return parts.path, "&".join(pair for pair in parts.query.split("&") if pair != "beta=true")


def body_of(request: Request, rules: Rules = EXACT) -> tuple[str, Any]:
    """Return the kind of a body, and a JSON value that stands for it where bodies are compared."""
    try:
        # As numbers, 1 and 1.0 are the same; as texts they are not.
        content = request.content
        value = _DECODER.decode(content.decode(json.detect_encoding(content), "surrogatepass"))
    except (ValueError, RecursionError):
        parts = _parts(request)
        return ("other", _bytes(request.content)) if parts is None else ("multipart", parts)
    for path in rules.ignore:
        _leave_out(value, _INDEX.sub(r".\1", path).split("."))
    return "json", value


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


# Made once: `json.loads` and `json.dumps` with arguments make a new one each time.
_DECODER = json.JSONDecoder(parse_float=_number)
_SORTED = json.JSONEncoder(sort_keys=True)


def _leave_out(value: Any, path: list[str]) -> None:
    step, *rest = path
    if isinstance(value, dict):
        places: list[Any] = list(value) if step == "*" else [step] if step in value else []
    elif isinstance(value, list):
        # From the end: what is left out must not move what comes next.
        places = [place for place in reversed(range(len(value))) if step in ("*", str(place))]
    else:
        return
    for place in places:
        if rest:
            _leave_out(value[place], rest)
        else:
            del value[place]


def _parts(request: Request) -> list[dict[str, Any]] | None:
    """Return the parts of a multipart body, which has another boundary each time; None if it is none."""
    content_type = header(request.headers, "content-type") or ""
    if not content_type.lower().startswith("multipart/"):
        return None
    # The standard library reads such a body only behind the header that names its boundary.
    head = f"Content-Type: {content_type}\r\n\r\n".encode(errors="replace")
    body = BytesParser(_class=EmailMessage, policy=HTTP).parsebytes(head + request.content)
    parts = list(body.iter_parts()) if body.is_multipart() else []
    if not parts or any(part.is_multipart() for part in parts):
        return None  # without parts, or with parts in parts, which no client of the API sends
    return [
        {
            "headers": dict(sorted((name.lower(), str(value)) for name, value in part.items())),
            "content": _bytes(cast(bytes, part.get_payload(decode=True))),
        }
        for part in parts
    ]


def _bytes(content: bytes) -> str | dict[str, str]:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"bytes": content.hex()}


@final
class Matcher:
    """The answers of one recording, each handed out to a request that it fits. Several threads may ask at once.

    Of several that fit, the first one not yet used is taken: identical requests, and the attempts of one
    call, get their answers in the recorded order.
    """

    def __init__(self, exchanges: Iterable[Exchange], rules: Rules = EXACT) -> None:
        self.exchanges = tuple(exchanges)
        self.rules = rules
        self._lock = Lock()
        self._taken: dict[Key, int] = {}
        self._fitting: dict[Key, list[int]] = {}
        # By identity: two exchanges of a recording may be equal.
        self._places = {id(exchange): place for place, exchange in enumerate(self.exchanges)}
        self._keys: dict[tuple[str, str, bytes], Key] = {}
        """The keys of the recorded JSON bodies, by their requests as they are: most are sent again to the byte."""
        for place, exchange in enumerate(self.exchanges):
            request = exchange.request
            kind, value = body_of(request, rules)
            key = _key(request, kind, value)
            self._fitting.setdefault(key, []).append(place)
            if kind == "json":  # others are told apart by their headers too
                self._keys[request.method, request.url, request.content] = key
        # messages name an exchange as its file numbers it, which knows nothing of faults
        self._recorded = [place for place, exchange in enumerate(self.exchanges) if not exchange.is_injected]
        self._endless = {
            place
            for place, exchange in enumerate(self.exchanges)
            if exchange.fault is not None and exchange.fault.is_endless
        }
        # a dict keeps the recorded order
        self._projects = list(
            dict.fromkeys(name for exchange in self.exchanges for name in PROJECT.findall(exchange.request.url))
        )

    def placed(self, sent: Request) -> Request:
        """Return a request with a recorded project where its own is not known: the first with which it fits, or any."""
        unknown = f"/{UNKNOWN_PROJECT}/"
        if unknown not in sent.path or not self._projects:
            return sent
        placed = [replace(sent, url=sent.url.replace(unknown, f"/{project}/", 1)) for project in self._projects]
        return next((request for request in placed if key_of(request, self.rules) in self._fitting), placed[0])

    def take(self, sent: Request) -> Exchange | None:
        """Return the exchange that answers a request, and mark it as used; None if none fits or all that fit are used.

        Where the rules let answers repeat, those that fit are served again in their order.
        """
        key = self._keys.get((sent.method, sent.url, sent.content)) or key_of(sent, self.rules)
        fitting = self._fitting.get(key)
        if fitting is None:
            return None
        with self._lock:  # or two threads that send the same request at once would get the same answer
            taken = self._taken.get(key, 0)
            place = self._place(fitting, taken)
            if place is not None:
                self._taken[key] = taken + 1
        return None if place is None else self.exchanges[place]

    def _place(self, fitting: list[int], taken: int) -> int | None:
        """Return the place of what answers the asking after the first `taken` ones; None if nothing is left."""
        if self._endless:  # most recordings have none, and a request may be sent thousands of times
            met = next((place for place in fitting[: taken + 1] if place in self._endless), None)
            if met is not None:
                return met
        if taken < len(fitting):
            return fitting[taken]
        if not self.rules.repeat:
            return None
        # what was recorded is repeated; a fault was met as often as it was to be
        repeated = [place for place in fitting if not self.exchanges[place].is_injected]
        return repeated[(taken - len(fitting)) % len(repeated)]

    def place_of(self, taken: Exchange) -> int:
        """Return the place in the recording, from 0, of an exchange that was handed out."""
        return self._places[id(taken)]

    def fitting(self, sent: Request) -> tuple[int, ...]:
        """Return the numbers, from 1, of the exchanges that fit a request, used or not."""
        places = self._fitting.get(key_of(sent, self.rules), ())
        return tuple(self._recorded.index(place) + 1 for place in places if not self.exchanges[place].is_injected)

    @property
    def recorded(self) -> tuple[Exchange, ...]:
        """The exchanges that a recording holds, without what a fault put among them."""
        return tuple(self.exchanges[place] for place in self._recorded)

    def is_used(self, number: int) -> bool:
        """Return whether the recorded exchange of this number, from 1, was handed out."""
        place = self._recorded[number - 1]
        key = key_of(self.exchanges[place].request, self.rules)
        before = self._fitting[key][: self._fitting[key].index(place)]
        return len(before) < self._taken.get(key, 0) and self._endless.isdisjoint(before)

    @property
    def unused(self) -> tuple[Exchange, ...]:
        """The exchanges that were not handed out, in the recorded order."""
        with self._lock:
            places = [place for key, fitting in self._fitting.items() for place in fitting[self._taken.get(key, 0) :]]
        return tuple(self.exchanges[place] for place in sorted(places))
