"""Options, ini keys and markers, read once into frozen `Settings`.

An option given on the command line beats its ini twin, which beats the
default. What is not understood is a usage error before any test runs.
"""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_claude_latency.settings import Date, Mode, Pace, Settings

if TYPE_CHECKING:
    from pytest_claude_latency.budgets.limit import Limit
    from pytest_claude_latency.comparison.rules import Rules

GROUP = "claude-latency"
MARKERS = (
    "latency_budget(**limits): how fast the test's Claude calls must be, "
    'for example latency_budget(ttft="800ms", total="3s")',
    "latency_cassette(name=None, owner=False, ignore=(), repeat=False): how the test's recording is kept and matched",
    "latency_variants(combinations={}, when=None, **fields): fields of the request body that the test is tried with, "
    'for example latency_variants(model=["claude-haiku-4-5"], temperature=[0.2, 1.0]); run with --latency-variants',
    "latency: a latency test (set by the plugin); select with -m latency",
)


_OPTIONS: tuple[tuple[str, dict[str, Any], str], ...] = (
    (
        "mode",
        {"choices": [str(mode) for mode in Mode], "metavar": "MODE"},
        "replay: recordings only, never the network (default); record: call the API and write recordings; "
        "record-missing: record the tests that have no recording; live: call the API, write nothing",
    ),
    (
        "samples",
        {"metavar": "N"},
        "run each latency test N times (default: 1); in a replay, at most N of the recorded samples (default: all)",
    ),
    (
        "clock",
        {"choices": [str(pace) for pace in Pace], "metavar": "CLOCK"},
        "pace of a replay: virtual (default) or real",
    ),
    (
        "cassettes",
        {"metavar": "DIR"},
        "name of the folder of recordings beside each test file (default: cassettes)",
    ),
    (
        "limits",
        {"metavar": "EXPR"},
        'limits for metrics that no marker names, for example "ttft<800ms total<3s"',
    ),
    (
        "tolerance",
        {"metavar": "X"},
        "comparing two replays: ignore changes up to this share (default: 0)",
    ),
    (
        "min-ratio",
        {"metavar": "R"},
        "comparing two live runs: the smallest ratio that counts (default: 1.10)",
    ),
    (
        "min-shift",
        {"metavar": "D"},
        "comparing two live runs: the smallest shift that counts (default: 25ms)",
    ),
)


_SWITCHES = {
    "strict": "fail on what is otherwise a warning: inconclusive percentiles, recorded answers that were not used, "
    "inherited budgets over no call, missing baselines, live regressions against a stored baseline",
    "suggest": "propose budgets from what was measured, as markers to paste",
    "explain": "list for every test where its time went and what was found, not only for broken budgets",
    "ab": "in a live run, send each test's recorded requests and its current ones alternately, and compare the two",
    "variants": "also run the variants of tests that declare them with @latency_variants, and set them side by side",
}
_TRUE_OR_FALSE = frozenset({"latency_budget", "latency_placeholder_key", *(f"latency_{name}" for name in _SWITCHES)})


def declare(parser: pytest.Parser) -> None:
    """Declare every option and ini key."""
    group = parser.getgroup(GROUP, "latency budgets for Claude calls")
    group.addoption(
        "--latency-budget",
        action="store_true",
        default=None,
        help="enforce latency budgets and print the latency report",
    )
    group.addoption(
        "--no-latency-budget",
        dest="latency_budget",
        action="store_false",
        help="measure, but judge no budget (default)",
    )
    parser.addini("latency_budget", "enforce latency budgets (see --latency-budget)", type="bool", default=False)
    for name, details, text in _OPTIONS:
        key = f"latency_{name.replace('-', '_')}"
        group.addoption(f"--latency-{name}", dest=key, default=None, help=text, **details)
        parser.addini(key, text, type="string", default=None)
    group.addoption(
        "--latency-save",
        default=None,
        metavar="NAME",
        help="keep this run's samples as a baseline: .latency/NAME.jsonl",
    )
    group.addoption(
        "--latency-compare", default=None, metavar="NAME", help="compare this run with a baseline: its name, or a path"
    )
    group.addoption(
        "--latency-report",
        action="append",
        default=[],
        metavar="FILE",
        help="write a report: .json, .html, .md, or FORMAT:FILE; may be given more than once",
    )
    for name, text in _SWITCHES.items():
        group.addoption(f"--latency-{name}", action="store_true", default=None, help=text)
        parser.addini(f"latency_{name}", text, type="bool", default=False)
    parser.addini("latency_date", "calendar of a replay: now (default) or recorded", type="string", default=None)
    parser.addini("latency_redact", "regular expressions: what they match in bodies is not recorded", type="linelist")
    parser.addini("latency_keep_headers", "names of further headers to record", type="args")
    parser.addini(
        "latency_placeholder_key",
        "in a replay without a key, set ANTHROPIC_API_KEY to a placeholder before conftests are loaded",
        type="bool",
        default=False,
    )


