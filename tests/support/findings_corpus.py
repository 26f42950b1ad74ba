"""The corpus that rules are held against: calls where a rule must speak, and more where it must be silent.

Each rule has an entry under the name of its finding. A case is what a test exchanged, with a name that says why the
rule should speak or keep silent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pytest_claude_latency.diagnosis.rules import Trace
from pytest_claude_latency.messages_api.exchange import Chunk, End, Exchange, FaultMark, Request
from pytest_claude_latency.messages_api.retries import calls_of
from pytest_claude_latency.virtual_time import Hold
from pytest_claude_latency.virtual_time.scheduling.holds import Due, Line
from tests.support.written_calls import (
    HAIKU,
    OPUS,
    SONNET,
    asked,
    counting,
    ns,
    refused,
    streamed,
    unanswered,
    usage,
    whole,
)

WORDS = ("word " * 600).split()
SYSTEM = "You sort the tickets of a small shop."

LATE = [(400, "text", "Your parcel "), (30_400, "text", "is on its way.")]


@dataclass(frozen=True)
class Case:
    """What a test exchanged, other runs to compare it with, and the metrics whose limits it broke."""

    exchanges: Sequence[Exchange]
    others: Sequence[Case] = ()
    broken: Sequence[str] = ()
    test: str = "tests/test_it.py::test_it"
    sample: int = 1
    recorded: str = ""
    holds: Sequence[Hold] = ()
    replaced: Case | None = None

    @property
    def trace(self) -> Trace:
        """The case as rules see it."""
        trace = Trace.of(
            calls_of(self.exchanges),
            nodeid=self.test,
            sample=self.sample,
            recorded=self.recorded,
            holds=self.holds,
        )
        replaced = None if self.replaced is None else self.replaced.trace
        return trace.compared_with([case.trace for case in self.others], self.broken, replaced)


class Entry(NamedTuple):
    """The cases of one rule, by what is special about them."""

    speaks: Mapping[str, Case]
    silent: Mapping[str, Case]


def one(*exchanges: Exchange, **more: Any) -> Case:
    """A case of these exchanges."""
    return Case(exchanges, **more)


def other(*exchanges: Exchange, test: str = "tests/test_it.py::test_other") -> Case:
    """Another test's run."""
    return Case(exchanges, test=test)


def _refusals(count: int, text: str = "Hi", since: int = 0) -> list[Exchange]:
    """A request that is refused so often, a second apart."""
    request = streamed().request if text == "Hi" else asked(text, stream=True)
    return [refused(request, at=80, sent=since + 1000 * place) for place in range(count)]


def injected(exchange: Exchange, pause: float = 0) -> Exchange:
    """An attempt that a fault answered, with a stall of so many milliseconds in it."""
    return replace(exchange, recorded=replace(exchange, fault=FaultMark(1, is_injected=True, pause=ns(pause))))


def cut(sent: float = 0, prompt: str = "Where is my order?", **more: Any) -> Exchange:
    """A streamed answer that ends behind its second piece, as if it were whole."""
    made = streamed(asked(prompt), sent=sent, **more)
    return replace(made, chunks=made.chunks[:-2])


def said(text: str, **more: Any) -> Exchange:
    """A streamed answer with this text."""
    half = len(text) // 2
    return streamed(pieces=[(400, "text", text[:half]), (900, "text", text[half:])], **more)


def steady(seconds: float = 5, tokens: int = 400, request: Request | None = None, **more: Any) -> Exchange:
    """A streamed answer that comes evenly, from 400 ms on, for so many seconds."""
    step = seconds * 1000 / 50
    pieces = [(400 + step * place, "text", f"w{place} ") for place in range(51)]
    return streamed(request, pieces, **{"used": usage(output=tokens), **more})


def prose(words: int) -> str:
    """A text of so many words."""
    return " ".join(WORDS[:words])


def counted(prompt: str, words: int | str, **more: Any) -> Case:
    """A prompt and the number of words, or the text, of its answer."""
    return one(said(words if isinstance(words, str) else prose(words), request=asked(prompt, **more)))


def triage(ticket: str, sent: float, answer: str = "billing", **more: Any) -> Exchange:
    """One of several calls that sort tickets, each on its own."""
    return streamed(
        asked(ticket, system=SYSTEM, **more),
        [(400, "text", answer), (900, "text", ".")],
        sent=sent,
        used=usage(output=5),
    )


def blocks(*written: tuple[str, float, float, Sequence[float]], request: Request | None = None) -> Exchange:
    """A streamed answer of these content blocks: each with when it begins and ends, and when its pieces come."""
    made = streamed(request, [], stop=written[-1][2])
    events: list[tuple[float, dict[str, Any]]] = []
    names = {"thinking": ("thinking_delta", "thinking"), "text": ("text_delta", "text")}
    for index, (kind, began, ended, pieces) in enumerate(written):
        name, key = names.get(kind, ("input_json_delta", "partial_json"))
        events.append((began, {"type": "content_block_start", "index": index, "content_block": {"type": kind}}))
        events += [
            (at, {"type": "content_block_delta", "index": index, "delta": {"type": name, key: "1"}}) for at in pieces
        ]
        events.append((ended, {"type": "content_block_stop", "index": index}))
    chunks = [Chunk(ns(at), f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()) for at, data in events]
    first, *last = made.chunks
    return replace(made, chunks=(first, *chunks, *last))


def taken(exchange: Exchange, *pauses: tuple[float, float], thread: int = 1) -> Exchange:
    """The same answer in a replay, by a program that took nothing in these pauses (from, to: milliseconds)."""

    def late(at: int) -> int:
        return next((ns(end) for start, end in pauses if ns(start) < at < ns(end)), at)

    chunks = tuple(replace(chunk, at=late(chunk.at)) for chunk in exchange.chunks)
    end = exchange.end and replace(exchange.end, at=late(exchange.end.at))
    return replace(exchange, chunks=chunks, end=end, recorded=exchange, thread=thread)


def sleep(start: float, end: float, *, in_loop: bool = True, thread: int = 1) -> Hold:
    """A `time.sleep` of the program (from, to: milliseconds)."""
    return Hold(thread, ns(start), ns(end), "time.sleep", (Line("app.py", 12, "save", "save"),), in_loop)


def held(start: float, end: float, *due: tuple[str, float], thread: int = 1) -> Hold:
    """A loop that was held (from, to: milliseconds) while these were due."""
    return Hold(
        thread, ns(start), ns(end), in_loop=True, is_loop=True, due=tuple(Due(name, ns(at)) for name, at in due)
    )


def recorded_at(exchange: Exchange, sent: float, *, thread: int = 1) -> Exchange:
    """A call of a replay that was sent at another instant (milliseconds) while it was recorded."""
    return replace(exchange, recorded=replace(exchange, sent=ns(sent)), thread=thread)


def after(exchange: Exchange, seconds: float) -> Exchange:
    """The same, sent so much later."""
    return replace(exchange, sent=exchange.sent + ns(seconds * 1000))


CACHED: dict[str, Any] = {"system": [{"type": "text", "text": prose(500), "cache_control": {"type": "ephemeral"}}]}
CHANGED: dict[str, Any] = {
    "system": [{"type": "text", "text": prose(500) + " 12:31", "cache_control": {"type": "ephemeral"}}]
}
TOOL: dict[str, Any] = {"tools": [{"name": "look_up", "description": "An order.", "input_schema": {"type": "object"}}]}


def turn(prompt: str, **more: Any) -> Request:
    """The next turn of a conversation that `prompt` began."""
    said = [("user", prompt), ("assistant", "It is."), ("user", "And now?")]
    return asked(messages=[{"role": role, "content": text} for role, text in said], **CACHED, **more)


