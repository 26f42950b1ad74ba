"""Mismatches: why no recorded answer fits a request, and what to do.

The message names the recorded request that comes nearest and where the two differ, since a changed
prompt, one call too many and another endpoint need different cures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, final
from urllib.parse import urlsplit

from pytest_claude_latency.cassettes.changes import changes
from pytest_claude_latency.cassettes.matching import EXACT, Matcher, Rules, body_of
from pytest_claude_latency.cassettes.secrets import conceal
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable

_WIDTH = 60  # characters of a value that are shown
_BEFORE = 20  # how many of these come before the first character that differs
_PLACES = 5  # differences that are shown
_INDEX = re.compile(r"\[\d+\]")


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


@dataclass(frozen=True)
class Explanation:
    """Why nothing answers a request, and what to do.

    `cause` is equal for misses that have the same cause, in whichever test; empty where a miss is a cause of its own.
    """

    body: str
    cause: str = ""
    unmeant: str = ""
    """What to do if the miss was not meant; empty where there is nothing but to record."""
    is_fault: bool = False
    """Whether it most likely was not meant: to record it would only keep the fault."""

    def text(self, record: str, tests: int = 1) -> str:
        """Return the whole message. `record` is the command that records the tests, of which so many meet this."""
        met_by = [_fact("tests", f"{tests} tests meet this, and one command records them all")] if tests > 1 else []
        if self.is_fault:
            lines = [_fact("do", self.unmeant), _fact("", f"if this was meant: {record}")]
        else:
            lines = [_fact("record", record)]
            lines += [_fact("", f"if this was not meant: {self.unmeant}")] if self.unmeant else []
        return "\n".join([self.body, *met_by, *lines])


def explanation(
    sent: Request, matcher: Matcher | None, *, recording: str, line: str | None = None, let_by: str = ""
) -> Explanation:
    """Return why nothing answers this request, which `line` of the program sends.

    `matcher` is None if there is no recording, `recording` names its file. `let_by` says what happened just before that
    may have let a call happen that is one too many.
    """
    request, unmeant, is_fault, causes = sent.title, "", False, [line or ""]
    made_at = [] if line is None else [_fact("made at", line)]
    if matcher is None:
        head, facts = f"nothing is recorded that could answer this {request}", [_fact("missing", recording)]
    elif fitting := matcher.fitting(sent):
        head = f"this {request} was sent more often than it was recorded"
        *numbers, last = map(str, fitting)
        times = f"{len(fitting)} times, as exchanges {', '.join(numbers)} and {last}"
        if len(fitting) == 1:
            times = f"once, as exchange {last}"
        facts = [_fact("recorded", f"{times} of {recording}, already used")]
        facts += [_fact("let by", let_by)] if let_by else []
        unmeant, is_fault = "find out why the call is made again", True
    elif not matcher.exchanges:
        head, facts = f"no recorded answer fits this {request}", [_fact("recording", f"{recording} holds no exchange")]
    else:
        head, unmeant = f"no recorded answer fits this {request}", "undo the change"
        requests = [exchange.request for exchange in matcher.exchanges]
        # Of all of them, also the used ones: the one that was meant may have gone to another request.
        number = (nearest(requests, sent, matcher.rules) or 0) + 1
        places = differences(requests[number - 1], sent, matcher.rules)
        changed = changes(requests[number - 1], sent)
        facts = [_fact("" if index else "changed", change.text) for index, change in enumerate(changed)]
        facts += _nearest_lines(places, f"exchange {number} of {recording}", is_used=matcher.is_used(number))
        # Without numbers in the paths: the same change stands at other places in other tests.
        causes += sorted({change.name for change in changed} or {_INDEX.sub("", place.path) for place in places})
    return Explanation("\n".join([head, *made_at, *facts]), " ".join([head, *causes]), unmeant, is_fault)


def _fact(label: str, text: str) -> str:
    return f"  {label:<9} {text}"


def _nearest_lines(places: list[Difference], exchange: str, *, is_used: bool) -> list[str]:
    used = " (already used)" if is_used else ""
    count = number_of(len(places), "place", one="one")
    lines = [_fact("nearest", f"{exchange}{used} differs in {count}:")]
    # so that the two values of each place stand under each other
    width = max(len(printable(difference.path)) for difference in places[:_PLACES])
    for difference in places[:_PLACES]:
        recorded, now = _shortened(difference.recorded, difference.sent)
        lines.append(f"{'':12}{printable(difference.path):<{width}}   recorded  {printable(recorded)}")
        lines.append(f"{'':12}{'':<{width}}   sent      {printable(now)}")
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
