"""The warm-up of the SDK: what it imports and builds for the first answer of a process is not measured.

The SDK imports the types of an answer when it meets the first one, and Pydantic then builds what checks them. For a
first stream that takes some 300 to 500 ms, in which its parts wait unread: they would be recorded so late, and replayed
so late for ever. So, before the first test of a process that calls the API, the SDK reads made-up answers. They come
from a stand-in transport: nothing is sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from operator import attrgetter
from typing import Any, Final

from pytest_claude_latency.http.library import HTTPLibrary

_NOWHERE: Final = (
    "http://127.0.0.1:9"  # the port that drops what it gets, should a stand-in be replaced by a user's patch
)
_ASKED: Final[dict[str, Any]] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "warm-up"}],
}
_MESSAGE: Final[dict[str, Any]] = {
    "id": "msg_warmup",
    "type": "message",
    "role": "assistant",
    "model": _ASKED["model"],
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
_BLOCKS: Final[list[tuple[dict[str, Any], dict[str, Any]]]] = [
    (
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "warm"},
    ),
    ({"type": "text", "text": ""}, {"type": "text_delta", "text": "up"}),
    (
        {"type": "tool_use", "id": "toolu_warmup", "name": "warm", "input": {}},
        {"type": "input_json_delta", "partial_json": "{}"},
    ),
]
"""The kinds of content that most answers have: the start of a block, and a piece of it."""
_EVENTS: Final[list[dict[str, Any]]] = [
    {"type": "message_start", "message": _MESSAGE},
    *(
        event
        for index, (block, delta) in enumerate(_BLOCKS)
        for event in (
            {"type": "content_block_start", "index": index, "content_block": block},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        )
    ),
    {"type": "ping"},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop"},
]
_MOMENT: Final = "2026-01-01T00:00:00Z"
_SESSION: Final[list[dict[str, Any]]] = [
    {"type": "session.status_running", "id": "sevt_1", "processed_at": _MOMENT},
    {
        "type": "agent.message",
        "id": "sevt_2",
        "processed_at": _MOMENT,
        "content": [{"type": "text", "text": "up"}],
    },
    {
        "type": "session.status_idle",
        "id": "sevt_3",
        "processed_at": _MOMENT,
        "stop_reason": {"type": "end_turn"},
    },
]


@cache  # once a process: what is imported and built stays
def warm_up_sdk() -> None:
    """Let the SDK read an answer of each kind, sync and async. What fails is left cold, and its first use measured."""
    disabled = logging.root.manager.disable
    logging.disable()  # nothing of it is what the program did, so no log and no warning shows it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # In a thread of its own: the caller may be inside an event loop, or hold context of a test.
            thread = threading.Thread(target=_read_all, name="claude-latency-warm-up")
            thread.start()
            thread.join()
    finally:
        logging.disable(disabled)


def _read_all() -> None:
    import anthropic

    library = HTTPLibrary.of_sdk()
    with suppress(Exception):
        library.client().close()  # the first one reads the certificates
    module, transport = library.module, library.module.MockTransport(_answer_of(library.module))
    asked: dict[str, Any] = {"api_key": "warm-up", "base_url": _NOWHERE}
    with suppress(Exception), anthropic.Anthropic(**asked, http_client=module.Client(transport=transport)) as client:
        with suppress(Exception):
            client.messages.create(**_ASKED)
        # The types of the beta API are classes of their own: its first stream would be as slow as any.
        for messages in ("messages", "beta.messages"):
            with suppress(Exception), attrgetter(messages)(client).stream(**_ASKED) as stream:
                for _ in stream:
                    pass
        # older versions know no sessions
        with suppress(Exception), client.beta.sessions.events.stream("sesn_warmup") as events:
            for _ in events:
                pass

    async def read_async() -> None:
        import anyio  # the SDK waits with it

        await anyio.sleep(0)
        async with (
            anthropic.AsyncAnthropic(**asked, http_client=module.AsyncClient(transport=transport)) as client,
            client.messages.stream(**_ASKED) as stream,
        ):
            async for _ in stream:
                pass

    # a loop of asyncio's own, whatever the policy of the process would make
    with suppress(Exception), asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(read_async())


def _answer_of(module: Any) -> Callable[[Any], Any]:
    """Return what answers a request with a response of this library."""

    def answer(request: Any) -> Any:
        is_session = request.method == "GET"
        if is_session or json.loads(request.content).get("stream"):
            sent = _SESSION if is_session else _EVENTS
            events = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in sent)
            return module.Response(200, headers={"content-type": "text/event-stream"}, content=events.encode())
        whole = {**_MESSAGE, "content": [{"type": "text", "text": "up"}], "stop_reason": "end_turn"}
        return module.Response(200, json=whole)

    return answer
