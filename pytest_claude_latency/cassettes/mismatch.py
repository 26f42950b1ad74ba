"""Mismatches: why no recorded answer fits a request, and what to do.

The message names the recorded request that comes nearest and where the two differ, since a changed
prompt, one call too many and another endpoint need different cures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, final
from urllib.parse import urlsplit

from pytest_claude_latency.cassettes.matching import EXACT, Matcher, Rules, body_of
from pytest_claude_latency.cassettes.secrets import conceal
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.plurals import number_of

_WIDTH = 60  # characters of a value that are shown
_BEFORE = 20  # how many of these come before the first character that differs
_PLACES = 5  # differences that are shown


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
        """How many characters differ: it makes one changed prompt nearer than another."""
        recorded, sent = _text(self.recorded), _text(self.sent)
        same = _shared_start(recorded, sent)
        recorded, sent = recorded[same:][::-1], sent[same:][::-1]
        return max(len(recorded), len(sent)) - _shared_start(recorded, sent)


def differences(recorded: Request, sent: Request, rules: Rules = EXACT) -> list[Difference]:
    """Return every place in which two requests differ, as far as the rules care. Empty if they fit."""
    recorded_url, sent_url = urlsplit(recorded.url), urlsplit(sent.url)
    heads = [
        Difference("method", recorded.method.upper(), sent.method.upper()),
        Difference("path", recorded_url.path, sent_url.path),
        Difference("query", recorded_url.query, sent_url.query),
    ]
    result = [difference for difference in heads if difference.recorded != difference.sent]
    (recorded_kind, recorded_body), (sent_kind, sent_body) = body_of(recorded, rules), body_of(sent, rules)
    if recorded_kind != sent_kind:
        return [*result, Difference("body", recorded_body, sent_body)]
    _compare("", recorded_body, sent_body, result)
    return result


def _compare(path: str, recorded: Any, sent: Any, result: list[Difference]) -> None:
    if isinstance(recorded, dict) and isinstance(sent, dict):
        for key in recorded | sent:
            inner = f"{path}.{key}" if path else key
            _compare(inner, recorded.get(key, ABSENT), sent.get(key, ABSENT), result)
    elif isinstance(recorded, list) and isinstance(sent, list):
        for index, (recorded_item, sent_item) in enumerate(zip_longest(recorded, sent, fillvalue=ABSENT)):
            _compare(f"{path}[{index}]", recorded_item, sent_item, result)
    elif _text(recorded) != _text(sent):
        result.append(Difference(path or "body", recorded, sent))


def _text(value: Any) -> str:
    return repr(value) if value is ABSENT else json.dumps(value, ensure_ascii=False)


def _shared_start(first: str, second: str) -> int:
    """Return how many characters both texts begin with. It halves the range at each step, since prompts are long."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def nearest(candidates: Iterable[Request], sent: Request, rules: Rules = EXACT) -> int | None:
    """Return the place, from 0, of the candidate with the fewest and smallest differences; None without candidates.

    The same endpoint is nearer than any other; of two equally near, the earlier is.
    """
    distances: list[tuple[bool, int, int]] = []
    for candidate in candidates:
        places = differences(candidate, sent, rules)
        # a request to another endpoint is another thing, however alike the two bodies are
        elsewhere = any(difference.path in ("method", "path") for difference in places)
        distances.append((elsewhere, len(places), sum(difference.size for difference in places)))
    return distances.index(min(distances)) if distances else None


def miss_message(sent: Request, matcher: Matcher | None, *, recording: str, record: str) -> str:
    """Return why nothing answers this request, and what to do.

    `matcher` is None if there is no recording, `recording` names its file, `record` is the command
    that would record the test.
    """
    request = sent.title
    if matcher is None:
        head, facts = f"nothing is recorded that could answer this {request}", [_fact("missing", recording)]
    elif fitting := matcher.fitting(sent):
        head = f"this {request} was sent more often than it was recorded"
        *numbers, last = map(str, fitting)
        times = f"{len(fitting)} times, as exchanges {', '.join(numbers)} and {last}"
        if len(fitting) == 1:
            times = f"once, as exchange {last}"
        facts = [_fact("recorded", f"{times} of {recording}, already used")]
    elif not matcher.exchanges:
        head, facts = f"no recorded answer fits this {request}", [_fact("recording", f"{recording} holds no exchange")]
    else:
        head, facts = f"no recorded answer fits this {request}", _nearest_lines(sent, matcher, recording)
    # The facts line up with those of a budget's message.
    return "\n".join([head, *facts, _fact("record", record)])


def _fact(label: str, text: str) -> str:
    return f"  {label:<9} {text}"


def _nearest_lines(sent: Request, matcher: Matcher, recording: str) -> list[str]:
    requests = [exchange.request for exchange in matcher.exchanges]
    place = nearest(requests, sent, matcher.rules) or 0
    places = differences(requests[place], sent, matcher.rules)
    used = " (already used)" if matcher.is_used(place + 1) else ""
    count = number_of(len(places), "place", one="one")
    lines = [_fact("nearest", f"exchange {place + 1} of {recording}{used} differs in {count}:")]
    # so that the two values of each place stand under each other
    width = max(len(difference.path) for difference in places[:_PLACES])
    for difference in places[:_PLACES]:
        recorded, now = _shortened(difference.recorded, difference.sent)
        lines.append(f"{'':12}{difference.path:<{width}}   recorded  {recorded}")
        lines.append(f"{'':12}{'':<{width}}   sent      {now}")
    if len(places) > _PLACES:
        lines.append(f"{'':12}… and {len(places) - _PLACES} more")
    return lines


def _shortened(recorded: Any, sent: Any) -> tuple[str, str]:
    """Cut both values to what can be read at a glance, around the first character that differs."""
    if not (isinstance(recorded, str) and isinstance(sent, str)):
        return _cut(conceal(_text(recorded)), 0), _cut(conceal(_text(sent)), 0)
    recorded, sent = conceal(recorded), conceal(sent)  # before they are cut: half a key is not recognized
    same = _shared_start(recorded, sent)
    start = 0 if max(len(recorded), len(sent)) <= _WIDTH or same <= _BEFORE else same - _BEFORE
    return _text(_cut(recorded, start)), _text(_cut(sent, start))


def _cut(text: str, start: int) -> str:
    end = start + _WIDTH
    return ("…" if start else "") + text[start:end] + ("…" if len(text) > end else "")