def read(config: pytest.Config) -> Settings:
    """The settings of this run.

    Raises:
        pytest.UsageError: a value is not understood; the message names the option and what is accepted.
    """
    mode = Mode(_choice(config, "latency_mode", Mode, Mode.REPLAY))
    _refuse_careless_recording(config, mode)
    return Settings(
        judged=_flag(config, "latency_budget"),
        mode=mode,
        pace=Pace(_choice(config, "latency_clock", Pace, Pace.VIRTUAL)),
        samples=_samples(config),
        cassettes=_folder(config),
        limits=_limits(config),
        reports=_reports(config),
        strict=_flag(config, "latency_strict"),
        explained=_flag(config, "latency_explain"),
        date=Date(_choice(config, "latency_date", Date, Date.NOW)),
        redact=_patterns(config),
        keep_headers=_headers(config),
        ab=_compares_recorded(config, mode),
        save=_baseline(config, "latency_save"),
        compare=_baseline(config, "latency_compare"),
        rules=_rules(config),
        suggests=_flag(config, "latency_suggest"),
        variants=_flag(config, "latency_variants"),
    )


def wants_placeholder_key(early_config: pytest.Config) -> bool:
    """Whether a placeholder shall stand for a missing key, as far as is known before conftests are loaded."""
    if not _ini(early_config, "latency_placeholder_key") or os.environ.get("ANTHROPIC_API_KEY"):
        return False
    given = getattr(early_config.known_args_namespace, "latency_mode", None)
    return (given or _ini(early_config, "latency_mode") or Mode.REPLAY) == Mode.REPLAY


def _given(config: pytest.Config, name: str) -> tuple[Any, str]:
    """The value of an option or its ini twin, and the place that says it."""
    value = config.getoption(name, None)
    if value is not None:
        return value, "--" + name.replace("_", "-")
    return _ini(config, name), f"ini key {name}"


def _ini(config: pytest.Config, name: str) -> Any:
    try:
        return config.getini(name)
    except (ValueError, TypeError, pytest.UsageError) as error:  # which of them depends on pytest's version
        accepted = "; accepted: true, false" if name in _TRUE_OR_FALSE else ""
        raise pytest.UsageError(f"ini key {name}: {error}{accepted}") from None


def _flag(config: pytest.Config, name: str) -> bool:
    return bool(_given(config, name)[0])


def _compares_recorded(config: pytest.Config, mode: Mode) -> bool:
    """Whether a live run compares; an ini file may ask for it and be read by runs that replay."""
    if mode is not Mode.LIVE and config.getoption("latency_ab", None):
        raise pytest.UsageError("--latency-ab needs --latency-mode=live")
    return mode is Mode.LIVE and _flag(config, "latency_ab")


def _choice(config: pytest.Config, name: str, choices: type[StrEnum], default: StrEnum) -> str:
    value, place = _given(config, name)
    if value in (None, ""):
        return default
    if value not in [str(choice) for choice in choices]:
        raise pytest.UsageError(f"{place}: {value!r} is not understood; accepted: {', '.join(choices)}")
    return str(value)


