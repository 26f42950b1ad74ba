"""Reading: options and ini keys are declared to pytest, and read once into frozen `Settings`.

An option given on the command line beats its ini key, which beats the
default. A value that is not understood is a usage error before any test runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_claude_latency.errors import LatencyError, NotUnderstoodError
from pytest_claude_latency.options.table import BY_NAME, OPTIONS, RULES, Option
from pytest_claude_latency.options.values import Given
from pytest_claude_latency.settings import Mode, Pace, Settings

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
_NO_VALUE: dict[str, Any] = {"string": None, "bool": False, "linelist": [], "args": []}
"""What pytest returns for an ini key of each type that the ini file does not have."""


def declare(parser: pytest.Parser) -> None:
    """Declare every option and ini key."""
    group = parser.getgroup("claude-latency", "latency budgets for Claude calls")
    for option in OPTIONS:
        if option.metavar is not None:
            action = "append" if option.kind == "repeatable option" else "store"
            group.addoption(
                option.flag, dest=option.key, action=action, default=None, metavar=option.metavar, help=option.help
            )
        elif option.kind == "option":
            # None, not False: a switch that is not given leaves the word to the ini file.
            group.addoption(option.flag, dest=option.key, action="store_true", default=None, help=option.help)
        if option.negation is not None:
            # declared second: of two options for one value, argparse takes the default of the first
            group.addoption(f"--no-latency-{option.name}", dest=option.key, action="store_false", help=option.negation)
        if option.ini is not None:
            parser.addini(option.key, option.help, type=option.ini, default=_NO_VALUE[option.ini])


def read(config: pytest.Config) -> Settings:
    """Return the settings of this run.

    Raises:
        pytest.UsageError: a value is not understood; the message names the option, the value and what is accepted.
    """
    values = _parsed(config)
    mode = values["mode"]
    # In real time a simulated world would take as long as it lasts.
    is_replay = mode is Mode.REPLAY and values["clock"] is Pace.VIRTUAL
    _refuse_careless_recording(config, mode)
    _refuse_in_other_modes(config, mode, is_replay=is_replay)
    samples, is_sequential = values["samples"]
    if is_sequential and config.getoption("latency_samples", None) is None and mode is not Mode.LIVE:
        samples, is_sequential = None, False  # an ini file may ask for it, and is read by runs that replay too
    if is_sequential and (reason := _never_sequential(config, mode, values)):
        raise _refusal(f"--latency-samples=auto:{samples} {reason}")
    return Settings(
        judged=values["budget"],
        mode=mode,
        pace=values["clock"],
        samples=samples,
        is_sequential=is_sequential,
        cassettes=values["cassettes"],
        limits=values["limits"],
        reports=values["report"],
        report_content=values["report-content"],
        otel=values["otel"],
        pytest_html=bool(config.getoption("htmlpath", None)),  # without pytest-html there is no such option
        strict=values["strict"],
        explained=values["explain"],
        date=values["date"],
        redact=values["redact"],
        endpoints=values["endpoints"],
        keep_headers=values["keep-headers"],
        prices=values["prices"],
        simulate=values["simulate"] if is_replay else None,  # an ini file may ask for it, and is read by live runs too
        what_if=is_replay and bool(values["what-if"] or values["what-if-change"]),
        questions=values["what-if-change"],
        seed=values["seed"],
        profiles=values["profiles"],
        ab=values["ab"] and mode is Mode.LIVE,  # an ini file may ask for it, and is read by runs that replay too
        save=values["save"],
        compare=values["compare"],
        rules=_rules(values),
        suggests=values["suggest"],
        variants=values["variants"],
        faults=values["fault"] if mode is not Mode.LIVE else (),  # an ini file may name some, and is read by every run
    )


def _parsed(config: pytest.Config) -> dict[str, Any]:
    """Return what was given for each option, or its default, by the option's name."""
    values: dict[str, Any] = {}
    for option in OPTIONS:
        value, place = config.getoption(option.key, None), option.flag
        if value is None and option.ini is not None:
            # Nothing behind the "=" is as good as no line at all.
            value, place = _ini(config, option) or _NO_VALUE[option.ini], f"ini key {option.key}"
        try:
            given = Given(place, config.rootpath, config.invocation_params.dir)
            values[option.name] = option.default if value is None else option.parse(value, given)
        except (ValueError, LatencyError) as error:
            raise _refusal(f"{place}: {error}") from None
    return values


def _refusal(problem: str) -> pytest.UsageError:
    """Return the usage error that tells a problem in lines that fit a terminal."""
    return pytest.UsageError(NotUnderstoodError(problem).in_lines())


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
        raise _refusal(AB_NEEDS_LIVE)
    if mode is Mode.LIVE and config.getoption("latency_fault", None):
        raise _refusal(FAULT_NEEDS_RECORDING)
    for name in ("simulate", "what-if", "what-if-change"):
        if not is_replay and config.getoption(BY_NAME[name].key, None):
            raise _refusal(SIMULATE_NEEDS_REPLAY.format(option=BY_NAME[name].flag))


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


def wants_placeholder_key(early_config: pytest.Config) -> bool:
    """Return whether a placeholder shall stand for a missing key.

    Asked before conftests are loaded, since they may read the environment, so it reads only what is known by then.
    """
    if not _ini(early_config, BY_NAME["placeholder-key"]) or os.environ.get("ANTHROPIC_API_KEY"):
        return False
    # config.getoption knows nothing yet: pytest fills it after conftests are loaded
    mode = getattr(early_config.known_args_namespace, "latency_mode", None) or _ini(early_config, BY_NAME["mode"])
    return (mode or Mode.REPLAY) == Mode.REPLAY


def _ini(config: pytest.Config, option: Option) -> Any:
    try:
        return config.getini(option.key)
    except (ValueError, TypeError, pytest.UsageError) as error:  # which of them depends on pytest's version
        accepted = "; accepted: true, false" if option.ini == "bool" else ""
        raise _refusal(f"ini key {option.key}: {error}{accepted}") from None


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
        raise _refusal(CARELESS_RECORDING.format(place=place, mode=str(mode)))
