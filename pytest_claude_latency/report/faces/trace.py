"""The trace: a report in Chrome's trace format, for Perfetto and other viewers of traces.

Each sample of a test is a process. Its first thread is the whole test along its critical path. Overlapping calls lie in
lanes of their own: a viewer nests slices of one thread, and would draw a call that began later as a part of the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pytest_claude_latency.printable import printable, printable_json
from pytest_claude_latency.report.faces.payload import NAMES, Payload, payload_of

_PATH: Final = 1
"""The thread of the critical path."""
_LANES: Final = 10
"""The thread of the first lane; the numbers in between are those of set-up calls and watched outputs."""


def render(report: Mapping[str, Any]) -> str:
    """Return the file: one event a line."""
    payload = payload_of(report, report["summary"]["rows"])
    texts = payload["t"]
    events: list[dict[str, Any]] = []
    process = 0
    for row in payload["r"]:
        for sample in row["s"]:
            process += 1
            name = texts[row["id"]] + (f", sample {sample['n']}" if len(row["s"]) > 1 else "")
            events += _metadata(process, 0, "process_name", name)
            # a viewer shows processes in this order: the worst first, as in all reports
            events.append(_event("M", process, 0, "process_sort_index", args={"sort_index": process}))
            events += _sample(process, sample, texts)
    lines = ",\n".join(json.dumps(event, ensure_ascii=False) for event in events)
    return printable_json(f'{{"displayTimeUnit": "ms", "traceEvents": [\n{lines}\n]}}') + "\n"


def _sample(process: int, sample: Payload, texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    if sample["p"]:
        yield from _metadata(process, _PATH, "thread_name", "whole test, by its critical path")
        yield from _parts(process, _PATH, sample["o"], sample["p"])
        yield from _limits(process, _PATH, sample, texts, bar=0, start=sample["o"])
    ends: list[int] = []
    for place, call in enumerate(sample["c"], 1):
        start, over = call[2], call[2] + (call[6] or 0)
        # the first lane that is free again
        lane = next((lane for lane, end in enumerate(ends) if end <= start), len(ends))
        if lane == len(ends):
            ends.append(0)
            yield from _metadata(process, _LANES + lane, "thread_name", f"calls, lane {lane + 1}")
        ends[lane] = max(over, start + 1)
        thread = _LANES + lane
        facts = {
            "model": texts[call[0]],
            "made at": texts[call[1]],
            "prompt tokens": call[7],
            "output tokens": call[8],
            "ended": texts[call[9]],
        }
        facts = {name: value for name, value in facts.items() if value not in ("", None)}
        title = f"call {place} · {texts[call[0]]}"
        yield _event("X", process, thread, title, ts=start, dur=over - start, cat="call", args=facts)
        yield from _parts(process, thread, start, call[10])
        yield from _limits(process, thread, sample, texts, bar=place, start=start)
    yield from _others(process, sample, texts)


def _others(process: int, sample: Payload, texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield set-up calls, watched outputs, blocks and streams of sessions, each in its own thread: they may overlap."""
    thread = _LANES + len(sample["c"])
    for place, call in enumerate(sample.get("u", ()), 1):
        thread += 1
        yield from _metadata(process, thread, "thread_name", f"set-up call {place} · {texts[call[0]]}")
        yield from _parts(process, thread, call[2], call[10])
    for place, (since, first, last) in enumerate(sample.get("w", ()), 1):
        thread += 1
        yield from _metadata(process, thread, "thread_name", f"watched output {place}")
        if last is not None:
            yield _event("X", process, thread, f"watched output {place}", ts=since, dur=last, cat="watched")
        if first is not None:
            yield _event("i", process, thread, "first text", ts=since + first, s="t", cat="watched")
        yield from _limits(process, thread, sample, texts, bar=-place, start=since)
    below = len(sample.get("w", ()))
    for place, (since, until, line) in enumerate(sample.get("k", ()), 1):
        thread += 1
        yield from _metadata(process, thread, "thread_name", f"block {place} · {texts[line]}")
        yield _event("X", process, thread, f"block {place}", ts=since, dur=until - since, cat="block")
        yield from _limits(process, thread, sample, texts, bar=-below - place, start=since)
    below += len(sample.get("k", ()))
    for place, call in enumerate(sample.get("z", ()), 1):
        thread += 1
        yield from _metadata(process, thread, "thread_name", f"session stream {place}")
        yield from _parts(process, thread, call[2], call[10])
        yield from _limits(process, thread, sample, texts, bar=-below - place, start=call[2])


def _parts(process: int, thread: int, since: int, segments: Sequence[int]) -> Iterator[dict[str, Any]]:
    start = 0
    for part, until in zip(segments[::2], segments[1::2], strict=True):
        yield _event("X", process, thread, NAMES[part], ts=since + start, dur=until - start, cat="part")
        start = until


def _limits(
    process: int, thread: int, sample: Payload, texts: Sequence[str], *, bar: int, start: int
) -> Iterator[dict[str, Any]]:
    """Yield an instant for each limit on a bar, at its place, or at `start` if it has none."""
    for limited, number, _, at, *_ in sample.get("l", ()):
        if limited == bar:
            name, limit, measured, verdict, origin = (texts[place] for place in sample["b"][number])
            facts = {"measured": measured, "verdict": verdict, "set by": origin}
            when = start if at < 0 else at
            yield _event("i", process, thread, f"{name} {limit}", ts=when, s="t", cat="budget", args=facts)


def _metadata(process: int, thread: int, kind: str, name: str) -> Iterator[dict[str, Any]]:
    yield _event("M", process, thread, kind, args={"name": printable(name)})


def _event(phase: str, process: int, thread: int, name: str, **more: Any) -> dict[str, Any]:
    return {"ph": phase, "pid": process, "tid": thread, "name": name, **more}
