"""The simulation of one test: its worlds, run one after the other inside its first sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import final

import pytest

from pytest_claude_latency.cassettes.paths import samples
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.collection.markers import place_of
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.errors import CassetteError
from pytest_claude_latency.messages_api.endpoints import requested_model
from pytest_claude_latency.printable import printable
from pytest_claude_latency.report import columns
from pytest_claude_latency.results.simulation import Lenders, Simulation, simulate
from pytest_claude_latency.results.what_if import WhatIf, WouldBe
from pytest_claude_latency.run.latency_test import LatencyTest
from pytest_claude_latency.run.worlds.world_runs import WorldRun, WorldRuns
from pytest_claude_latency.simulation.profiles import shipped
from pytest_claude_latency.simulation.redraw import TimedCall, Worlds, find_donors, lenders_in, timed_calls
from pytest_claude_latency.simulation.what_if import sensitivities
from pytest_claude_latency.virtual_time.clock import WallClock

_EVERY = 10 * SECOND
"""How often a long simulation tells its progress."""
_FOLDER: pytest.StashKey[tuple[tuple[Path, ...], list[tuple[Path, TimedCall]]]] = pytest.StashKey()
"""The recordings of the folder that was read last, and the calls in them that lend their times."""


@final
class SimulatedTest:
    """A test that is to run in redrawn worlds.

    Raises:
        NoDonorError: a call has nothing to take its times from.
        CassetteError: a recording of the test cannot be read.
    """

    def __init__(self, test: LatencyTest, worlds: int, seed: int) -> None:
        self._test = test
        self._count = worlds
        self._seed = seed
        settings = test.settings
        file, test_id = place_of(test.item, test.identity.nodeid)
        paths = samples(file, settings.cassettes, test_id)
        own = [Recording.load(path) for path in paths[: settings.samples]]
        others = _lenders_next_to(test, paths)
        donors = find_donors(own, others, settings.profiles or shipped())
        self._worlds = Worlds(own, donors, seed, test.identity.nodeid)
        requests = {call.number: call.exchange.request for recording in own for _, call in timed_calls(recording)}
        self._lenders = [
            Lenders(
                call=number,
                model=printable(requested_model(requests[number]) or "no model"),
                source=lent.source,
                count=lent.count,
            )
            for number, lent in donors.items()
        ]

    def run(self, runs: WorldRuns) -> Simulation:
        """Run the worlds, and return what they show. A terminal that somebody watches shows how far it is."""
        endings: Counter[str] = Counter()
        passed: list[WorldRun] = []
        clock = WallClock()
        told_at = clock.now()
        for number in range(1, self._count + 1):
            world = runs.run(self._worlds.world(number))
            if world.ending == "passed":
                passed.append(world)
            else:
                endings[world.ending] += 1
            if clock.now() - told_at < _EVERY:
                continue
            told_at = clock.now()
            terminal = self._test.item.config.pluginmanager.get_plugin("terminalreporter")
            is_watched = getattr(terminal, "isatty", False)
            if terminal is not None and (is_watched() if callable(is_watched) else is_watched):
                nodeid = printable(self._test.identity.nodeid)
                text = f"claude latency: {number:,} of {self._count:,} worlds of {nodeid}"
                columns.write_between_tests(terminal, text)
        return simulate(
            [world.sample for world in passed],
            [world.judgements for world in passed],
            self._test.budget.percentiles,
            self._lenders,
            endings=endings,
            worlds=self._count,
            seed=self._seed,
        )


def stands_for_all(test: LatencyTest) -> bool:
    """Return whether a test runs in other worlds: as it is written, replayed, and the first of its samples."""
    settings = test.settings
    if test.replayed is None or not test.identity.is_fair or not (settings.simulate or settings.what_if):
        return False
    file, test_id = place_of(test.item, test.identity.nodeid)
    paths = samples(file, settings.cassettes, test_id)
    return bool(paths) and paths[0] == test.file.path


def ask(test: LatencyTest, runs: WorldRuns) -> WhatIf:
    """Run a test with one call at a time made faster, and with what else the run asks, on its first recording."""
    recording = test.file.load()
    assert recording is not None  # it was replayed just now

    def answered(question: str, changed: Recording) -> WouldBe:
        world = runs.run(changed)
        elapsed = None if world.sample.elapsed is None else int(world.sample.elapsed)
        return WouldBe(question=question, elapsed=elapsed, first_token=world.first_token, ending=world.ending)

    answers = [answered(asked.text, asked.applied(recording)) for asked in sensitivities(recording)]
    answers += [
        answered(asked.text, asked.applied(recording)) if asked.fits(recording) else WouldBe(question=asked.text)
        for asked in test.settings.questions
    ]
    return WhatIf(now=answered("as recorded", recording), answers=tuple(answers))


def _lenders_next_to(test: LatencyTest, own: Sequence[Path]) -> list[TimedCall]:
    """Return the calls that the other recordings in the folder can lend."""
    paths = tuple(sorted(test.file.path.parent.glob("*.jsonl")))
    stash = test.item.config.stash
    known = stash.get(_FOLDER, None)
    # One folder is kept, since a run goes from module to module and never back.
    if known is None or known[0] != paths:
        lenders: list[tuple[Path, TimedCall]] = []
        for path in paths:
            with suppress(CassetteError):  # its own test says so
                lenders += ((path, call) for call in lenders_in([Recording.load(path)]))
        known = stash[_FOLDER] = (paths, lenders)
    return [call for path, call in known[1] if path not in own]
