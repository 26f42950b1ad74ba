"""Matching: which recorded answer fits a request.

Two requests fit if method, path, query and the whole body are the same. A JSON body is
compared as a value: neither the order of keys nor the spelling of a number counts, so 1 fits
1.0, but `true` does not. The host does not count: a recording made through a gateway fits the API.

Where none fits, `miss_message` names the recorded request that comes nearest and where the two differ,
since a changed prompt, one call too many and another endpoint need different cures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from threading import Lock
from typing import Any, Final, TypeAlias, final
from urllib.parse import urlsplit

from pytest_claude_latency.cassettes.secrets import conceal
from pytest_claude_latency.messages_api.exchange import Exchange, Request, header
from pytest_claude_latency.plurals import number_of

Key: TypeAlias = Hashable
_INDEX = re.compile(r"\[([^\[\]]+)\]")
_WIDTH = 60  # characters of a value that are shown
_BEFORE = 20  # of these, how many stand before the first that differs
_PLACES = 5  # differences that are shown


@dataclass(frozen=True)
class Rules:
    """What a test says about the matching of its requests.

    `ignore` lists dotted paths of the JSON body that both sides are compared without
    (`"metadata.user_id"`, `"messages.*.content.*.cache_control"`; `messages[0].content` means the same
    as `messages.0.content`). With `repeat` a recorded answer serves any number of identical requests.
    """

    ignore: tuple[str, ...] = ()
    repeat: bool = False


EXACT: Final = Rules()


def fits(recorded: Request, sent: Request, rules: Rules = EXACT) -> bool:
    """Whether an answer recorded for one request is the answer to the other."""
    return key_of(recorded, rules) == key_of(sent, rules)


def key_of(request: Request, rules: Rules = EXACT) -> Key:
    """What requests that fit each other have in common, and no others."""
    kind, value = body_of(request, rules)
    return request.method.upper(), request.path, kind, json.dumps(value, sort_keys=True)


def body_of(request: Request, rules: Rules = EXACT) -> tuple[str, Any]:
    """The body as it is compared: what kind it is, and a JSON value that stands for it."""
    try:
        value = json.loads(request.content, parse_float=_number)
    except (ValueError, RecursionError):
        parts = _parts(request)
        return ("other", _bytes(request.content)) if parts is None else ("multipart", parts)
    for path in rules.ignore:
        _leave_out(value, _INDEX.sub(r".\1", path).split("."))
    return "json", value


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


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
    """The parts of a multipart body, whatever its boundary; None if it is none."""
    boundary = re.search(
        r'multipart/.*;\s*boundary=(?:"([^"]+)"|([^\s;]+))', header(request.headers, "content-type") or ""
    )
    if boundary is None:
        return None
    delimiter = b"\r\n--" + (boundary[1] or boundary[2]).encode()
    _, *parts = (b"\r\n" + request.content).split(delimiter)
    return [_part(part) for part in parts[:-1]]


def _part(part: bytes) -> dict[str, Any]:
    head, _, content = part.partition(b"\r\n\r\n")
    lines = head.decode(errors="backslashreplace").strip().split("\r\n")
    headers = dict(
        sorted((name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    )
    return {"headers": headers, "content": _bytes(content)}


def _bytes(content: bytes) -> str | dict[str, str]:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"bytes": content.hex()}


@final
class Matcher:
    """The answers of one recording, handed out to the requests they fit; safe to ask from several threads.

    Of several that fit, the one recorded first and not yet used is taken: identical requests, and the
    attempts of one call, get their answers in the recorded order.
    """

    def __init__(self, exchanges: Iterable[Exchange], rules: Rules = EXACT) -> None:
        self.exchanges = tuple(exchanges)
        self.rules = rules
        self._lock = Lock()
        self._taken: dict[Key, int] = {}
        self._fitting: dict[Key, list[int]] = {}
        self._places = {id(exchange): place for place, exchange in enumerate(self.exchanges)}
        for place, exchange in enumerate(self.exchanges):
            self._fitting.setdefault(key_of(exchange.request, rules), []).append(place)

    def take(self, sent: Request) -> Exchange | None:
        """The answer to a request, which is then used; None if none fits, or all that fit are used.

        Where the rules let answers repeat, those that fit come round again in their order.
        """
        key = key_of(sent, self.rules)
        fitting = self._fitting.get(key)
        if fitting is None:
            return None
        with self._lock:
            taken = self._taken.get(key, 0)
            if taken >= len(fitting) and not self.rules.repeat:
                return None
            self._taken[key] = taken + 1
        return self.exchanges[fitting[taken % len(fitting)]]

    def place_of(self, taken: Exchange) -> int:
        """Where an exchange that was handed out stands in the recording, from 0."""
        return self._places[id(taken)]

    def fitting(self, sent: Request) -> tuple[int, ...]:
        """The numbers, from 1, of the exchanges that fit a request, used or not."""
        return tuple(place + 1 for place in self._fitting.get(key_of(sent, self.rules), ()))

    def is_used(self, number: int) -> bool:
        """Whether the exchange of this number, from 1, was handed out."""
        key = key_of(self.exchanges[number - 1].request, self.rules)
        return self._fitting[key].index(number - 1) < self._taken.get(key, 0)

    @property
    def unused(self) -> tuple[Exchange, ...]:
        """The exchanges that were not handed out, in their order."""
        with self._lock:
            places = [place for key, fitting in self._fitting.items() for place in fitting[self._taken.get(key, 0) :]]
        return tuple(self.exchanges[place] for place in sorted(places))


@final
class Absent:
    """In the place of a value that only the other side has."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT: Final = Absent()


