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

from pytest_claude_latency.cassettes.changes import changes
from pytest_claude_latency.cassettes.matching import EXACT, Matcher, Rules, address_of, body_of
from pytest_claude_latency.cassettes.secrets import conceal
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.messages_api.forms import messages_body
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import WIDTH, columns_of, fitted, printable

NOTHING_RECORDED: Final = "nothing is recorded that could answer this {request}"
NOTHING_FITS: Final = "no recorded answer fits this {request}"
SENT_TOO_OFTEN: Final = "this {request} was sent more often than it was recorded"

_INDENT = 12  # in front of the text of a line
_WIDTH, _LEAST_WIDTH = 64, 34  # columns of a value that is shown, its quotes among them
_BEFORE = 20  # how many characters are shown before the first one that differs
_PLACES = 5  # differences that are shown
_SETTINGS = {"model", "max_tokens", "stream", "number of tools"}
_ALIKE = 0.3  # of the words of two prompts: those of two tasks have fewer in common
_FORM = {"role", "user", "assistant", "content", "type", "text"}  # words of the body that are in each prompt
_WORD = re.compile(r"\w+")
WITHOUT_KEY: Final = "@latency_answers makes answers up; see it: claude-latency demo"
"""What to do where there is neither a recording nor a key to make one."""
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
    (recorded_path, recorded_query), (sent_path, sent_query) = address_of(recorded), address_of(sent)
    heads = [
        Difference("method", recorded.method.upper(), sent.method.upper()),
        Difference("path", recorded_path, sent_path),
        Difference("query", recorded_query, sent_query),
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
    without_key: str = ""
    """What to do if there is no key to record with; empty where there are recordings already."""

    def text(self, record: str, tests: int = 1) -> str:
        """Return the whole message. `record` is the command that records the tests, of which so many meet this."""
        met_by = [_fact("tests", f"{tests} tests meet this, and one command records them all")] if tests > 1 else []
        if self.is_fault:
            lines = [_fact("do", self.unmeant), _fact("", f"if this was meant: {record}")]
        else:
            lines = [_fact("record", record)]
            lines += [_fact("no key?", self.without_key)] if self.without_key else []
            lines += [_fact("", f"if this was not meant: {self.unmeant}")] if self.unmeant else []
        return "\n".join([self.body, *met_by, *lines])


@dataclass(frozen=True)
class Origin:
    """Where a request comes from: the line that sends it, the line that called that one, and what happened just before.

    Empty where it is not known, or where there is nothing to say.
    """

    line: str = ""
    caller: str = ""
    let_by: str = ""
    """What may have let a call happen that is one too many."""
    remedy: str = "find out why the call is made again"


def explanation(
    sent: Request,
    matcher: Matcher | None,
    *,
    recording: str,
    origin: Origin = Origin(),
) -> Explanation:
    """Return why nothing answers this request, which comes from `origin`.

    `matcher` is None if there is no recording, `recording` names its file.
    """
    if matcher is not None and matcher.exchanges and not matcher.fitting(sent):
        return _unlike_all(sent, matcher, recording, origin)
    request, unmeant, is_fault, causes = sent.title, "", False, [origin.line]
    made_at = [_fact("made at", origin.line)] if origin.line else []
    called_by = [_fact("called by", origin.caller)] if origin.caller else []
    without_key = WITHOUT_KEY if matcher is None and is_prompt_call(sent) else ""
    if matcher is None:
        head, facts = NOTHING_RECORDED.format(request=request), [_fact("missing", recording)]
    elif fitting := matcher.fitting(sent):
        head = SENT_TOO_OFTEN.format(request=request)
        *numbers, last = map(str, fitting)
        times = f"{len(fitting)} times, as exchanges {', '.join(numbers)} and {last}"
        if len(fitting) == 1:
            times = f"once, as exchange {last}"
        facts = [*called_by, _fact("recorded", f"{times} of {recording},", "already used")]
        facts += [_fact("let by", origin.let_by)] if origin.let_by else []
        unmeant, is_fault = origin.remedy, True
        causes += [origin.caller, origin.remedy]  # two callers may ask again for two reasons
    else:
        head, facts = NOTHING_FITS.format(request=request), [_fact("recording", f"{recording} holds no exchange")]
    return Explanation("\n".join([head, *made_at, *facts]), " ".join([head, *causes]), unmeant, is_fault, without_key)


def _unlike_all(sent: Request, matcher: Matcher, recording: str, origin: Origin) -> Explanation:
    """Return how a request differs from the recorded one that comes nearest."""
    # Of all of them, also the used ones: the one that was meant may have gone to another request.
    requests = [exchange.request for exchange in matcher.recorded]
    number = (nearest(requests, sent, matcher.rules) or 0) + 1
    recorded = requests[number - 1]
    places, changed = differences(recorded, sent, matcher.rules), changes(recorded, sent)
    names = {change.name for change in changed}
    facts = [_fact("made at", origin.line)] if origin.line else []
    # A fallback or a second try may ask for something else. What is nearest to it went to the call that came first.
    let_by = origin.let_by if matcher.is_used(number) else ""
    if let_by or _is_another_call(recorded, sent, names):
        head, is_fault = f"this {sent.title} is a call that was not recorded", bool(let_by)
        facts += [_fact("called by", origin.caller)] if origin.caller else []
        unmeant = origin.remedy if let_by else f"take the call out of {origin.caller or origin.line or 'the program'}"
        causes = [origin.caller]
    else:
        head, is_fault = NOTHING_FITS.format(request=sent.title), any(change.slows for change in changed)
        facts += [_fact("" if index else "changed", change.text) for index, change in enumerate(changed)]
        # without the places in lists: tests that send the same change have it at different places
        causes = sorted(names or {_INDEX.sub("", place.path) for place in places})
        # what slows users down is most likely the mistake, so only that is to be undone
        undone = [change.undo for change in changed if change.slows or not is_fault]
        unmeant = " and ".join(undone) or "undo the change"
    facts += _nearest_lines(places, f"exchange {number} of {recording}", is_used=matcher.is_used(number))
    facts += [_fact("let by", let_by)] if let_by else []
    line = origin.line
    if names == {"model"}:  # most programs name their model in one place, for all their calls
        line, causes = "", [changed[0].text]
    return Explanation("\n".join([head, *facts]), " ".join([head, line, *causes]), unmeant, is_fault)


def _is_another_call(recorded: Request, sent: Request, changed: set[str]) -> bool:
    """Return whether a request asks for other work than its nearest one: other words, and other settings too.

    A prompt that was rewritten keeps its settings, and a call that got another model keeps its prompt.
    """
    if not _SETTINGS.intersection(changed):
        return False
    bodies = [messages_body(request) for request in (recorded, sent)]
    # What only one of them has says nothing: a prompt that moves into or out of `system` is the same prompt.
    name = "system" if all(body.get("system") for body in bodies) else "messages"
    before, after = (set(_WORD.findall(_text(body.get(name)))) - _FORM for body in bodies)
    return len(before & after) < _ALIKE * len(before | after)


def _fact(label: str, *pieces: str) -> str:
    """Return a line of a message, or a line for each of its pieces where they have no room in one."""
    line = f"{f'  {label}':<{_INDENT}}{' '.join(pieces)}"
    if columns_of(line) >= WIDTH:
        line = f"{f'  {label}':<{_INDENT}}" + f"\n{'':<{_INDENT}}".join(pieces)
    return fitted(line)


def _nearest_lines(places: list[Difference], exchange: str, *, is_used: bool) -> list[str]:
    used = " (already used)" if is_used else ""
    count = number_of(len(places), "place", one="one")
    lines = [_fact("nearest", f"{exchange}{used}", f"differs in {count}:")]
    # so that the two values of each place stand under each other
    width = max(columns_of(printable(difference.path)) for difference in places[:_PLACES])
    room = WIDTH - 1 - _INDENT - width - len("   recorded  ")
    values = [_shortened(place.recorded, place.sent, max(room, _LEAST_WIDTH)) for place in places[:_PLACES]]
    has_room = all(columns_of(value) <= room for pair in values for value in pair)
    if not has_room:  # the values stand below their place
        room, width = WIDTH - 1 - _INDENT - len("  recorded  "), -1
        values = [_shortened(place.recorded, place.sent, room) for place in places[:_PLACES]]
    for difference, (recorded, now) in zip(places, values, strict=False):
        path = printable(difference.path)
        lines += [] if has_room else [f"{'':12}{path}"]
        lines.append(f"{'':12}{path if has_room else '':<{width + 3}}recorded  {recorded}")
        lines.append(f"{'':12}{'':<{width + 3}}sent      {now}")
    if len(places) > _PLACES:
        lines.append(f"{'':12}… and {len(places) - _PLACES} more")
    return lines


def _shortened(recorded: Any, sent: Any, room: int) -> tuple[str, str]:
    """Cut both values to what can be read at a glance, around the first character that differs."""
    width = min(room, _WIDTH)
    are_texts = isinstance(recorded, str) and isinstance(sent, str)
    # before they are cut: half a key is not recognized
    texts = [conceal(value if are_texts else _text(value)) for value in (recorded, sent)]
    same, start = _shared_start(*texts), 0
    is_long = any(len(text) > width or columns_of(printable(_text(text))) > width for text in texts)
    if are_texts and is_long and same > _BEFORE:
        # less of what wide characters or escapes stand for, or nothing that differs would be left to see
        leads = range(same - _BEFORE, same)
        start = next((place for place in leads if columns_of(_text(texts[0][place:same])) <= 2 * width // 3), same)
    before, now = (_cut(text, start, width, is_text=are_texts) for text in texts)
    return before, now


def _cut(text: str, start: int, width: int, *, is_text: bool) -> str:
    """Return as much of a text, from `start`, as fits; one that is a value itself is written as JSON."""
    # From the longest on, since only what is written shows its columns: escapes are longer, some characters wider.
    for length in range(min(len(text) - start, width), 0, -1):
        end = start + length
        part = ("…" if start else "") + text[start:end] + ("…" if len(text) > end else "")
        written = printable(_text(part) if is_text else part)
        if columns_of(written) <= width:
            return written
    return _text(text[start:]) if is_text else text[start:]
