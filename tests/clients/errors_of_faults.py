"""What a client library raises for each fault, in the words of its own classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from pytest_claude_latency import Recording, play
from pytest_claude_latency.faults import (
    Fault,
    dropped,
    failing,
    malformed,
    overloaded,
    overloaded_midstream,
    rate_limited,
    refused,
    trickled,
    unanswered,
)
from tests.support import other_forms
from tests.support.some_recording import recording

FAULTS: Mapping[str, Fault] = {
    **{str(status): failing(status=status) for status in (400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 504)},
    "429": rate_limited(retry_after="60s"),
    "529": overloaded(),
    "refused": refused(),
    "unanswered": unanswered(),
    "dropped": dropped(after=1),
    "overloaded_midstream": overloaded_midstream(after=1),
    "malformed": malformed(after=1),
    "trickled": trickled(every="15s"),
}
STREAMED = recording(
    other_forms.chat(
        (400, other_forms.chunk(content="one ")),
        (500, other_forms.chunk("stop", content="two") + other_forms.CHAT_USAGE + other_forms.DONE),
    )
)
_MESSAGE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "one two"}}
WHOLE = recording(
    other_forms.chat(
        (400, json.dumps({"id": "c1", "object": "chat.completion", "created": 1, "choices": [_MESSAGE]}).encode()),
        stream=False,
    )
)


def raised(ask: Callable[[], object], fault: str, recorded: Recording) -> BaseException | None:
    """Ask once while the fault happens, and return what the program gets to see; None if it gets an answer."""
    with play(FAULTS[fault](recorded)):
        try:
            ask()
        except Exception as error:
            return error
    return None
