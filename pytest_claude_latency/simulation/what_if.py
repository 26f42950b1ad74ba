"""What-if: questions to a recording, and what each of its calls weighs.

A question changes the time of some calls, or of all. The answer is not computed here: the program runs again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, cast, final

from pytest_claude_latency import duration
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.errors import LimitError
from pytest_claude_latency.messages_api.endpoints import requested_model
from pytest_claude_latency.messages_api.request_pattern import Expected
from pytest_claude_latency.near_names import did_you_mean
from pytest_claude_latency.printable import printable
from pytest_claude_latency.simulation.answer_times import Change, Part
from pytest_claude_latency.simulation.chosen_calls import EVERY, ChosenCalls, prompt_calls
from pytest_claude_latency.simulation.retiming import stretched

ACCEPTED: Final = (
    "[FIELD=PATTERN ...:] METRIC*FACTOR or METRIC+DURATION or METRIC-DURATION, with ttft, output or total, for example "
    '"model=claude-opus-*: ttft*0.5"'
)
_QUESTION = re.compile(r"(?:(?P<when>[^:]+):)?\s*(?P<metric>ttft|output|total)\s*(?P<sign>[*+-])\s*(?P<value>\S+)\s*")
_METRICS: Final = ("ttft", "output", "total")
_WORD = re.compile(r"[a-z_]+", re.IGNORECASE)
_JSON_WORDS: Final[dict[str, Expected]] = {"true": True, "false": False, "null": None}
_FACTOR = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_FASTER: Final = (("20 % faster", Fraction(4, 5)), ("twice as fast", Fraction(1, 2)), ("at once", Fraction(0)))


@final
@dataclass(frozen=True)
class Question:
    """What if a part of some calls took another time? `text` is how a report names it."""

    text: str
    part: Part
    change: Change
    chosen: ChosenCalls = EVERY

    @classmethod
    def parse(cls, text: str) -> Question:
        """Return the question that a user asks.

        Raises:
            LimitError: it is not understood.
        """
        match = _QUESTION.fullmatch(text)
        if match is None:
            metric = _WORD.search(text.rpartition(":")[2])
            hint = did_you_mean(metric[0], _METRICS) if metric else ""
            raise LimitError(f"{text!r} is not understood{hint}; accepted: {ACCEPTED}")
        value, sign = match["value"], match["sign"]
        if sign == "*":
            if not _FACTOR.fullmatch(value):
                raise LimitError(f"{text!r}: {value!r} is not a factor; accepted: a number of at least 0, such as 0.5")
            # By its digits: 0.1 is a tenth, and not the float next to it.
            change = Change(Fraction(Decimal(value)))
        else:
            try:
                span = duration.parse(value)
            except LimitError as error:
                raise LimitError(f"{text!r}: {error}") from None
            change = Change(more=span if sign == "+" else -span)
        fields: list[tuple[str, Expected]] = []
        for piece in (match["when"] or "").split():
            field, equals, pattern = piece.partition("=")
            # an empty pattern is a slip, most often an empty variable of a shell: it would fit no call of any test
            if not (field and equals and pattern):
                raise LimitError(f"{text!r}: {piece!r} is not FIELD=PATTERN; accepted: {ACCEPTED}")
            fields.append((field, _JSON_WORDS.get(pattern.lower(), pattern)))
        chosen = EVERY if match["when"] is None else ChosenCalls(when=tuple(fields))
        return cls(text.strip(), cast(Part, match["metric"]), change, chosen)

    def fits(self, recording: Recording) -> bool:
        """Return whether the question is about a call of a recording."""
        return bool(self.chosen.of(recording))

    def applied(self, recording: Recording) -> Recording:
        """Return the recording as it would be."""
        return stretched(recording, self.part, self.change, self.chosen)


def sensitivities(recording: Recording) -> list[Question]:
    """Return the questions what each prompt call weighs: one call at a time, faster and faster."""
    questions = []
    for number, places in enumerate(prompt_calls(recording), 1):
        model = printable(requested_model(recording.exchanges[places[0]].request) or "no model")
        for how, factor in _FASTER:
            text = f"call {number} ({model}) {how}"
            questions.append(Question(text, "total", Change(factor), ChosenCalls(call=number)))
    return questions