SCHEMA: dict[str, Any] = {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
TOOLBOX: dict[str, Any] = {
    "tools": [{"name": f"tool_{number}", "description": prose(120), "input_schema": {}} for number in range(90)]
}


def late(seconds: float, request: Request | None = None, **more: Any) -> Exchange:
    """A streamed answer whose first token comes after so many seconds."""
    start = seconds * 1000
    return streamed(request, [(start, "text", "Your parcel "), (start + 300, "text", "is on its way.")], **more)


def fast(served: str | None, seconds: float = 6, **body: Any) -> Exchange:
    """A long answer of Opus 5 that was served at this speed."""
    used = usage(output=600) | ({} if served is None else {"speed": served})
    return steady(seconds, request=asked(**{"model": "claude-opus-5", **body}), used=used)


def iterated(*kinds: str) -> Exchange:
    """An answer for which the API did these one after the other."""
    return late(3, used=usage() | {"iterations": [{"type": kind, "output_tokens": 5} for kind in kinds]})


def images(count: int, *texts: str, **more: Any) -> Request:
    """A request with so many images, and texts."""
    content = [PNG] * count + [{"type": "text", "text": text} for text in texts]
    return asked(messages=[{"role": "user", "content": content}], **more)


def using(name: str, value: str, request: Request, sent: float, at: float = 900) -> Exchange:
    """An answer that uses one tool with one value."""
    block = {"type": "tool_use", "id": f"toolu_{value}", "name": name, "input": {"number": value}}
    return whole(request, sent=sent, at=at, content=[block], stop_reason="tool_use", used=usage(output=20))


def agent(*turns: tuple[str, str, str], prompt: str = "Where are A-1042 and B-2077?", **more: Any) -> Case:
    """A conversation whose turns each use a tool (its name, the value, what it answered), and then answer."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    exchanges = []
    for place, (name, value, result) in enumerate(turns):
        exchanges.append(using(name, value, asked(messages=list(messages), **more), sent=1000 * place))
        use = {"type": "tool_use", "id": f"toolu_{value}", "name": name, "input": {"number": value}}
        back = {"type": "tool_result", "tool_use_id": f"toolu_{value}", "content": result}
        messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [back]}]
    exchanges.append(whole(asked(messages=list(messages), **more), sent=1000 * len(turns), at=900))
    return one(*exchanges)


def talk(
    turns: int, step: float = 0.2, words: int = 400, read: int = 3000, gap: float = 6, **more: Any
) -> list[Exchange]:
    """A conversation whose every turn waits `step` seconds longer and has so many more words in it."""
    messages: list[dict[str, Any]] = []
    exchanges = []
    for place in range(turns):
        messages.append({"role": "user", "content": f"{place} {prose(words)}"})
        used = usage(read=read if place else 0, written=600)
        request = asked(messages=list(messages), **more)
        exchanges.append(late(0.4 + step * place, request, sent=1000 * gap * place, used=used))
        messages.append({"role": "assistant", "content": f"It is, {place}."})
    return exchanges


def next_turn(seconds: float, blocks_added: int = 1, read: int = 0, written: int = 6000, **more: Any) -> Case:
    """A cached turn, and the next one so many seconds after it, with so many more blocks."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": prose(500)}]
    first = late(0.4, asked(messages=messages, **(CACHED | more)), used=usage(written=5000))
    added = [{"type": "text", "text": f"Part {number}."} for number in range(blocks_added - 1)]
    after = [*messages, {"role": "assistant", "content": "It is."}, {"role": "user", "content": added or "And now?"}]
    later = late(
        2, asked(messages=after, **(CACHED | more)), sent=1000 * seconds, used=usage(read=read, written=written)
    )
    return one(first, later)


STALLED = [(400 + 50 * place, "text", "word ") for place in range(8)]
LONG_TEXT = "It came broken, and they ask for their money."

