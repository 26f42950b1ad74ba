"""The rule about prompts that ask for a number of words.

What counts is a number of words that is asked for, in English or Chinese, not a number of words that is given. So the
phrase must stand in a sentence that asks for something, and in a form that sets the length of an answer.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pytest_claude_latency.diagnosis import prompt_text
from pytest_claude_latency.diagnosis.finding import Finding
from pytest_claude_latency.diagnosis.trace import Trace

# nobody counts words that closely
_NEARLY = 0.1
_N = r"(?P<words>\d{1,3}(?:,\d{3})+|\d{2,5}|[2-9])"
# "50 words of advice" names what is given, not how long an answer shall be
_WORDS = rf"{_N} words\b(?! (?:of|or (?:phrases|sentences))\b)"
_KINDS = "answer|reply|response|summary|description|paragraph|essay|text|story|abstract|e-?mail|message|overview|note"
_LIMITS = (
    "at most|no more than|not more than|no longer than|not exceed|exceeding|up to|within|under|below|less than|"
    "fewer than|max|max of|max:|maximum|maximum of|maximum:|limit of|limited to|limit (?:it|yourself) to|"
    r"limit (?:your|the) \w+ to|keep (?:it|this) to|keep (?:your|the) \w+ to"
)
_EXACT = (
    rf"\b(?:in|using|use|write|(?:{_KINDS}) of|exactly|about)(?: exactly| precisely| about| around)? {_WORDS}",
    r"\b(?:write|draft|compose|give|produce|provide|as|in|into)(?: me| us)? an? (?:\w+ )?"
    rf"{_N}-words? (?:\w+ )?(?:{_KINDS})\b",
    rf"[用以写约好] ?(?:一[篇段个])?{_N} ?个?[字词](?![以之])",
)
_AT_MOST = (
    rf"\b(?:{_LIMITS}) {_WORDS}",
    rf"\b{_N} words (?:or (?:less|fewer)|max|maximum|at most|or under)\b",
    rf"(?:不超过|不要超过|最多|不多于|少于|限制在|控制在) ?{_N} ?个?[字词]",
    rf"{_N} ?个?[字词](?:以内|之内|以下)",
)
# The limits first: "in 50 words or less" fits both, and a short answer keeps it.
_PATTERNS = (*((True, pattern) for pattern in _AT_MOST), *((False, pattern) for pattern in _EXACT))
_ASKS = re.compile(
    r"\b(?:summari[sz]e|describe|explain|write|answer|reply|respond|draft|compose|rewrite|rephrase|keep|limit|use|be|"
    r"make|give|tell|shorten|condense|your|length|outline|review|introduce|please|produce|provide)\b"
    r"|[写答述说概总介请用限控]",
    re.IGNORECASE,
)
_SENTENCE = re.compile("[^.!?\n\u3002\uff01\uff1f]+")  # full stops and the like, of both scripts


class _Asked(NamedTuple):
    """A number of words that was asked for."""

    phrase: str
    number: int
    at_most: bool

    def is_met(self, words: int) -> bool:
        """Whether an answer of so many words has, nearly, what was asked for."""
        enough = self.at_most or words >= self.number * (1 - _NEARLY)
        return enough and words <= self.number * (1 + _NEARLY)

    def count(self, text: str) -> int:
        """Return the number of words as the phrase's language counts them: in Chinese, characters."""
        return len(text.split()) if self.phrase.isascii() else sum("\u3400" <= char <= "\u9fff" for char in text)


def counted_words(trace: Trace) -> Finding | None:
    """Find a prompt that asks for a number of words, where the answer has another number.

    Silent about numbers of anything else, and about words that are given rather than asked for.
    """
    for call in trace.concerned_first(trace.calls):
        if not call.ended_by_itself or not call.is_prose:
            continue
        sentences = (sentence for text in prompt_text.instructions(call.body) for sentence in _SENTENCE.findall(text))
        # the first number that is asked for: a second one is mostly about a part of the answer
        asked = next(
            (
                _Asked(match[0].strip(), int(match["words"].replace(",", "")), at_most)
                for sentence in filter(_ASKS.search, sentences)
                for at_most, pattern in _PATTERNS
                if (match := re.search(pattern, sentence, re.IGNORECASE))
            ),
            None,
        )
        if asked is None or asked.is_met(words := asked.count(call.text)):
            continue
        return Finding(
            rule="counted-words",
            fact=f'the prompt of {trace.name(call)} asks for a number of words ("{asked.phrase}"), and the answer '
            f"has {words}",
            remedy="ask for a number of sentences or paragraphs: models count tokens, not words",
            cost=call.generating,
            guide=2,
            calls=(call.number,),
        )
    return None
