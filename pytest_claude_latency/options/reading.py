"""Reading: what was given for options and ini keys is read once into frozen `Settings`.

An option given on the command line beats its ini key, which beats the
default. A value that is not understood is a usage error before any test runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.options import declaring, values
from pytest_claude_latency.options.declaring import refusal
from pytest_claude_latency.options.table import BY_NAME, OPTIONS, RULES
from pytest_claude_latency.options.values import Given
from pytest_claude_latency.settings import Date, Mode, Pace, Settings

if TYPE_CHECKING:
    from pytest_claude_latency.comparison.rules import Rules

CARELESS_RECORDING = (
    "{place}: {mode!r} is not accepted where the variable CI is set\n"
    "  why       there a run records only if the command line itself says so\n"
    "  record    pytest --latency-mode={mode}"
)
SIMULATE_NEEDS_REPLAY = (
    "{option} needs a replay in virtual time; accepted: --latency-mode=replay --latency-clock=virtual, the defaults"
)
AB_NEEDS_LIVE = "--latency-ab needs --latency-mode=live"
FAULT_NEEDS_RECORDING = (
    "--latency-fault needs a recording to be put into, which a live run has not; accepted: --latency-mode=replay, the "
    "default, record or record-missing"
)


def read(config: pytest.Config) -> Settings:
    """Return the settings of this run.

    Raises:
        pytest.UsageError: a value is not understood; the message names the option, the value and what is accepted.
    """
    given = _parsed(config)
    mode, pace = Mode(given["mode"]), Pace(given["clock"])
    # In real time a simulated world would take as long as it lasts.
    is_replay = mode is Mode.REPLAY and pace is Pace.VIRTUAL
    _refuse_careless_recording(config, mode)
    _refuse_in_other_modes(config, mode, is_replay=is_replay)
    samples, is_sequential = given["samples"]
    if is_sequential and config.getoption("latency_samples", None) is None and mode is not Mode.LIVE:
        samples, is_sequential = None, False  # an ini file may ask for it, and is read by runs that replay too
    if is_sequential and (reason := _never_sequential(config, mode, given)):
        raise refusal(f"--latency-samples=auto:{samples} {reason}")
    return Settings(
        judged=given["budget"],
        mode=mode,
        pace=pace,
        samples=samples,
        is_sequential=is_sequential,
        cassettes=given["cassettes"],
        limits=given["limits"],
        reports=given["report"],
        report_content=given["report-content"],
        otel=given["otel"],
        pytest_html=bool(config.getoption("htmlpath", None)),  # without pytest-html there is no such option
        strict=given["strict"],
        explained=given["explain"],
        date=Date(given["date"]),
        redact=given["redact"],
        endpoints=given["endpoints"],
        keep_headers=given["keep-headers"],
        prices=given["prices"],
        simulate=given["simulate"] if is_replay else None,  # an ini file may ask for it, and is read by live runs too
        what_if=is_replay and bool(given["what-if"] or given["what-if-change"]),
        questions=given["what-if-change"],
        seed=given["seed"],
        profiles=given["profiles"],
        ab=given["ab"] and mode is Mode.LIVE,  # an ini file may ask for it, and is read by runs that replay too
        save=given["save"],
        compare=given["compare"],
        rules=_rules(given),
        suggests=given["suggest"],
        variants=given["variants"],
        faults=given["fault"] if mode is not Mode.LIVE else (),  # an ini file may name some, and is read by every run
    )


def _parsed(config: pytest.Config) -> dict[str, Any]:
    """Return what was given for each option, or its default, by the option's name."""
    parsed: dict[str, Any] = {}
    for option in OPTIONS:
        value, place = config.getoption(option.key, None), option.flag
        if value is None and option.ini is not None:
            value, place = declaring.ini(config, option), f"ini key {option.key}"
        try:
            given = Given(place, config.rootpath, config.invocation_params.dir)
            parsed[option.name] = option.default if value is None else getattr(values, option.parse)(value, given)
        except (ValueError, LatencyError) as error:
            raise refusal(f"{place}: {error}") from None
    return parsed


def _rules(values: Mapping[str, Any]) -> Rules | None:
    """Return the rules of a comparison; `None` where none was given, so that their module is not loaded."""
    given = {option.name.replace("-", "_"): values[option.name] for option in RULES if values[option.name] is not None}
    if not given:
        return None
    from pytest_claude_latency.comparison.rules import Rules

    return Rules(**given)


def _refuse_in_other_modes(config: pytest.Config, mode: Mode, *, is_replay: bool) -> None:
    """Refuse options that the mode cannot do. In an ini file, which every run reads, they have no effect."""
    if mode is not Mode.LIVE and config.getoption("latency_ab", None):
        raise refusal(AB_NEEDS_LIVE)
    if mode is Mode.LIVE and config.getoption("latency_fault", None):
        raise refusal(FAULT_NEEDS_RECORDING)
    for name in ("simulate", "what-if", "what-if-change"):
        if not is_replay and config.getoption(BY_NAME[name].key, None):
            raise refusal(SIMULATE_NEEDS_REPLAY.format(option=BY_NAME[name].flag))


def _never_sequential(config: pytest.Config, mode: Mode, values: Mapping[str, Any]) -> str | None:
    """Return why samples cannot be taken until the limits are settled; `None` if they can."""
    if mode is not Mode.LIVE:
        return "needs --latency-mode=live: a recording holds a fixed number of samples"
    # without xdist there is no such option
    if config.getoption("dist", "no") != "no":
        return "needs one process: workers (-n) run the samples of a test side by side, and load each other"
    if not values["budget"]:
        return "needs --latency-budget: without it nothing is judged, so nothing is ever settled"
    # The samples that a stopped run has are not those that a fixed number would have: a comparison would be biased.
    compared = next((name for name in ("ab", "compare", "save", "variants") if values[name]), None)
    if compared is not None:
        return (
            f"does not go with --latency-{compared}: comparisons need a number of samples that no measurement decides"
        )
    return None


def _refuse_careless_recording(config: pytest.Config, mode: Mode) -> None:
    """Raise if a run in CI would record because of an ini file or PYTEST_ADDOPTS: it would cost, and change files.

    A worker gets its options from the controller, which has been asked.
    """
    if not (mode.records and os.environ.get("CI")) or hasattr(config, "workerinput"):
        return
    # the arguments as they were typed: those of PYTEST_ADDOPTS and of an ini file are not among them
    if not any(str(argument).startswith("--latency-mode") for argument in config.invocation_params.args):
        is_option = config.getoption("latency_mode", None) is not None
        place = "--latency-mode" if is_option else "ini key latency_mode"
        raise refusal(CARELESS_RECORDING.format(place=place, mode=str(mode)))