def _refuse_careless_recording(config: pytest.Config, mode: Mode) -> None:
    if not (mode.records and os.environ.get("CI")) or hasattr(config, "workerinput"):
        return
    if not any(str(arg).startswith("--latency-mode") for arg in config.invocation_params.args):
        _, place = _given(config, "latency_mode")
        raise pytest.UsageError(
            f"{place}: {str(mode)!r}: with the variable CI set a run records only if it is told so on the command line "
            f"itself: pytest --latency-mode={mode}"
        )


def _folder(config: pytest.Config) -> str:
    value, place = _given(config, "latency_cassettes")
    if value is None:
        return "cassettes"
    if not value or Path(value).name != value or value in (".", ".."):
        raise pytest.UsageError(
            f"{place}: {value!r} is not understood; accepted: the name of a folder beside each test file, not a path"
        )
    return str(value)


def _samples(config: pytest.Config) -> int | None:
    value, place = _given(config, "latency_samples")
    if value is None:
        return None
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", str(value)):
        raise pytest.UsageError(f"{place}: {value!r} is not understood; accepted: a whole number, at least 1")
    return int(value)


def _limits(config: pytest.Config) -> tuple[Limit, ...]:
    value, place = _given(config, "latency_limits")
    if not value:
        return ()
    from pytest_claude_latency.budgets.budget import Budget
    from pytest_claude_latency.budgets.limit import parse_expression
    from pytest_claude_latency.errors import LimitError

    try:
        return Budget(parse_expression(value, place)).limits
    except LimitError as error:
        raise pytest.UsageError(str(error)) from None


def _reports(config: pytest.Config) -> tuple[tuple[str, Path], ...]:
    given: list[str] = config.getoption("latency_report", [])
    if not given:
        return ()
    from pytest_claude_latency.errors import LatencyError
    from pytest_claude_latency.report.formats import parse_target

    try:
        targets = [parse_target(text) for text in given]
    except LatencyError as error:
        raise pytest.UsageError(f"--latency-report: {error}") from None
    return tuple((kind, config.invocation_params.dir / path) for kind, path in targets)


def _baseline(config: pytest.Config, name: str) -> Path | None:
    text: str | None = config.getoption(name, None)
    if text is None:
        return None
    from pytest_claude_latency.baselines import folder
    from pytest_claude_latency.errors import LatencyError

    try:
        if name == "latency_save":
            return folder.path_of(config.rootpath, text)
        return folder.locate(config.rootpath, config.invocation_params.dir, text)
    except LatencyError as error:
        raise pytest.UsageError(f"--{name.replace('_', '-')}: {error}") from None


def _rules(config: pytest.Config) -> Rules | None:
    said = {name: _given(config, f"latency_{name}") for name in ("tolerance", "min_ratio", "min_shift")}
    given = {name: (value, place) for name, (value, place) in said.items() if value not in (None, "")}
    if not given:
        return None
    from pytest_claude_latency.comparison.rules import Rules

    rules = Rules()
    for name, (value, place) in given.items():
        try:
            rules = rules.with_text(name, value)
        except ValueError as error:
            raise pytest.UsageError(f"{place}: {error}") from None
    return rules


def _patterns(config: pytest.Config) -> tuple[re.Pattern[str], ...]:
    patterns = []
    for text in _ini(config, "latency_redact"):
        try:
            patterns.append(re.compile(text))
        except re.error as error:
            raise pytest.UsageError(f"ini key latency_redact: {text!r} is not a regular expression: {error}") from None
    return tuple(patterns)


def _headers(config: pytest.Config) -> tuple[str, ...]:
    names: list[str] = _ini(config, "latency_keep_headers")
    if not names:
        return ()
    from pytest_claude_latency.cassettes.redaction import is_never_kept

    for name in names:
        if is_never_kept(name):
            raise pytest.UsageError(
                f"ini key latency_keep_headers: {name!r} is never recorded; accepted: names of headers that hold no "
                f"credential, cookie, organization or workspace, and do not describe the bytes on the wire"
            )
    return tuple(name.lower() for name in names)
