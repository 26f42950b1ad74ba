"""Verdicts of a run that is compared with its baseline.

Where two replays differ, the program or its recordings do, and the run fails. A live run against a stored baseline
only warns: the API's own speed may have changed between the two sessions, and nothing inside one of them can tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pytest_claude_latency.baselines.history import Difference
from pytest_claude_latency.comparison.comparison import Comparison
from pytest_claude_latency.metrics.metric import METRICS, json_number
from pytest_claude_latency.results.verdict import RunVerdict

# ── what users read ──

DRIFT = "measured in another session: the API may have been slower as a whole"
STRICTLY = "(--latency-strict)"
NEW = "new: baseline {name} does not have this test"
NEW_REMEDY = "pytest --latency-save={name} adds it\n  " + STRICTLY
OTHER_KIND = "not compared with baseline {name}: the test {ways}, and these are never compared"
OTHER_KIND_REMEDY = "compare with a baseline that was measured in the same way"


def warnings_on(missing: Iterable[str], name: str, *, is_new: bool) -> list[str]:
    """Return the warnings of a run whose baseline does not exist yet, or has tests that are missing now."""
    first = [f"there is no baseline {name} yet; pytest --latency-save={name} saves this run as one"] if is_new else []
    return first + [
        f"baseline {name} has a test that no longer exists: {nodeid} (remove it with --latency-save={name})"
        for nodeid in missing
    ]


# ── the verdicts ──


def on_baseline(difference: Difference, name: str, *, live: Iterable[str], strict: bool) -> list[RunVerdict]:
    """Return the verdicts on a run against the baseline `name`, in the order of the tests' ids.

    `live` are the tests whose regressions only warn, unless under `strict`.
    """
    live_tests = set(live)
    verdicts = [
        _on_metric(comparison, name, comparison.nodeid in live_tests, strict) for comparison in difference.comparisons
    ]
    for nodeid in difference.new:
        headline, remedy = NEW.format(name=name), NEW_REMEDY.format(name=name)
        verdicts.append(_on_test(nodeid, name, "new", headline, remedy, fails=strict))
    for nodeid, ways in difference.other_kind:
        headline = OTHER_KIND.format(name=name, ways=ways)
        verdicts.append(_on_test(nodeid, name, "not compared", headline, OTHER_KIND_REMEDY, fails=True))
    verdicts.sort(key=lambda verdict: (verdict.nodeid, not verdict.shown))
    # the metrics of a test share their notes and, with too few runs, their verdict: each is shown only with the first
    # metric, or a test with ten metrics would say it ten times
    shown: set[tuple[str, object]] = set()
    for position, verdict in enumerate(verdicts):
        few, notes = (verdict.nodeid, "too few runs"), (verdict.nodeid, verdict.notes)
        is_repeated = verdict.verdict == "too few runs" and few in shown
        verdicts[position] = replace(
            verdict, shown=verdict.shown and not is_repeated, notes=() if notes in shown else verdict.notes
        )
        shown |= {(verdict.nodeid, verdict.verdict), notes}
    return verdicts


def _on_metric(comparison: Comparison, name: str, live: bool, strict: bool) -> RunVerdict:
    is_worse = comparison.verdict == "regression"
    hint = [f"  {'':<10}{DRIFT}"] if live else []
    strictly = [f"  {STRICTLY}"] if live and strict else []
    return RunVerdict(
        nodeid=comparison.nodeid,
        about=f"{comparison.metric} against {name}",
        kind="comparison",
        verdict=comparison.verdict,
        headline=comparison.headline(),
        message="\n".join([comparison.message(), f"  {'baseline':<10}{name}", *hint, *strictly]),
        notes=comparison.notes,
        fails=is_worse and (strict or not live),
        warns=is_worse and live,
        shown=comparison.verdict != "unchanged",
        value=json_number(METRICS[comparison.metric], comparison.typical[1]),
        facts={"kind": "comparison", "baseline": name} | comparison.as_json(),
    )


def _on_test(nodeid: str, name: str, verdict: str, headline: str, remedy: str, *, fails: bool) -> RunVerdict:
    return RunVerdict(
        nodeid=nodeid,
        about=f"against {name}",
        kind="comparison",
        verdict=verdict,
        headline=headline,
        message=f"{headline}\n  do        {remedy}",
        fails=fails,
        facts={"kind": "comparison", "baseline": name},
    )
