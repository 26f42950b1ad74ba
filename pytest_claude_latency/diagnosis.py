"""A diagnosis: where the time of a test that has just run went, and why.

It is made only where someone will read it: under a broken budget, for a JSON report, and where the run
explains every test. A test that keeps its budget pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from pytest_claude_latency.findings import Account, Finding, find, listing
from pytest_claude_latency.judgement import Judgement
from pytest_claude_latency.measurement import Measurement, Phase

_MOST: Final = 3
"""So many findings stand under a broken budget."""


@final
@dataclass(frozen=True)
class Diagnosis:
    """The account of what was measured, what was found about it, and the judgements it stands under."""

    account: Account
    findings: tuple[Finding, ...]
    judgements: Sequence[Judgement]

    @classmethod
    def of(
        cls,
        measurement: Measurement,
        *phases: Phase,
        judgements: Sequence[Judgement],
        beside: Iterable[Account],
        since: int = 0,
        nodeid: str = "",
        sample: int = 1,
    ) -> Diagnosis:
        """The diagnosis of the calls sent in these phases; `since` leaves out the first so many requests.

        `beside` are the accounts of other recordings, to compare with.
        """
        calls = measurement.attempts(*phases, since=since)
        account = Account.of(calls, nodeid=nodeid, sample=sample, now=measurement.now())
        account = account.beside(beside, {judgement.metric for judgement in judgements if judgement.broken})
        return cls(account, find(account), judgements)

    def text(self) -> str:
        """What a failing message ends with: the breakdowns its limits are about, and the worst findings."""
        account = self.account
        if not account.order:
            return ""
        lines = [f"{'test' if len(account.order) > 1 else 'call':<10}{account.breakdown.text()}"]
        if len(account.order) > 1:
            deciding = sorted({each.call for each in self.judgements if each.broken and each.call is not None})
            lines += [f"{f'call {number}':<10}{account.calls[number - 1].breakdown.text()}" for number in deciding]
        return "\n\n" + "\n".join(["where the time went", *(f"  {line}" for line in [*lines, *self._worst()])])

    def _worst(self) -> list[str]:
        left = len(self.findings) - _MOST
        more = f"{'':<10}and {left} more: pytest --latency-explain lists them"
        return [*listing(self.findings[:_MOST]), *([more] if left > 0 else [])]

    def breakdown(self) -> dict[str, Any]:
        """Where time went, in JSON types: in the whole `test`, in each of its `calls`, and as `text`."""
        account = self.account
        return {
            "test": account.breakdown.as_json(),
            "calls": [call.breakdown.as_json() for call in account.calls],
            "text": account.breakdown.text() if account.order else "",
        }

    def plain_findings(self) -> tuple[dict[str, Any], ...]:
        """What was found, in JSON types."""
        return tuple(finding.as_json() for finding in self.findings)