CORPUS: Mapping[str, Entry] = {
    "not-streamed": Entry(
        speaks={
            "a long answer": one(whole(at=2900, used=usage(output=96))),
            "one of several": one(streamed(), whole(asked("two"), sent=1000, at=2900)),
            "a short one whose first token was promised earlier": one(
                whole(at=300, used=usage(output=4)), broken=["ttft"]
            ),
        },
        silent={
            "streamed": one(steady()),
            "a short answer": one(whole(at=900, text="billing", used=usage(output=3))),
            "a fast answer": one(whole(at=500, used=usage(output=60))),
            "only the total was promised, of a short one": one(whole(at=500, used=usage(output=4)), broken=["total"]),
            "the use of a tool, which a program needs whole": one(
                whole(
                    asked(**TOOL),
                    at=2900,
                    content=[{"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"number": "A-1042"}}],
                    stop_reason="tool_use",
                )
            ),
            "a format for programs": one(
                whole(asked(output_config={"format": {"type": "json_schema", "schema": {}}}), at=2900)
            ),
            "an error": one(refused(status=400, at=2900)),
        },
    ),
    "much-output": Entry(
        speaks={
            "a long answer": one(steady(5, 400)),
            "next to a retry that took less": one(refused(asked(stream=True), at=100), steady(5, 400, sent=600)),
        },
        silent={
            "a short answer": one(steady(0.4, 20)),
            "a long answer that was fast": one(steady(0.7, 150)),
            "few tokens, slowly": one(steady(3, 40)),
            "most of it was waiting": one(
                streamed(pieces=[(6000, "text", "a"), (7500, "text", "b")], used=usage(output=120))
            ),
            "most of it was thinking": one(
                streamed(
                    pieces=[(400, "thinking", "Hm"), (6000, "text", "a"), (7500, "text", "b")],
                    used=usage(output=500, thinking=380),
                )
            ),
            "the input of a tool": one(
                streamed(
                    asked(**TOOL),
                    [(400 + 100 * place, "json", '{"a') for place in range(50)],
                    used=usage(output=400),
                    stop_reason="tool_use",
                )
            ),
            "not streamed, so nobody knows": one(whole(at=6000, used=usage(output=400))),
        },
    ),
    "cut-off": Entry(
        speaks={
            "in mid-sentence": one(said("Your parcel is on its", stop_reason="max_tokens")),
            "not streamed": one(whole(text="Your parcel is. And then", stop_reason="max_tokens")),
        },
        silent={
            "it ended by itself": one(said("Your parcel is on its")),
            "a stop sequence ended it": one(said("Your parcel", stop_reason="stop_sequence")),
            "one token of a choice": one(said("B", request=asked(max_tokens=1), stop_reason="max_tokens")),
            "the cache was warmed": one(
                streamed(asked(max_tokens=0), [], stop=320, used=usage(output=0), stop_reason="max_tokens")
            ),
            "it used a tool": one(said("I look it up", request=asked(**TOOL), stop_reason="tool_use")),
            "the line broke": one(streamed(error="ReadError")),
        },
    ),
    "limit-far-above": Entry(
        speaks={
            "three like answers": one(
                *(
                    after(
                        said("Short.", request=asked(f"{n}", system=SYSTEM, max_tokens=4096), used=usage(output=40)), n
                    )
                    for n in range(3)
                )
            ),
            "other samples show it": one(
                said("Short.", request=asked(max_tokens=4096), used=usage(output=40)),
                others=[
                    Case([said("Short.", request=asked(max_tokens=4096), used=usage(output=50))], sample=n)
                    for n in (2, 3)
                ],
            ),
        },
        silent={
            "one answer is no usage": one(said("Short.", request=asked(max_tokens=4096), used=usage(output=40))),
            "near what answers use": one(
                *(
                    after(said("a", request=asked(f"{n}", system=SYSTEM, max_tokens=400), used=usage(output=200)), n)
                    for n in range(4)
                )
            ),
            "one answer of the four was long": one(
                *(
                    after(
                        said("a", request=asked(f"{n}", system=SYSTEM, max_tokens=4096), used=usage(output=tokens)), n
                    )
                    for n, tokens in enumerate((40, 50, 40, 3000))
                )
            ),
            "low anyway": one(
                *(
                    after(said("a", request=asked(f"{n}", system=SYSTEM, max_tokens=100), used=usage(output=5)), n)
                    for n in range(4)
                )
            ),
            "thinking needs room": one(
                *(
                    after(
                        said(
                            "a",
                            request=asked(
                                f"{n}",
                                system=SYSTEM,
                                max_tokens=8192,
                                thinking={"type": "enabled", "budget_tokens": 4096},
                            ),
                            used=usage(output=60),
                        ),
                        n,
                    )
                    for n in range(4)
                )
            ),
            "tools take what they take": one(
                *(
                    after(said("a", request=asked(f"{n}", max_tokens=8192, **TOOL), used=usage(output=60)), n)
                    for n in range(4)
                )
            ),
            "the others do other work": one(
                *(
                    after(said("a", request=asked(f"{n}", system=f"{n}", max_tokens=4096), used=usage(output=60)), n)
                    for n in range(4)
                )
            ),
        },
    ),
    "counted-words": Entry(
        speaks={
            "exactly": counted("Summarize this in exactly 50 words: it came broken.", 71),
            "in so many": counted("Describe the lamp in 100 words.", 64),
            "at most": counted("Explain the return policy. Use no more than 30 words.", 44),
            "or less": counted("Answer in 25 words or less.", 40),
            "a so-many-word text": counted("Write a 200-word summary of the ticket.", 120),
            "in the system prompt": counted("It came broken.", 90, system="Keep your answer under 40 words."),
            "in Chinese": counted("请用50个字总结这段反馈。", "灯坏了" * 30),
            "a limit in Chinese": counted("总结这段反馈\uff0c不超过20字。", "灯坏了" * 30),
        },
        silent={
            "describe the 50 states": counted("Describe the 50 states.", 200),
            "sentences": counted("Summarize this customer feedback in 2 sentences: it came broken.", 71),
            "paragraphs": counted("Explain the return policy in three paragraphs, with 2 examples.", 150),
            "in a few words": counted("Describe the lamp in a few words.", 30),
            "in your own words": counted("Explain it in your own words, in 3 points.", 80),
            "words that are given": counted("Translate these 10 words into French: lamp, table.", 30),
            "the length of what is given": counted("Summarize this 500-word essay in two sentences.", 60),
            "a part of what is given": counted("Explain what happens within 100 words of the start.", 60),
            "a letter that tells of words": counted("It said: the essay had 500 words. Was that right?", 20),
            "a story about words": counted("The flyer came in 200 words, all of them wrong.", 20),
            "key words": counted("List 5 keywords for this ticket.", 5),
            "words it has": counted("Summarize this in exactly 50 words: it came broken.", 50),
            "words it has, nearly": counted("Describe the lamp in 100 words.", 95),
            "a limit it keeps": counted("Answer in 25 words or less.", 12),
            "an article of so many characters in Chinese": counted("请总结这篇500字的文章。", "灯坏了" * 10),
            "a format for programs": counted(
                "Describe the lamp in 100 words.", 20, output_config={"format": {"type": "json_schema"}}
            ),
            "the limit cut it off": one(
                said("Your parcel", request=asked("Describe the lamp in 100 words."), stop_reason="max_tokens")
            ),
            "asked by an earlier message": one(
                said(
                    prose(9),
                    request=asked(
                        messages=[
                            {"role": "user", "content": "Describe the lamp in 100 words."},
                            {"role": "assistant", "content": prose(100)},
                            {"role": "user", "content": "Thanks! And its colour?"},
                        ]
                    ),
                )
            ),
        },
    ),
    "uncached-prompt": Entry(
        speaks={
            "a long prompt": one(streamed(pieces=[(1900, "text", "a"), (2000, "text", "b")], used=usage(12_000))),
            "each of two": one(
                streamed(asked("one"), [(900, "text", "a")], used=usage(8000)),
                streamed(asked("two"), [(900, "text", "a")], used=usage(8000), sent=1000),
            ),
            "marked, and too short for its model": one(
                streamed(asked(**CACHED), [(900, "text", "a")], used=usage(3000))
            ),
        },
        silent={
            "a short prompt": one(streamed(pieces=[(1900, "text", "a")], used=usage(900))),
            "as short, and not marked": one(streamed(asked(), [(900, "text", "a")], used=usage(3000))),
            "marked, and far too short to matter": one(
                streamed(asked(**CACHED), [(900, "text", "a")], used=usage(900))
            ),
            "marked, where nobody counts what is cached": one(
                streamed(asked(**CACHED), [(900, "text", "a")], used={"input_tokens": 3000, "output_tokens": 96})
            ),
            "marked, for a model of which nothing is known": one(
                streamed(asked(**CACHED, model="claude-nova-9"), [(900, "text", "a")], used=usage(3000))
            ),
            "read from the cache": one(streamed(pieces=[(1900, "text", "a")], used=usage(500, read=12_000))),
            "written to it, for others": one(streamed(pieces=[(1900, "text", "a")], used=usage(500, written=12_000))),
            "its first token came soon": one(
                streamed(pieces=[(250, "text", "a"), (900, "text", "b")], headers=200, used=usage(12_000))
            ),
            "no usage was given": one(streamed(pieces=[(1900, "text", "a")], error="ReadError")),
        },
    ),
    "cache-written-anew": Entry(
        speaks={
            "a time of day before the prefix": one(
                streamed(asked("one", system="12:30 " + prose(500)), used=usage(20, written=5000)),
                streamed(asked("two", system="12:31 " + prose(500)), used=usage(20, written=5000), sent=2000),
            ),
            "another system prompt behind the same tools": one(
                streamed(asked("one", system="Be brief.", **TOOL), used=usage(20, written=5000)),
                streamed(asked("two", system="You sell lamps.", **TOOL), used=usage(20, written=5000), sent=2000),
            ),
            "a time of day in the prefix": one(
                streamed(asked("one", **CACHED), used=usage(20, written=5000)),
                streamed(asked("two", **CHANGED), used=usage(20, written=5000), sent=2000),
            ),
        },
        silent={
            "the second reads it": one(
                streamed(asked("one", **CACHED), used=usage(20, written=5000)),
                streamed(asked("two", **CACHED), used=usage(20, read=5000), sent=2000),
            ),
            "side by side": one(
                streamed(asked("one", **CACHED), used=usage(20, written=5000)),
                streamed(asked("two", **CHANGED), used=usage(20, written=5000), sent=10),
            ),
            "the cache had expired": one(
                streamed(asked("one", **CACHED), used=usage(20, written=5000)),
                streamed(asked("two", **CACHED), used=usage(20, written=5000), sent=400_000),
            ),
            "another model has another cache": one(
                streamed(asked("one", **CACHED), used=usage(20, written=5000)),
                streamed(asked("two", model=SONNET, **CACHED), used=usage(20, written=5000), sent=2000),
            ),
            "another prompt altogether": one(
                streamed(asked("one", **CACHED), used=usage(20, written=5000)),
                streamed(asked("two", system="Something else."), used=usage(20, written=5000), sent=2000),
            ),
            "too little to be worth it": one(
                streamed(asked("one", **CACHED), used=usage(20, written=300)),
                streamed(asked("two", **CHANGED), used=usage(20, written=300), sent=2000),
            ),
            "the first broke off before the cache was ready": one(
                streamed(asked("one", **CACHED), [], used=usage(20, written=5000), error="ReadError", stop=500),
                streamed(asked("two", **CHANGED), used=usage(20, written=5000), sent=2000),
            ),
            "a conversation that grows": one(
                streamed(asked("one", **CACHED), used=usage(20, written=5000)),
                streamed(asked("two", **CACHED), used=usage(20, read=5000, written=2000), sent=2000),
            ),
        },
    ),
    "cache-lost": Entry(
        speaks={
            "the prefix changed": one(
                streamed(asked("one", **CHANGED), used=usage(5020)),
                others=[Case([streamed(asked("one", **CACHED), used=usage(20, read=5000))])],
                sample=2,
            ),
            "it expired": one(
                streamed(asked("one", **CACHED), used=usage(20, written=5000)),
                others=[Case([streamed(asked("one", **CACHED), used=usage(20, read=5000))])],
                sample=2,
            ),
        },
        silent={
            "it reads still": one(
                streamed(asked("one", **CACHED), used=usage(20, read=5000)),
                others=[Case([streamed(asked("one", **CACHED), used=usage(20, read=5000))])],
                sample=2,
            ),
            "it never read": one(
                streamed(asked("one", **CACHED), used=usage(5020)),
                others=[Case([streamed(asked("one", **CACHED), used=usage(5020))])],
                sample=2,
            ),
            "the first run, which others follow": one(
                streamed(asked("one", **CACHED), used=usage(20, written=5000)),
                others=[Case([streamed(asked("one", **CACHED), used=usage(20, read=5000))], sample=2)],
            ),
            "another test read": one(
                streamed(asked("one", **CACHED), used=usage(5020)),
                others=[other(streamed(asked("one", **CACHED), used=usage(20, read=5000)))],
                sample=2,
            ),
            "another model": one(
                streamed(asked("one", model=SONNET, **CACHED), used=usage(5020)),
                others=[Case([streamed(asked("one", **CACHED), used=usage(20, read=5000))])],
                sample=2,
            ),
            "the run that read was recorded later": one(
                streamed(asked("one", **CACHED), used=usage(20, written=5000)),
                others=[
                    Case(
                        [streamed(asked("one", **CACHED), used=usage(20, read=5000))],
                        recorded="2026-01-02T00:00:00.000Z",
                    )
                ],
                sample=2,
                recorded="2026-01-01T00:00:00.000Z",
            ),
            "the earlier run had no such call": one(
                streamed(asked("one", **CACHED), used=usage(20, read=5000)),
                streamed(asked("two"), used=usage(5020), sent=1000),
                others=[Case([streamed(asked("one", **CACHED), used=usage(20, read=5000))])],
                sample=2,
            ),
            "it was refused": one(
                refused(asked("one", **CACHED), status=400),
                others=[Case([streamed(asked("one", **CACHED), used=usage(20, read=5000))])],
                sample=2,
            ),
            "a prompt that was trimmed": one(
                streamed(asked("one"), used=usage(300)),
                others=[Case([streamed(asked("one", **CACHED), used=usage(20, read=5000))])],
                sample=2,
            ),
        },
    ),
    "high-temperature": Entry(
        speaks={
            "long and warm": one(steady(5, 400, asked(temperature=1.0))),
            "as long when as warm": one(
                steady(5, 400, asked(temperature=1.0)), others=[other(steady(5, 390, asked(temperature=0.9)))]
            ),
            "shorter when cool": one(
                steady(5, 400, asked(temperature=0.9)), others=[other(steady(3, 220, asked(temperature=0.2)))]
            ),
        },
        silent={
            "temperature 1.0 with a short answer": one(
                said("billing", request=asked(temperature=1.0), used=usage(output=5))
            ),
            "long and cool": one(steady(5, 400, asked(temperature=0.2))),
            "short and slow": one(steady(3, 60, asked(temperature=1.0))),
            "long and fast": one(steady(0.7, 320, asked(temperature=1.0))),
            "long, and no temperature was asked for": one(steady(5, 400)),
            "thinking asks for it": one(
                steady(5, 400, asked(temperature=1.0, thinking={"type": "enabled", "budget_tokens": 2048}))
            ),
            "as long when cool": one(
                steady(5, 400, asked(temperature=1.0)), others=[other(steady(5, 390, asked(temperature=0.0)))]
            ),
            "the input of a tool": one(
                streamed(
                    asked(temperature=1.0, **TOOL),
                    [(400 + 100 * place, "json", "12") for place in range(50)],
                    used=usage(output=400),
                    stop_reason="tool_use",
                )
            ),
        },
    ),
    "slower-model": Entry(
        speaks={
            "the same question": one(
                steady(6, 300, asked(model=OPUS)), others=[other(steady(2, 280, asked(model=HAIKU)))]
            ),
            "the same system prompt": one(
                steady(6, 300, asked("one", model=SONNET, system=SYSTEM)),
                others=[other(steady(2, 280, asked("two", model=HAIKU, system=SYSTEM)))],
            ),
            "in the same test": one(
                steady(6, 300, asked("one", model=SONNET, system=SYSTEM)),
                steady(2, 280, asked("two", model=HAIKU, system=SYSTEM), sent=7000),
            ),
        },
        silent={
            "a bigger model on other work": one(
                steady(6, 300, asked("one", model=OPUS, system="You write contracts.")),
                others=[other(steady(2, 280, asked("two", model=HAIKU, system=SYSTEM)))],
            ),
            "another question": one(
                steady(6, 300, asked("one", model=OPUS)), others=[other(steady(2, 280, asked("two", model=HAIKU)))]
            ),
            "a faster model that says far less": one(
                steady(6, 300, asked(model=OPUS)), others=[other(steady(1, 60, asked(model=HAIKU)))]
            ),
            "a faster model that was cut off": one(
                steady(6, 300, asked(model=OPUS)),
                others=[other(steady(2, 280, asked(model=HAIKU), stop_reason="max_tokens"))],
            ),
            "a faster model that failed": one(
                steady(6, 300, asked(model=OPUS)), others=[other(steady(2, 280, asked(model=HAIKU), error="ReadError"))]
            ),
            "far less to read": one(
                steady(6, 300, asked("one", model=OPUS, system=SYSTEM), used=usage(9000, 300)),
                others=[other(steady(2, 280, asked("two", model=HAIKU, system=SYSTEM), used=usage(500, 280)))],
            ),
            "faster by a blink": one(
                steady(0.4, 60, asked(model=OPUS)), others=[other(steady(0.15, 60, asked(model=HAIKU)))]
            ),
            "hardly faster": one(
                steady(6, 300, asked(model=OPUS)), others=[other(steady(5.5, 300, asked(model=SONNET)))]
            ),
            "the same model was faster then": one(
                steady(6, 300, asked(model=OPUS)), others=[other(steady(2, 280, asked(model=OPUS)))]
            ),
            "it thought, the other did not": one(
                steady(6, 300, asked(model=OPUS, thinking={"type": "enabled", "budget_tokens": 2048})),
                others=[other(steady(2, 280, asked(model=HAIKU)))],
            ),
            "a retry made it slow": one(
                refused(asked(model=OPUS, stream=True), at=4000),
                steady(2, 280, asked(model=OPUS), sent=5000),
                others=[other(steady(2, 280, asked(model=HAIKU)))],
            ),
        },
    ),
    "long-thinking": Entry(
        speaks={
            "shown": one(streamed(pieces=[(400, "thinking", "Hm"), (3000, "text", "a"), (3500, "text", "b")])),
            "not shown": one(streamed(hidden=400, pieces=[(3000, "text", "a"), (3500, "text", "b")])),
        },
        silent={
            "no thinking": one(streamed(pieces=[(3000, "text", "a"), (3500, "text", "b")])),
            "a short thought": one(streamed(pieces=[(400, "thinking", "Hm"), (900, "text", "a"), (3500, "text", "b")])),
            "most of the wait was before it": one(streamed(pieces=[(4000, "thinking", "Hm"), (5200, "text", "a")])),
            "a thought behind the answer": one(
                streamed(pieces=[(400, "text", "a"), (900, "thinking", "Hm"), (3000, "text", "b")])
            ),
            "not streamed, so nobody knows when": one(whole(at=5000, used=usage(output=500, thinking=400))),
        },
    ),
    "no-longer-together": Entry(
        speaks={
            "a gather that became two awaits": one(
                recorded_at(triage("It came broken.", 0), 0), recorded_at(triage("Where is it?", 1000), 5)
            ),
            "other work, sent at the same time by one handler": one(
                recorded_at(triage("It came broken.", 0), 3),
                recorded_at(after(said(prose(30), request=asked("It came broken.", system="You sum up.")), 1), 0),
            ),
            "three, of which each overlapped the others": one(
                *(recorded_at(triage(f"Ticket {number}", number * 950), 10 * number) for number in range(3))
            ),
        },
        silent={
            "they still run at the same time": one(
                recorded_at(triage("It came broken.", 0), 0), recorded_at(triage("Where is it?", 5), 5)
            ),
            "they ran one after another before": one(
                recorded_at(triage("It came broken.", 0), 0), recorded_at(triage("Where is it?", 1000), 990)
            ),
            "the second was sent in the moment in which the first one ended": one(
                recorded_at(triage("It came broken.", 0), 0), recorded_at(triage("Where is it?", 1000), 880)
            ),
            "no replay, so nobody knows": one(triage("It came broken.", 0), triage("Where is it?", 1000)),
            "a sync client held the loop, which is another finding": one(
                recorded_at(triage("It came broken.", 0), 0),
                recorded_at(triage("Where is it?", 950), 5),
                holds=[held(0, 950)],
            ),
            "one of them is not answered now": one(
                recorded_at(triage("It came broken.", 0), 0), recorded_at(refused(sent=1000, at=30), 5)
            ),
        },
    ),
    "one-after-another": Entry(
        speaks={
            "three tickets": one(
                triage("It came broken.", 0),
                triage("Where is it?", 1000, "delivery"),
                triage("Thanks!", 2000, "praise"),
            ),
            "a summary and a title of the same": one(
                said(prose(30), request=asked("It came broken.", system="You summarize.")),
                after(said("Broken", request=asked("It came broken.", system="You give titles.", max_tokens=20)), 1),
            ),
            "two of one shape": one(
                triage("It came broken.", 0, LONG_TEXT), triage("Where is my order?", 950, LONG_TEXT)
            ),
        },
        silent={
            "side by side": one(triage("It came broken.", 0), triage("Where is it?", 5)),
            "a text of the earlier answer stands in the later request": one(
                triage("It came broken.", 0, LONG_TEXT), triage(f"Translate: {LONG_TEXT}", 1000)
            ),
            "a part of the earlier answer": one(
                triage("Read this.", 0, "The buyer is Ada Lovelace of London."),
                triage("Write a letter to Lovelace.", 1000),
            ),
            "a short answer as a word of the later request": one(
                triage("It came broken.", 0, "billing"), triage("Draft a reply of the team for billing.", 1000)
            ),
            "a value of a structured answer": one(
                triage("It came broken.", 0, '{"kind": "refund", "order": 1042'), triage("Order 1042?", 1000)
            ),
            "a conversation": one(
                triage("Hello!", 0, LONG_TEXT),
                triage(
                    "",
                    1000,
                    messages=[
                        {"role": "user", "content": "Hello!"},
                        {"role": "assistant", "content": LONG_TEXT},
                        {"role": "user", "content": "And then?"},
                    ],
                ),
            ),
            "the result of a tool it asked for": one(
                streamed(asked("Where is A-1?", **TOOL), [(400, "json", '{"number": "A-1"}')], stop_reason="tool_use"),
                streamed(
                    asked(
                        messages=[
                            {"role": "user", "content": "Where is A-1?"},
                            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "input": {}}]},
                            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1"}]},
                        ],
                        **TOOL,
                    ),
                    sent=1000,
                ),
            ),
            "the same asked again, of a larger model": one(
                said(prose(30), request=asked("It came broken.")),
                after(said(prose(40), request=asked("It came broken.", model=SONNET)), 1),
            ),
            "the same asked again": one(triage("It came broken.", 0), triage("It came broken.", 1000)),
            "other work, chosen by the answer perhaps": one(
                triage("It came broken.", 0), triage("It came broken.", 1000, model=SONNET)
            ),
            "another prompt": one(
                triage("It came broken.", 0), streamed(asked("Is it day?", system="You know the time."), sent=1000)
            ),
            "in Chinese, a text of the earlier answer": one(
                triage("灯坏了。", 0, "客户想要退款并且很生气"), triage("回复\uff1a客户想要退款", 1000)
            ),
            "a conversation whose answers were edited": one(
                triage("Hello!", 0, LONG_TEXT),
                triage(
                    "",
                    1000,
                    messages=[
                        {"role": "user", "content": "Hello!"},
                        {"role": "assistant", "content": "(left out)"},
                        {"role": "user", "content": "And then?"},
                    ],
                ),
            ),
            "the later one failed": one(
                triage("It came broken.", 0),
                streamed(asked("Where is it?", system=SYSTEM), sent=1000, error="ReadError"),
            ),
            "together they would save a blink": one(
                *(streamed(asked(f"{n}"), [(150, "text", "a")], headers=100, sent=200 * n) for n in range(2))
            ),
            "one call": one(steady()),
            "too short to matter": one(
                triage("It came broken.", 0), counting(sent=1000, at=30_000), triage("Hi", 31_100)
            ),
        },
    ),
    "retries": Entry(
        speaks={
            "an overload": one(refused(asked(stream=True), at=920), streamed(sent=1920)),
            "a rate limit": one(refused(asked(stream=True), 429, at=80, retry_after="2"), streamed(sent=2080)),
            "a line that broke": one(unanswered(asked(stream=True)), streamed(sent=600)),
        },
        silent={
            "answered at once": one(streamed()),
            "asked twice by the program": one(streamed(), streamed(sent=1000)),
            "a stream that broke off, and is no retry": one(streamed(error="ReadError"), streamed(sent=1000)),
            "tokens were counted before": one(counting(), streamed(sent=60)),
        },
    ),
    "retry-storm": Entry(
        speaks={
            "a loop around a client that retries": one(*_refusals(5), streamed(sent=5000)),
            "two such layers that gave up": one(*_refusals(9)),
            "a line that broke each time": one(
                *(unanswered(asked(stream=True), sent=600 * place) for place in range(6))
            ),
        },
        silent={
            "the client's own two retries": one(*_refusals(2), streamed(sent=2000)),
            "a client with four retries": one(*_refusals(4), streamed(sent=4000)),
            "ten answers to one question": one(*(streamed(sent=1000 * place) for place in range(10))),
            "questions that were each refused twice": one(
                *(exchange for text in "abcd" for exchange in _refusals(2, text)),
            ),
            "answers in between": one(*_refusals(3), streamed(sent=3000), *_refusals(3, since=90_000)),
        },
    ),
    "retry-after-ignored": Entry(
        speaks={
            "half a second where a minute was asked for": one(
                refused(asked(), 429, retry_after="60"), whole(asked(), sent=600)
            ),
            "a loop of the program's own": one(
                refused(asked(), 529, retry_after="10"), refused(asked("b"), 400, sent=200), whole(asked(), sent=5000)
            ),
        },
        silent={
            "it was waited out": one(refused(asked(), 429, retry_after="2"), whole(asked(), sent=2100)),
            "a few milliseconds early": one(refused(asked(), 429, retry_after="2"), whole(asked(), sent=2080)),
            "it was not asked for": one(refused(asked(), 429), whole(asked(), sent=600)),
            "another request": one(refused(asked(), 429, retry_after="60"), whole(asked("b"), sent=600)),
            "two at the same time": one(refused(asked(), 429, retry_after="60"), whole(asked(), sent=50)),
            "a date": one(refused(asked(), 429, retry_after="Sun, 22 Nov 2026 11:31:00 GMT"), whole(asked(), sent=600)),
        },
    ),
    "no-back-off": Entry(
        speaks={
            "at once": one(refused(asked(), 529), whole(asked(), sent=101)),
            "twice": one(refused(asked(), 500), refused(asked(), 429, sent=110), whole(asked(), sent=230)),
            "the API said that it may pass": one(
                refused(asked(), 400, x_should_retry="true"), whole(asked(), sent=101)
            ),
        },
        silent={
            "half a second later": one(refused(asked(), 529), whole(asked(), sent=600)),
            "the API says when to come back": one(refused(asked(), 429, retry_after_ms="5"), whole(asked(), sent=110)),
            "a broken connection": one(unanswered(asked()), whole(asked(), sent=101)),
            "another model": one(refused(asked(), 529), whole(asked(model=OPUS), sent=101)),
            "a request that is wrong": one(refused(asked(), 400), whole(asked(), sent=101)),
            "the API said that it is in vain": one(
                refused(asked(), 529, x_should_retry="false"), whole(asked(), sent=101)
            ),
        },
    ),
    "retried-in-vain": Entry(
        speaks={
            "a request that is wrong": one(refused(asked(), 400), refused(asked(), 400, sent=700)),
            "the API said so": one(refused(asked(), 500, x_should_retry="false"), whole(asked(), sent=700)),
        },
        silent={
            "it was sent once": one(refused(asked(), 400)),
            "with another body": one(refused(asked(), 413), whole(asked("short"), sent=200)),
            "another key": one(refused(asked(), 401), whole(asked(), sent=200)),
            "the API was busy": one(refused(asked(), 529), whole(asked(), sent=700)),
        },
    ),
    "truncated-as-whole": Entry(
        speaks={
            "nothing was sent any more": one(cut()),
            "it went into the next turn": one(cut(), streamed(asked("Your parcel is on its way. Go on."), sent=2000)),
            "another question came next": one(cut(), streamed(asked("And mine?"), sent=2000)),
        },
        silent={
            "it was asked again": one(cut(), streamed(sent=1000)),
            "it was whole": one(streamed()),
            "max_tokens ended it": one(streamed(stop_reason="max_tokens")),
            "the connection broke": one(streamed(error="RemoteProtocolError")),
            "the program stopped reading": one(replace(cut(), end=End(ns(900), closed="client"))),
            "nothing had come": one(cut(pieces=())),
            "an answer that does not stream": one(whole()),
        },
    ),
    "no-read-timeout": Entry(
        speaks={
            "a stall was waited out": one(injected(streamed(pieces=LATE)), others=[other(streamed())]),
            "it hung for an hour": one(
                injected(replace(unanswered(asked()), end=End(ns(3_600_000), closed="client"))), others=[other(whole())]
            ),
            "the client gave up after ten minutes": one(
                unanswered(asked(), "ReadTimeout", at=600_000), whole(sent=601_000)
            ),
        },
        silent={
            "it gave up after five seconds": one(
                injected(unanswered(asked(), "ReadTimeout", at=5000)), whole(sent=6000)
            ),
            "the API itself paused": one(streamed(pieces=LATE), others=[other(streamed())]),
            "such pauses are usual": one(injected(streamed(pieces=LATE)), others=[other(whole(at=9000))]),
            "nothing shows what is usual": one(injected(streamed(pieces=LATE))),
            "a refusal": one(injected(refused(asked(), 429, retry_after="60")), whole(sent=61_000)),
        },
    ),
    "gave-up": Entry(
        speaks={
            "an overloaded API": one(refused(asked(), 529)),
            "a broken connection": one(unanswered(asked())),
            "a stream that broke": one(streamed(error="RemoteProtocolError")),
        },
        silent={
            "the client tried again": one(refused(asked(), 529), refused(asked(), 529, sent=700)),
            "another model was asked": one(refused(asked(), 529), whole(asked(model=OPUS), sent=300)),
            "the request was wrong": one(refused(asked(), 400)),
            "the API said not to": one(refused(asked(), 500, x_should_retry="false")),
            "a minute was asked for": one(refused(asked(), 429, retry_after="60")),
            "a time-out": one(unanswered(asked(), "ReadTimeout", at=5000)),
            "an answer": one(whole()),
        },
    ),
    "new-connections": Entry(
        speaks={
            "three calls, three connections": one(
                *(
                    streamed(asked(f"{n}"), connect=(1, 250), sent=1000 * n, pieces=[(400, "text", "a")])
                    for n in range(3)
                )
            ),
        },
        silent={
            "the first call only": one(streamed(connect=(1, 250)), streamed(asked("two"), sent=1000)),
            "one call": one(streamed(connect=(1, 200))),
            "side by side": one(*(streamed(asked(f"{n}"), connect=(1, 250)) for n in range(3))),
            "after a pause the pool closes what is idle": one(
                *(streamed(asked(f"{n}"), connect=(1, 250), sent=7000 * n) for n in range(3))
            ),
            "one of three was lost": one(
                streamed(asked("0"), connect=(1, 250)),
                streamed(asked("1"), sent=1000),
                streamed(asked("2"), connect=(1, 250), sent=2000),
            ),
            "it took no time": one(*(streamed(asked(f"{n}"), connect=(0, 1), sent=1000 * n) for n in range(3))),
            "the answer before broke the line": one(
                streamed(asked("0"), connect=(1, 250), error="ReadError"),
                streamed(asked("1"), connect=(1, 250), sent=1000),
            ),
            "another host": one(
                streamed(asked("0"), connect=(1, 250)),
                streamed(replace(asked("1"), url="https://gateway.example/v1/messages"), connect=(1, 250), sent=1000),
            ),
        },
    ),
    "stall": Entry(
        speaks={
            "a gap in mid-answer": one(streamed(pieces=[*STALLED, (3750, "text", "at last")])),
            "silence before it broke off": one(streamed(pieces=STALLED, stop=10_750, error="ReadTimeout")),
            "half a minute in a short answer": one(streamed(pieces=LATE)),
            "injected into a short answer": one(
                injected(streamed(pieces=[(400, "text", "a"), (4000, "text", "b")]), pause=3500)
            ),
        },
        silent={
            "steady": one(steady()),
            "slow but steady": one(streamed(pieces=[(400 + 700 * place, "text", "word ") for place in range(9)])),
            "a short one in a long test": one(
                streamed(pieces=[*STALLED, (1350, "text", "soon")]), steady(30, request=asked("two"), sent=1400)
            ),
            "a gap hardly above the usual": one(streamed(pieces=[*STALLED, (1150, "text", "soon")])),
            "too few pieces to know the usual": one(streamed(pieces=[(400, "text", "a"), (4000, "text", "b")])),
            "another fault in a short answer": one(
                injected(streamed(pieces=[(400, "text", "a"), (4000, "text", "b")]))
            ),
            "thinking in two long parts": one(
                streamed(pieces=[(400, "thinking", "hm "), (30_000, "thinking", "so "), (30_100, "text", "a")])
            ),
            "a wait for the input of a tool": one(
                streamed(asked(**TOOL), [*STALLED, (4000, "json", '{"number": "A-1042"}')], stop_reason="tool_use")
            ),
            "thinking between": one(
                streamed(pieces=[(400 + 50 * place, "thinking", "hm ") for place in range(8)] + [(3000, "text", "a")])
            ),
            "the program stopped reading": one(
                replace(streamed(pieces=STALLED, stop=9000, error="x"), end=End(ns(9000), closed="client"))
            ),
            "not streamed": one(whole(at=9000)),
        },
    ),
    "prompt-grew": Entry(
        speaks={
            "five times as long": one(
                steady(used=usage(20_000)), replaced=one(steady(request=asked("less"), used=usage(4_000)))
            ),
        },
        silent={
            "a replay replaces nothing": one(steady(used=usage(20_000))),
            "a little longer": one(steady(used=usage(4_900)), replaced=one(steady(used=usage(4_000)))),
            "a short prompt that became less short": one(steady(used=usage(400)), replaced=one(steady(used=usage(40)))),
            "another model": one(
                steady(request=asked(model=OPUS), used=usage(20_000)), replaced=one(steady(used=usage(4_000)))
            ),
            "a call that was not there before": one(steady(used=usage(20_000)), replaced=one()),
        },
    ),
    "cache-reset": Entry(
        speaks={
            "thinking was switched on": one(
                steady(1, request=asked("one", **CACHED), used=usage(written=3000)),
                steady(1, request=turn("one", thinking={"type": "adaptive"}), sent=2000, used=usage(written=3000)),
            ),
            "another effort": one(
                steady(1, request=asked("one", **CACHED), used=usage(read=3000)),
                steady(1, request=turn("one", output_config={"effort": "low"}), sent=2000, used=usage(written=3000)),
            ),
        },
        silent={
            "nothing changed": one(
                steady(1, request=asked("one", **CACHED), used=usage(written=3000)),
                steady(1, request=turn("one"), sent=2000, used=usage(written=3000)),
            ),
            "it was read all the same": one(
                steady(1, request=asked("one", **CACHED), used=usage(written=3000)),
                steady(1, request=turn("one", thinking={"type": "adaptive"}), sent=2000, used=usage(read=3000)),
            ),
            "another conversation": one(
                steady(1, request=asked("one", **CACHED), used=usage(written=3000)),
                steady(1, request=turn("two", thinking={"type": "adaptive"}), sent=2000, used=usage(written=3000)),
            ),
            "the cache had expired": one(
                steady(1, request=asked("one", **CACHED), used=usage(written=3000)),
                steady(1, request=turn("one", thinking={"type": "adaptive"}), sent=400_000, used=usage(written=3000)),
            ),
            "nothing was cached": one(
                steady(1, request=asked("one")),
                steady(1, request=turn("one", thinking={"type": "adaptive"}), sent=2000),
            ),
        },
    ),
    "cold-fan-out": Entry(
        speaks={
            "two at the same time": one(
                steady(request=asked("one", **CACHED), used=usage(written=3000)),
                steady(request=asked("two", **CACHED), sent=10, used=usage(written=3000)),
            ),
        },
        silent={
            "the second one read it": one(
                steady(request=asked("one", **CACHED), used=usage(written=3000)),
                steady(request=asked("two", **CACHED), sent=10, used=usage(read=3000)),
            ),
            "one after the other": one(
                steady(request=asked("one", **CACHED), used=usage(written=3000)),
                steady(request=asked("two", **CACHED), sent=450, used=usage(written=3000)),
            ),
            "other prompts": one(
                steady(request=asked("one", **CACHED), used=usage(written=3000)),
                steady(request=asked("two", **CHANGED), sent=10, used=usage(written=3000)),
            ),
            "one call alone": one(steady(request=asked("one", **CACHED), used=usage(written=3000))),
            "nothing was cached": one(steady(), steady(request=asked("two"), sent=10)),
        },
    ),
    "silent-thinking": Entry(
        speaks={
            "three seconds of it": one(blocks(("thinking", 500, 3500, ()), ("text", 3600, 4000, (3600, 4000)))),
            "one chunk ended it and began the answer": one(
                blocks(("thinking", 500, 3500, ()), ("text", 3500, 4000, (3500, 4000)))
            ),
        },
        silent={
            "shown": one(blocks(("thinking", 500, 3500, (600, 3400)), ("text", 3600, 4000, (3600, 4000)))),
            "half a second": one(blocks(("thinking", 500, 1000, ()), ("text", 1100, 4000, (1100, 4000)))),
            "shown, and begun in the chunk that ended a text": one(
                blocks(
                    ("text", 100, 500, (200, 500)), ("thinking", 500, 3500, (600, 3400)), ("text", 3500, 4000, (4000,))
                )
            ),
            "no thinking": one(steady()),
            "not streamed": one(whole(at=5000)),
            "a slow start": one(blocks(("text", 5000, 6000, (5000, 6000)))),
        },
    ),
    "buffered-tool-input": Entry(
        speaks={
            "three seconds, then a burst": one(blocks(("tool_use", 500, 3600, (3500, 3550)))),
            "it began in the chunk that ended a text": one(
                blocks(("text", 100, 500, (200, 500)), ("tool_use", 500, 3600, (3500, 3550)))
            ),
        },
        silent={
            "it came as it was written": one(blocks(("tool_use", 500, 3600, (600, 2000, 3500)))),
            "half a second": one(blocks(("tool_use", 500, 1100, (1000, 1050)))),
            "a text took long, and the tool's input came at once": one(
                blocks(("text", 100, 3500, (200, 3500)), ("tool_use", 3500, 3600, (3500, 3550)))
            ),
            "slow from the start on": one(blocks(("tool_use", 500, 9600, (2000, 5000, 9000)))),
            "asked for already": one(
                blocks(
                    ("tool_use", 500, 3600, (3500, 3550)),
                    request=asked(tools=[{"name": "look_up", "eager_input_streaming": True}]),
                )
            ),
            "a text that began late": one(blocks(("text", 500, 3600, (3500, 3550)))),
        },
    ),
    "server-tools": Entry(
        speaks={
            "a search of three seconds": one(
                blocks(
                    ("server_tool_use", 500, 700, (600,)),
                    ("web_search_tool_result", 3700, 3700, ()),
                    ("text", 3800, 4500, (3800, 4500)),
                )
            ),
        },
        silent={
            "half a second": one(
                blocks(
                    ("server_tool_use", 500, 700, (600,)),
                    ("web_search_tool_result", 1200, 1200, ()),
                    ("text", 1300, 4500, (1300, 4500)),
                )
            ),
            "a tool of the program's": one(blocks(("tool_use", 500, 900, (600, 800)), ("text", 4000, 4500, (4000,)))),
            "not streamed": one(
                whole(at=5000, content=[{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search"}])
            ),
            "no tool at all": one(steady()),
        },
    ),
    "standard-speed": Entry(
        speaks={
            "fast mode was asked for": one(fast("standard", speed="fast")),
            "a long answer of a model that has it": one(fast("standard")),
            "a model that another recording shows to have it": one(
                fast("standard", model="claude-sonnet-6"),
                others=[other(fast("fast", model="claude-sonnet-6", speed="fast"))],
            ),
        },
        silent={
            "served fast": one(fast("fast", speed="fast")),
            "the API does not say": one(fast(None)),
            "a short answer": one(fast("standard", seconds=1)),
            "a model without fast mode": one(fast("standard", model=HAIKU)),
            "another model that has it": one(
                fast("standard", model=HAIKU), others=[other(fast("fast", model="claude-sonnet-6", speed="fast"))]
            ),
            "a model that another recording shows to have it no more": one(
                fast("standard"), others=[other(fast("standard", speed="fast"))]
            ),
            "a long wait and a short answer": one(
                late(9, asked(model="claude-opus-5"), used=usage() | {"speed": "standard"})
            ),
        },
    ),
    "extra-iteration": Entry(
        speaks={
            "the conversation was compacted": one(iterated("compaction", "message")),
            "a fallback model answered": one(iterated("message", "fallback_message")),
        },
        silent={
            "one iteration": one(iterated("message")),
            "the turns of the API's own tools": one(iterated("message", "message", "message")),
            "an advisor was asked": one(iterated("message", "advisor_message")),
            "the API does not say": one(steady()),
        },
    ),
    "schema-compilation": Entry(
        speaks={
            "the first of three calls": one(
                late(4, asked("one", **SCHEMA)),
                late(0.6, asked("one", **SCHEMA), sent=6000),
                late(0.7, asked("one", **SCHEMA), sent=9000),
            ),
            "the first of three samples": one(
                late(4, asked(**SCHEMA)),
                recorded="2026-11-22T11:30:00.000Z",
                others=[
                    one(late(0.6, asked(**SCHEMA)), sample=number, recorded="2026-11-22T11:30:00.000Z")
                    for number in (2, 3)
                ],
            ),
        },
        silent={
            "one later call": one(late(4, asked(**SCHEMA)), late(0.6, asked(**SCHEMA), sent=6000)),
            "no schema": one(late(4), late(0.6, sent=6000), late(0.7, sent=9000)),
            "another schema": one(
                late(4, asked(output_config={"format": {"type": "json_schema", "schema": {"type": "array"}}})),
                late(0.6, asked(**SCHEMA), sent=6000),
                late(0.7, asked(**SCHEMA), sent=9000),
            ),
            "one of the later ones waited as long": one(
                late(4, asked(**SCHEMA)), late(3.9, asked(**SCHEMA), sent=6000), late(0.7, asked(**SCHEMA), sent=12000)
            ),
            "it had been sent before": one(
                late(0.6, asked(**SCHEMA)),
                late(4, asked(**SCHEMA), sent=3000),
                late(0.6, asked(**SCHEMA), sent=9000),
                late(0.7, asked(**SCHEMA), sent=12000),
            ),
        },
    ),
    "tool-round-trips": Entry(
        speaks={
            "two orders of which both numbers were known": agent(
                ("look_up", "A-1042", "shipped"), ("look_up", "B-2077", "lost")
            ),
            "parallel use was forbidden": agent(
                ("look_up", "A-1042", "shipped"),
                ("look_up", "B-2077", "lost"),
                tool_choice={"type": "auto", "disable_parallel_tool_use": True},
            ),
        },
        silent={
            "the second number came with the first result": agent(
                ("look_up", "A-1042", "see C-3099"), ("look_up", "C-3099", "lost")
            ),
            "a value that nobody had named": agent(("look_up", "A-1042", "shipped"), ("search", "parcels", "none")),
            "one use": agent(("look_up", "A-1042", "shipped")),
            "the same again": agent(("look_up", "A-1042", "try again"), ("look_up", "A-1042", "shipped")),
            "no tools": one(*talk(3)),
        },
    ),
    "growing-conversation": Entry(
        speaks={"six turns": one(*talk(6))},
        silent={
            "four turns": one(*talk(4)),
            "the waits stay": one(*talk(6, step=0)),
            "the cache is not read": one(*talk(6, read=0)),
            "the API keeps it": one(*talk(6, thread={"type": "create"})),
            "short turns after a long one": one(*talk(6, words=0)),
        },
    ),
    "cache-expired": Entry(
        speaks={"ten minutes later": next_turn(600)},
        silent={
            "four minutes later": next_turn(240),
            "two hours later": next_turn(7200),
            "it was read all the same": next_turn(600, read=5000, written=600),
            "an hour was asked for": next_turn(
                600,
                system=[{"type": "text", "text": prose(500), "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            ),
        },
    ),
    "cache-look-back": Entry(
        speaks={
            "thirty blocks at once": next_turn(5, 30),
            "only the system prompt was found": next_turn(5, 30, read=1500),
        },
        silent={
            "ten blocks": next_turn(5, 10),
            "it was read": next_turn(5, 30, read=5000, written=600),
            "it had expired": next_turn(600, 30),
            "a little was written": next_turn(5, 30, written=300),
        },
    ),
    "many-tools": Entry(
        speaks={"ninety tools": one(late(1.2, asked(**TOOLBOX), used=usage(prompt=14_000)))},
        silent={
            "one tool": one(late(1.2, asked(**TOOL), used=usage(prompt=14_000))),
            "read from the cache": one(late(1.2, asked(**TOOLBOX), used=usage(prompt=500, read=13_500))),
            "the first token came soon": one(late(0.2, asked(**TOOLBOX), headers=100, used=usage(prompt=14_000))),
            "some are loaded later": one(
                late(
                    1.2,
                    asked(tools=[*TOOLBOX["tools"], {"name": "rare", "defer_loading": True}]),
                    used=usage(prompt=14_000),
                )
            ),
        },
    ),
    "large-images": Entry(
        speaks={"two images": one(late(1.5, images(2, "What is broken?"), used=usage(prompt=3200)))},
        silent={
            "a small one": one(late(1.5, images(1, "What is broken?"), used=usage(prompt=500))),
            "a long text beside them": one(late(1.5, images(1, prose(1500)), used=usage(prompt=3200))),
            "read from the cache": one(late(1.5, images(2, "And?"), used=usage(prompt=100, read=3100))),
            "no image": one(late(1.5, used=usage(prompt=3200))),
            "the first token came soon": one(late(0.2, images(2, "What?"), headers=100, used=usage(prompt=3200))),
        },
    ),
    "blocked-loop": Entry(
        speaks={
            "a sleep beside a stream": one(taken(steady(), (1000, 2200)), holds=[held(1000, 2200), sleep(1000, 2200)]),
            "a timer that was late": one(steady(), holds=[held(1000, 2200, ("the timer of hedge", 1100))]),
            "a sleep between the pieces of its own stream": one(
                taken(steady(), (1000, 2200)), holds=[sleep(1000, 2200)]
            ),
            "a sync client, before a call that ran beside it while recording": one(
                recorded_at(triage("It came broken.", 0), 0),
                recorded_at(triage("Where is it?", 950), 5),
                holds=[held(0, 950)],
            ),
        },
        silent={
            "a sync client before a call that came after it while recording too": one(
                recorded_at(triage("It came broken.", 0), 0),
                recorded_at(triage("Where is it?", 950), 990),
                holds=[held(0, 950)],
            ),
            "a call much later than the hold": one(
                recorded_at(triage("It came broken.", 0), 0),
                recorded_at(triage("Where is it?", 1500), 5),
                holds=[held(0, 950)],
            ),
            "nothing was due": one(steady(), holds=[held(1000, 2200), sleep(1000, 2200)]),
            "the timer was due as the loop went on": one(steady(), holds=[held(1000, 2200, ("the timer of f", 2199))]),
            "too short to notice": one(taken(steady(), (1000, 1040)), holds=[held(1000, 1040), sleep(1000, 1040)]),
            "another thread held its own loop": one(taken(steady(), (1000, 2200), thread=2), holds=[held(1000, 2200)]),
            "a thread without a loop": one(taken(steady(), (1000, 2200)), holds=[sleep(1000, 2200, in_loop=False)]),
            "a program that reads at once": one(taken(steady())),
        },
    ),
    "slow-consumer": Entry(
        speaks={
            "a sleep at the end of an answer": one(
                taken(steady(), (4000, 6500)), holds=[sleep(4000, 6500, in_loop=False)]
            ),
            "something that is not known": one(taken(steady(), (4000, 6500))),
        },
        silent={
            "a program that reads at once": one(taken(steady())),
            "it caught up before the answer ended": one(taken(steady(), (1000, 2200))),
            "as little as every reader takes": one(taken(steady(), (5300, 5450))),
            "a loop that was held is another finding": one(
                taken(steady(), (4000, 6500)), holds=[held(4000, 6500), sleep(4000, 6500)]
            ),
            "a stall of the API's": one(taken(streamed(pieces=[*STALLED, (4000, "text", "at last")]))),
            "a recording, of which nothing is known": one(steady()),
        },
    ),
    "application": Entry(
        speaks={
            "between two calls": one(streamed(asked("one")), streamed(asked("two"), sent=2400)),
            "while it read on": one(streamed(ended=2900)),
        },
        silent={
            "one call": one(streamed()),
            "calls at once one after the other": one(streamed(asked("one")), streamed(asked("two"), sent=901)),
            "little of a long test": one(steady(8), streamed(asked("two"), sent=8700)),
            "a pause of the SDK's": one(refused(asked(stream=True), at=100), streamed(sent=8000)),
            "next to a call that took as long": one(
                streamed(asked("one")), steady(5, request=asked("slow")), streamed(asked("two"), sent=2400)
            ),
            "other requests took it": one(
                streamed(asked("one")), counting(sent=905, at=2000), streamed(asked("two"), sent=2910)
            ),
        },
    ),
}
