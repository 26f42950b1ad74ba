"""Quotes: whether a request repeats what an earlier answer said first.

Such a request, for example an agent's second turn, holds ids and words that another run does not get, and it could not
have been sent before that answer came. What the program itself had sent before the answer came is no quote: both may
repeat a document that the prompt brought in.

Two programs that write about the same thing share short phrases by chance. So a run of words counts only if it is long
enough (`LEAST_RUN`). Shorter texts count where they stand for more: the whole of a short answer, an id, a name, a
number. A quote is found rather too often than too rarely.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.messages_api.body_text import body_texts
from pytest_claude_latency.messages_api.exchange import Exchange, Request

LEAST_RUN = 20
"""Letters and digits of consecutive words from which on they count as a quote."""
LEAST_ANSWER = 5
"""Letters and digits of a shorter text that counts where the whole of it is repeated: less is yes, no and ok."""

_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_IDEOGRAPH = re.compile(rf"[{_CJK}]")
_LETTERS_OF_AN_IDEOGRAPH = 4  # an ideograph says about as much as a short word
# A capital in the middle of a sentence makes a name; at its beginning every word has one.
_NAME = re.compile(
    rf"(?<=[^\W\d_] )[A-Z][^\W\d_{_CJK}]{{3,}}|(?<![^\W_{_CJK}])(?=[^\W_{_CJK}]{{4}})[^\W_{_CJK}]*\d[^\W_{_CJK}]*"
)
_USAGE = re.compile(r"(?:^|[ .])usage(?:\.|$)")  # holds words of the API's own, for example "standard"


def quotes_an_answer(request: Request, sent: Nanoseconds, exchanges: Sequence[Exchange]) -> bool:
    """Return whether some text of `request`, sent at that instant, comes from an answer that had come by then.

    `exchanges` are those of the same test, or those whose answers are asked about.
    """
    asked = _words_of([request])
    for exchange in exchanges:
        answer = b"".join(chunk.data for chunk in exchange.chunks if exchange.sent + chunk.at <= sent)
        repeated = [run for run in _telling_runs(answer) if run in asked]
        if repeated:
            # only now, since this reads all earlier requests and most answers are never repeated
            before = _words_of(earlier.request for earlier in exchanges if earlier.sent <= exchange.sent)
            if any(run not in before for run in repeated):
                return True
    return False


def _words_of(requests: Iterable[Request]) -> str:
    """Return the words of everything that these requests say; a bar keeps two texts apart."""
    # spaces around each text, so that a run is found only at the edges of words
    texts = (body_text.text for request in requests for body_text in body_texts(request.content))
    return "|".join(f" {' '.join(_WORD.findall(text.lower()))} " for text in texts)


def _telling_runs(answer: bytes) -> Iterator[str]:
    """Yield the runs of words in an answer that nobody else is likely to write by chance."""
    for body_text in body_texts(answer) if answer else ():
        if _USAGE.search(body_text.where):
            continue
        # Where a text is JSON, each string in it counts too: a program may repeat one alone.
        texts = [body_text.text]
        if body_text.holds_json:
            texts += [part.text for part in body_text.parts()]
        elif body_text.text.lstrip()[:1] in ("{", "["):
            texts += [value.text for value in body_texts(body_text.text.encode(errors="replace"))]
        for text in texts:
            yield from _runs(_WORD.findall(text.lower()))
            yield from (f" {name.lower()} " for name in _NAME.findall(text))


def _runs(words: Sequence[str]) -> Iterator[str]:
    """Yield, from each word on, the shortest run that is long enough; all words, if together they are too few."""
    letters = [_LETTERS_OF_AN_IDEOGRAPH if _IDEOGRAPH.match(word) else len(word) for word in words]
    if LEAST_ANSWER <= sum(letters) < LEAST_RUN:
        yield f" {' '.join(words)} "
    end, length = 0, 0
    for start, first in enumerate(letters):
        while length < LEAST_RUN and end < len(words):
            length += letters[end]
            end += 1
        if length >= LEAST_RUN:
            yield f" {' '.join(words[start:end])} "
        length -= first
