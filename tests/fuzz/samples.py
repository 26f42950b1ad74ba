"""Sound files of each kind that the package reads, to be damaged."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from pytest_claude_latency.report.data import build, render
from pytest_claude_latency.simulation import profiles
from tests.support.aws_frames import exception
from tests.support.other_forms import CHAT, CONVERSE, STOPPED, USAGE, chunk, delta
from tests.support.some_baseline import baseline, live, never, replayed
from tests.support.some_call import some_call
from tests.support.some_recording import TEXT
from tests.support.some_results import some_result, summary_of

EXAMPLES = Path(__file__).parents[2] / "examples"
PRICES = '{"dated": "2026-12-01", "models": {"claude-haiku-4-5*": {"input": 1.0, "output": 5.0, "cache_read": 0.1}}}'

_FINDING: dict[str, Any] = {
    "rule": "long_answer",
    "fact": "it is long",
    "remedy": "ask for less",
    "cost": 1.0,
    "guide": 1,
}
_FINDING |= {"saving": {"seconds": 0.5, "how": "estimated", "calls": [1]}, "calls": [1], "made_at": ["app.py:1"]}


def recordings() -> list[bytes]:
    """Return the recordings of the examples, and some in other forms."""
    texts = [path.read_bytes() for path in sorted(EXAMPLES.rglob("*.jsonl"))]
    texts.append(TEXT.encode())
    frames = [delta(text="Hel"), delta(text="lo"), STOPPED, USAGE, exception("throttlingException", "Too many")]
    texts.append(_recording(f"{CONVERSE}converse-stream", "application/vnd.amazon.eventstream", frames))
    chunks = [chunk(content="Hel"), chunk(content="lo"), chunk("stop")]
    texts.append(_recording(CHAT, "text/event-stream", chunks))
    return texts


def baselines(folder: Path) -> list[bytes]:
    """Return baselines of replays and of live runs; `folder` is where they may be written."""
    saved = [baseline(replayed()), baseline(live("test_a.py::test", [1.0, 2.0, 1.5]), never())]
    texts = []
    for part in saved:
        part.save(folder / "sound.jsonl")
        texts.append((folder / "sound.jsonl").read_bytes())
    (folder / "sound.jsonl").unlink()
    return texts


def reports() -> list[bytes]:
    """Return JSON reports."""
    parts = {"waiting": 1.0, "answering": 2.0}
    call = some_call()
    breakdown = {"test": parts, "calls": [parts], "segments": [[]], "gaps": [None], "path": []}
    plain = some_result(limits={"ttft": "1ms", "total": "9s"})
    explained = some_result("test_b.py::test", calls=[call], breakdown=breakdown, findings=(_FINDING,))
    return [
        render(build(summary_of(plain))).encode(),
        render(build(summary_of(plain, explained))).encode(),
    ]


def profile_files() -> list[bytes]:
    """Return the shipped profiles."""
    return [(Path(profiles.__file__).parent / "profiles.json").read_bytes()]


def _recording(url: str, content_type: str, chunks: list[bytes]) -> bytes:
    head = json.loads(TEXT.partition("\n")[0])
    body = {"model": "claude-haiku-4-5", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    lines = [head, {"request": 1, "at": 0.0, "method": "POST", "url": url, "json": body}]
    lines.append({"response": 1, "at": 10.0, "status": 200, "headers": {"content-type": content_type}})
    for place, data in enumerate(chunks):
        lines.append({"chunk": 1, "at": 11.0 + place, "base64": b64encode(data).decode()})
    lines.append({"end": 1, "at": 99.0})
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()
