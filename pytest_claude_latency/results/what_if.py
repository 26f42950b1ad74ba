"""What a test would have taken, had the API answered otherwise: run, not extrapolated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pytest_claude_latency import duration
from pytest_claude_latency.metrics.metric import METRICS, json_number

HEADERS: Final = ("what if (simulated)", "elapsed", "first token", "saves")


@dataclass(frozen=True, kw_only=True)
class WouldBe:
    """The answer to one question: times in nanoseconds, None where they were not measured.

    `ending` says how the run ended; empty if the question is about no call of the test.
    """

    question: str
    elapsed: int | None = None
    first_token: int | None = None
    ending: str = ""


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """The answers to the questions about one test, and what it takes as it was recorded."""

    now: WouldBe
    answers: tuple[WouldBe, ...] = ()

    def cells(self) -> list[tuple[str, str, str, str]]:
        """Return the rows of its table; the first is the test as it was recorded."""
        rows = [("as recorded", _show(self.now.elapsed), _show(self.now.first_token), "")]
        for answer in self.answers:
            if answer.ending == "passed":
                saved, share = self._saved(answer), ""
                if saved is not None:
                    share = f"{round(100 * saved, 1):g} %"
                    if saved < -1:  # beyond the bars, a percentage is no figure to picture
                        share = f"{round(1 - saved, 0 if saved < -9 else 1):,.10g} times as long"
                rows.append((answer.question, _show(answer.elapsed), _show(answer.first_token), share))
            else:
                rows.append((answer.question, answer.ending or "no call fits", "", ""))
        return rows

    def bars(self, width: int = 20) -> list[str]:
        """Return a bar for each row: how much of the time it saves, all of it as `width` characters.

        What would take longer has `+` signs. That of something that would take more than twice as long is cut, and ends
        in `…`: drawn to its end, it would leave the others no width.
        """
        shares = [0.0, *((self._saved(answer) or 0.0) if answer.ending == "passed" else 0.0 for answer in self.answers)]
        return [
            ("█" if share > 0 else "+") * round(width * abs(share)) if share >= -1 else "+" * (width - 1) + "…"
            for share in shares
        ]

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON types, durations in seconds to the microsecond."""
        return {
            "simulated": True,
            "as_recorded": _facts(self.now),
            "answers": [
                {"question": answer.question, **_facts(answer), "ending": answer.ending or "no call fits"}
                for answer in self.answers
            ],
        }

    def _saved(self, answer: WouldBe) -> float | None:
        # a test that took no time at all has none of which a share could be saved
        if not self.now.elapsed or answer.elapsed is None:
            return None
        return 1 - answer.elapsed / self.now.elapsed


def _facts(answer: WouldBe) -> Mapping[str, float | None]:
    metric = METRICS["elapsed"]
    return {
        "elapsed": json_number(metric, answer.elapsed),
        "first_token": json_number(metric, answer.first_token),
    }


def _show(span: int | None) -> str:
    return "-" if span is None else duration.show(span)
