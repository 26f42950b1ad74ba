"""Quotations: whether a request says what an earlier answer of the same run said first.

Such a request, an agent's second turn say, holds ids and words of answers that another run does not get. What the
program had said itself before the answer came is no quotation: both may repeat a document that the prompt brought in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api.body_text import passages
from pytest_claude_latency.messages_api.exchange import Exchange, Request

SHORTEST = 8
"""Characters of an answer that is still told from chance where all of it is repeated: shorter ones are yes and no."""
STRETCH = 20
"""Characters of a longer answer that are, where a part of it is repeated."""
_STEP = 10  # so a part of 30 characters is always seen
_DISTINCT = 8  # a line of dashes is nobody's words
_ACCOUNT = re.compile(r"(?:^|[ .])usage(?:\.|$)")  # the API's own, as "standard"


def quotes_an_answer(request: Request, sent: Nanoseconds, run: Sequence[Exchange]) -> bool:
    """Whether some of `request`, sent at this instant, comes from an answer that had come by then.

    `run` holds all exchanges of the test, in the order they were sent.
    """
    said = _texts(request.content)
    return any(
        words in said and words not in _said_until(exchange, run)
        for exchange in run
        for words in _words(_answer_until(sent, exchange))
    )


def _answer_until(instant: Nanoseconds, exchange: Exchange) -> bytes:
    return b"".join(chunk.data for chunk in exchange.chunks if exchange.sent + chunk.at <= instant)


def _said_until(answered: Exchange, run: Iterable[Exchange]) -> str:
    """What the program had asked when it sent the request that was answered so."""
    return "\0".join(_texts(each.request.content) for each in run if each.sent <= answered.sent)


def _texts(body: bytes) -> str:
    return "\0".join(passage.text for passage in passages(body))


def _words(body: bytes) -> Iterator[str]:
    """What of an answer is told from chance."""
    for passage in passages(body) if body else ():
        if not _ACCOUNT.search(passage.where):
            for part in passage.parts():
                yield from _stretches(part.text.strip())


def _stretches(text: str) -> Iterator[str]:
    if len(text) <= STRETCH:
        found: Iterable[str] = [text] if len(text) >= SHORTEST else []
    else:
        found = (text[start : start + STRETCH] for start in range(0, len(text) - STRETCH + 1, _STEP))
    return (each for each in found if len(set(each)) >= min(_DISTINCT, len(text) // 2))
