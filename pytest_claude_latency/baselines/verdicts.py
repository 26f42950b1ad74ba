"""Regressions: what a run concludes from its baseline.

Where two replays differ, the program or its recordings do, and the run fails. A live run against a stored baseline
only warns: the API's own speed may have changed between the two sessions, and nothing inside one of them can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pytest_claude_latency.baselines.history import Difference
from pytest_claude_latency.comparison.comparison import Comparison
from pytest_claude_latency.metrics.metric import METRICS, json_number
from pytest_claude_latency.results.verdict import RunVerdict

_DRIFT = "measured in another session: the API may have been slower as a whole"


def on_baseline(difference: Difference, name: str, *, live: Iterable[str], strict: bool) -> list[RunVerdict]:
    """The verdicts on a run beside the baseline `name`, in the order of the tests' ids.

    `live` are the tests whose regressions only warn, unless under `strict`.
    """
    warned = set(live)
    found = [_of(each, name, each.nodeid in warned, strict) for each in difference.comparisons]
    found += [_new(nodeid, name, strict) for nodeid in difference.new]
    found += [_other_kind(nodeid, ways, name) for nodeid, ways in difference.other_kind]
    return list(_told_once(sorted(found, key=lambda each: (each.nodeid, not each.shown))))


def _of(comparison: Comparison, name: str, live: bool, strict: bool) -> RunVerdict:
    worse = comparison.verdict == "regression"
    hint = [f"  {'':<10}{_DRIFT}"] if live else []
    strictly = ["  (--latency-strict)"] if live and strict else []
    headline = comparison.headline()
    return RunVerdict(
        nodeid=comparison.nodeid,
        about=f"{comparison.metric} against {name}",
        kind="comparison",
        verdict=comparison.verdict,
        headline=headline,
        message="\n".join([comparison.message(), f"  {'baseline':<10}{name}", *hint, *strictly]),
        notes=comparison.notes,
        fails=worse and (strict or not live),
        warns=worse and live,
        shown=comparison.verdict != "unchanged",
        value=json_number(METRICS[comparison.metric], comparison.typical[1]),
        facts={"kind": "comparison", "baseline": name} | comparison.as_json(),
    )


def _new(nodeid: str, name: str, strict: bool) -> RunVerdict:
    headline = f"new: the baseline {name} does not know this test"
    mend = f"pytest --latency-save={name} keeps it\n  (--latency-strict)"
    return _of_whole_test(nodeid, name, "new", headline, mend, fails=strict)


def _other_kind(nodeid: str, ways: str, name: str) -> RunVerdict:
    headline = f"not compared with the baseline {name}: the test {ways}, and these are never compared"
    mend = "compare with a baseline that was measured in the same way"
    return _of_whole_test(nodeid, name, "not compared", headline, mend, fails=True)


def _of_whole_test(nodeid: str, name: str, verdict: str, headline: str, mend: str, *, fails: bool) -> RunVerdict:
    return RunVerdict(
        nodeid=nodeid,
        about=f"against {name}",
        kind="comparison",
        verdict=verdict,
        headline=headline,
        message=f"{headline}\n  do        {mend}",
        fails=fails,
        facts={"kind": "comparison", "baseline": name},
    )


def _told_once(found: Iterable[RunVerdict]) -> Iterator[RunVerdict]:
    """What is the same for all metrics of a test is shown with the first."""
    told: set[tuple[str, object]] = set()
    for run_verdict in found:
        few, notes = (run_verdict.nodeid, "too few runs"), (run_verdict.nodeid, run_verdict.notes)
        repeated = run_verdict.verdict == "too few runs" and few in told
        yield replace(
            run_verdict, shown=run_verdict.shown and not repeated, notes=() if notes in told else run_verdict.notes
        )
        told |= {(run_verdict.nodeid, run_verdict.verdict), notes}


def said(gone: Iterable[str], name: str, *, is_new: bool) -> list[str]:
    """What is said of a whole comparison: that there is no baseline yet, and which of its tests are no more."""
    nothing = [f"there is no baseline {name} yet; pytest --latency-save={name} keeps this run as one"] if is_new else []
    return nothing + [
        f"{nodeid} is in the baseline {name} and is no more; --latency-save={name} drops it" for nodeid in gone
    ]