@dataclass(frozen=True)
class Difference:
    """One place in which a request differs from a recorded one: JSON values, or `ABSENT`."""

    path: str
    recorded: Any
    sent: Any

    @property
    def size(self) -> int:
        """How many characters differ: what makes one changed prompt nearer than another."""
        recorded, sent = _text(self.recorded), _text(self.sent)
        same = _common(recorded, sent)
        recorded, sent = recorded[same:][::-1], sent[same:][::-1]
        return max(len(recorded), len(sent)) - _common(recorded, sent)


def differences(recorded: Request, sent: Request, rules: Rules = EXACT) -> list[Difference]:
    """Every place in which the two differ, as far as the rules care. Empty if they fit."""
    ours, theirs = urlsplit(recorded.url), urlsplit(sent.url)
    places = [("method", recorded.method.upper(), sent.method.upper())]
    places += [("path", ours.path, theirs.path), ("query", ours.query, theirs.query)]
    found = [Difference(*place) for place in places if place[1] != place[2]]
    (kind, recorded_body), (other_kind, sent_body) = body_of(recorded, rules), body_of(sent, rules)
    if kind != other_kind:
        return [*found, Difference("body", recorded_body, sent_body)]
    _compare("", recorded_body, sent_body, found)
    return found


def _compare(path: str, recorded: Any, sent: Any, found: list[Difference]) -> None:
    if isinstance(recorded, dict) and isinstance(sent, dict):
        for key in recorded | sent:
            inner = f"{path}.{key}" if path else key
            _compare(inner, recorded.get(key, ABSENT), sent.get(key, ABSENT), found)
    elif isinstance(recorded, list) and isinstance(sent, list):
        for index, (one, other) in enumerate(zip_longest(recorded, sent, fillvalue=ABSENT)):
            _compare(f"{path}[{index}]", one, other, found)
    elif _text(recorded) != _text(sent):
        found.append(Difference(path or "body", recorded, sent))


def _text(value: Any) -> str:
    return repr(value) if value is ABSENT else json.dumps(value, ensure_ascii=False)


def _common(one: str, other: str) -> int:
    """How many characters both begin with, found by halves: prompts are long."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def nearest(candidates: Iterable[Request], sent: Request, rules: Rules = EXACT) -> int | None:
    """The place, from 0, of the candidate with the fewest and smallest differences; None without candidates.

    The same endpoint is nearer than any other; of two equally near, the earlier is.
    """
    distances = [_distance(differences(each, sent, rules)) for each in candidates]
    return distances.index(min(distances)) if distances else None


def _distance(found: Sequence[Difference]) -> tuple[bool, int, int]:
    elsewhere = any(each.path in ("method", "path") for each in found)
    return elsewhere, len(found), sum(each.size for each in found)


def miss_message(sent: Request, matcher: Matcher | None, *, recording: str, record: str) -> str:
    """Why nothing answers this request, and what to do.

    `matcher` is None where there is no recording, `recording` names its file, `record` is the command
    that would record the test.
    """
    request = sent.title
    if matcher is None:
        head, facts = f"nothing is recorded that could answer this {request}", [_fact("missing", recording)]
    elif fitting := matcher.fitting(sent):
        head = f"this {request} was sent more often than it was recorded"
        facts = [_fact("recorded", f"{_times(fitting)} of {recording}, already used")]
    elif not matcher.exchanges:
        head, facts = f"no recorded answer fits this {request}", [_fact("recording", f"{recording} holds no exchange")]
    else:
        head, facts = f"no recorded answer fits this {request}", _nearest_lines(sent, matcher, recording)
    return "\n".join([head, *facts, _fact("record", record)])


def _fact(label: str, text: str) -> str:
    return f"  {label:<9} {text}"


def _times(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"once, as exchange {numbers[0]}"
    return f"{len(numbers)} times, as exchanges {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _nearest_lines(sent: Request, matcher: Matcher, recording: str) -> list[str]:
    requests = [exchange.request for exchange in matcher.exchanges]
    place = nearest(requests, sent, matcher.rules) or 0
    found = differences(requests[place], sent, matcher.rules)
    used = " (already used)" if matcher.is_used(place + 1) else ""
    places = number_of(len(found), "place", one="one")
    lines = [_fact("nearest", f"exchange {place + 1} of {recording}{used} differs in {places}:")]
    width = max(len(each.path) for each in found[:_PLACES])
    for each in found[:_PLACES]:
        recorded, now = _shortened(each.recorded, each.sent)
        lines.append(f"{'':12}{each.path:<{width}}   recorded  {recorded}")
        lines.append(f"{'':12}{'':<{width}}   sent      {now}")
    if len(found) > _PLACES:
        lines.append(f"{'':12}… and {len(found) - _PLACES} more")
    return lines


def _shortened(recorded: Any, sent: Any) -> tuple[str, str]:
    """Both values cut to what can be read at a glance, around the first character that differs."""
    if not (isinstance(recorded, str) and isinstance(sent, str)):
        return _cut(conceal(_text(recorded)), 0), _cut(conceal(_text(sent)), 0)
    recorded, sent = conceal(recorded), conceal(sent)
    same = _common(recorded, sent)
    start = 0 if max(len(recorded), len(sent)) <= _WIDTH or same <= _BEFORE else same - _BEFORE
    return _text(_cut(recorded, start)), _text(_cut(sent, start))


def _cut(text: str, start: int) -> str:
    end = start + _WIDTH
    return ("…" if start else "") + text[start:end] + ("…" if len(text) > end else "")
