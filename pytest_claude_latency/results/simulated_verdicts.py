"""Simulated verdicts: what a simulation decides where the recorded samples of a test are too few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_claude_latency.results.simulation import Simulation
from pytest_claude_latency.results.verdict import STRICTLY, RunVerdict


def decided_by(run_verdict: RunVerdict, simulations: Mapping[str, Simulation]) -> RunVerdict:
    """Return what the test's simulation decides where recordings leave a percentile open; else the verdict as it is."""
    simulation = simulations.get(run_verdict.nodeid)
    if (
        simulation is None
        or run_verdict.kind != "percentile"
        or run_verdict.verdict != "inconclusive"
        or not simulation.is_conclusive
    ):
        return run_verdict
    for simulated in simulation.percentiles:
        # `about` names the percentile; one that is about some of the samples only has more behind it
        if run_verdict.about != f"{simulated.limit.name} {simulated.limit.statistic}":
            continue
        if simulated.verdict == "inconclusive":
            return run_verdict
        # It is decided now: what it says of `--latency-strict`, which fails what is not decided, goes.
        line = simulation.percentile_line(simulated)
        facts = dict(run_verdict.facts) | {"simulated": True, "recorded_verdict": run_verdict.verdict}
        return replace(
            run_verdict,
            verdict=simulated.verdict,
            headline=line,
            message="\n".join([line, *run_verdict.message.removesuffix(STRICTLY).splitlines()[1:]]),
            fails=simulated.verdict == "broken",
            warns=False,
            facts=facts,
        )
    return run_verdict
