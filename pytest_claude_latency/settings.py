"""Settings: how a run measures, as frozen values that every part of the package may read.

They know nothing of pytest. `options` makes them from the command line and the ini file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_claude_latency.budgets.limit import Limit
    from pytest_claude_latency.comparison.rules import Rules
    from pytest_claude_latency.messages_api.recognition import EndpointPattern
    from pytest_claude_latency.metrics.prices import Prices
    from pytest_claude_latency.simulation.fault import Fault
    from pytest_claude_latency.simulation.profiles import Profiles
    from pytest_claude_latency.simulation.what_if import Question


class Mode(StrEnum):
    """Where answers come from, and whether they are recorded."""

    REPLAY = "replay"
    RECORD = "record"
    RECORD_MISSING = "record-missing"
    LIVE = "live"

    @property
    def records(self) -> bool:
        """Whether recordings may be written."""
        return self in (Mode.RECORD, Mode.RECORD_MISSING)

    @property
    def measures_live(self) -> bool:
        """Whether the API may be called."""
        return self is not Mode.REPLAY

    def replays(self, *, recorded: bool, borrowed: bool) -> bool:
        """Return whether this mode replays a test.

        `recorded` says that a recording exists, `borrowed` that another test owns it.
        """
        if self is Mode.RECORD_MISSING:
            return recorded or borrowed
        return self is Mode.REPLAY or (self is Mode.RECORD and borrowed)


class Pace(StrEnum):
    """The pace of a replay."""

    VIRTUAL = "virtual"
    REAL = "real"


class Date(StrEnum):
    """Where the calendar of a replay starts."""

    NOW = "now"
    RECORDED = "recorded"


@dataclass(frozen=True, eq=False, repr=False)  # nor slots: each costs time, in every run of every suite
class Settings:
    """How this run measures."""

    judged: bool
    mode: Mode
    pace: Pace
    samples: int | None
    """How many samples of each test run, or at most; `None` where the user does not say."""
    cassettes: str
    limits: tuple[Limit, ...]
    reports: tuple[tuple[str, Path], ...]
    strict: bool
    explained: bool
    """Whether findings are listed for every test."""
    date: Date
    redact: tuple[re.Pattern[str], ...]
    endpoints: tuple[EndpointPattern, ...]
    """Which URLs are Claude's besides those that are known, and which are not."""
    keep_headers: tuple[str, ...]
    prices: Prices | None
    """What tokens cost; `None` where the shipped table holds."""
    ab: bool
    """Whether recorded requests and current ones are measured alternately; only in a live run."""
    save: Path | None
    """The baseline that this run becomes."""
    compare: Path | None
    """The baseline that this run is compared with."""
    rules: Rules | None
    """How much must change to count; `None` where the defaults hold."""
    suggests: bool
    """Whether budgets are proposed at the end of the run."""
    is_sequential: bool = False
    """Whether a test runs no further samples once its limits are settled."""
    simulate: int | None = None
    """In how many redrawn worlds each test runs besides; `None` where in none."""
    what_if: bool = False
    """Whether each test runs again with one call at a time made faster."""
    questions: tuple[Question, ...] = ()
    """What else is asked: runs with other times."""
    seed: int = 1
    """What the times of these worlds follow from."""
    profiles: Profiles | None = None
    """How long models take where nothing is recorded; `None` where the shipped profiles hold."""
    report_content: bool = False
    """Whether reports may quote prompts and answers."""
    otel: bool = False
    """Whether what was measured is sent as OpenTelemetry's spans and metrics."""
    pytest_html: bool = False
    """Whether pytest-html writes a page, which gets a column and drawings."""
    variants: bool = False
    """Whether the variants of tests that declare them run too."""
    faults: tuple[Fault, ...] = ()
    """What each test is run with besides the faults that it declares; none in a run that calls the API."""

    @property
    def runs_faults(self) -> bool:
        """Whether tests run with their faults too. What they measure is in no baseline."""
        return self.mode is not Mode.LIVE and self.save is None

    @property
    def uses_baselines(self) -> bool:
        """Whether the run is compared with a baseline, or becomes one."""
        return self.save is not None or self.compare is not None

    @property
    def is_usual(self) -> bool:
        """Whether the run replays in virtual time."""
        return self.mode is Mode.REPLAY and self.pace is Pace.VIRTUAL

    @property
    def diagnosed(self) -> bool:
        """Whether the time of every test is broken down, not only of tests that broke their budget."""
        # every report but the table in Markdown shows it for every test
        return self.explained or self.pytest_html or any(form != "markdown" for form, _ in self.reports)

    @property
    def clock(self) -> Pace:
        """The clock that the numbers of the run are read from."""
        return Pace.REAL if self.mode.measures_live else self.pace
