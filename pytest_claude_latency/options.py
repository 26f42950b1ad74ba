"""Options, ini keys and markers: one table of them, read once into frozen `Settings`.

An option given on the command line beats its ini key, which beats the
default. A value that is not understood is a usage error before any test runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.settings import Date, Mode, Pace, Settings

if TYPE_CHECKING:
    from pytest_claude_latency.budgets.limit import Limit
    from pytest_claude_latency.comparison.rules import Rules
    from pytest_claude_latency.messages_api.recognition import EndpointPattern
    from pytest_claude_latency.metrics.prices import Prices
    from pytest_claude_latency.simulation.fault import Fault
    from pytest_claude_latency.simulation.profiles import Profiles
    from pytest_claude_latency.simulation.what_if import Question

MARKERS = (
    "latency_budget(**limits): how fast the test's Claude calls must be, "
    'for example latency_budget(ttft="800ms", total="3s")',
    "latency_cassette(name=None, owner=False, ignore=(), repeat=False): how the test's recording is kept and matched",
    "latency_variants(combinations={}, when=None, headers={}, **fields): fields of the request body, and headers, that "
    "the test is tried with, "
    'for example latency_variants(model=["claude-haiku-4-5"], temperature=[0.2, 1.0]); run with --latency-variants',
    "latency_answers(*answers, when=None, ttft=None, tokens_per_second=None): what the test's Claude calls get "
    'in turn, as long as there is no recording, for example latency_answers("You will get a refund.", ttft="800ms")',
    "latency_fault(fault, id=None, **limits): what happens to the test's calls in one more run of it, "
    'for example latency_fault(rate_limited(retry_after="60s"), elapsed="5s")',
    "latency: a latency test (set by the plugin); select with -m latency",
)

MOST_SEQUENTIAL = 10_000
"""How many samples `auto:N` may ask for: what makes its verdicts sure takes seconds to compute for more."""
NOT_UNDERSTOOD = "{value!r} is not understood; accepted: {accepted}"
NO_PATTERN = "{value!r} is not a regular expression: {error}"
NEVER_RECORDED = (
    "{value!r} is never recorded; accepted: names of headers that hold no credential, cookie, organization or "
    "workspace, and do not describe the bytes on the wire"
)
CARELESS_RECORDING = (
    "{place}: {mode!r}: where the variable CI is set, a run records only if the command line itself says so: "
    "pytest --latency-mode={mode}"
)
SIMULATE_NEEDS_REPLAY = (
    "{option} needs a replay in virtual time: --latency-mode=replay --latency-clock=virtual, which are the defaults"
)
AB_NEEDS_LIVE = "--latency-ab needs --latency-mode=live"
FAULT_NEEDS_REPLAY = "--latency-fault: a fault is put into a recording, so it needs a replay, not --latency-mode={mode}"


class Given(NamedTuple):
    """Where a value was given."""

    place: str
    """The option or ini key, as messages name it."""
    root: Path
    """pytest's rootdir."""
    here: Path
    """The folder that pytest was started in."""


# ── how values are understood ──
#
# Heavy modules are imported where a value needs them, since these functions run at the start of every run of every
# suite that has the plugin.


def _as_it_is(value: Any, given: Given) -> Any:
    return value


def _choice(kind: type[StrEnum], value: str, given: Given) -> StrEnum:
    if value not in list(kind):
        raise ValueError(NOT_UNDERSTOOD.format(value=value, accepted=", ".join(kind)))
    return kind(value)


def _samples(value: str, given: Given) -> tuple[int, bool]:
    """Return how many samples run, and whether these are at most so many: `"20"`, `"auto:200"`."""
    is_sequential, number = value.startswith("auto:"), value.removeprefix("auto:")
    # Not int(): it takes "1_0" and " 3 " too. Nine digits are enough, and keep a slip from filling the memory.
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", number) or (is_sequential and int(number) > MOST_SEQUENTIAL):
        accepted = f"a whole number, at least 1, or auto:N with N up to {MOST_SEQUENTIAL}"
        raise ValueError(NOT_UNDERSTOOD.format(value=value, accepted=accepted))
    return int(number), is_sequential


def _questions(values: list[str], given: Given) -> tuple[Question, ...]:
    if not values:
        return ()
    from pytest_claude_latency.simulation.what_if import Question

    return tuple(map(Question.parse, values))


def _seed(value: str, given: Given) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise ValueError(NOT_UNDERSTOOD.format(value=value, accepted="a whole number, at least 0"))
    return int(value)


def _worlds(value: str, given: Given) -> int:
    if not re.fullmatch(r"0*[1-9][0-9]{0,6}", value):
        raise ValueError(NOT_UNDERSTOOD.format(value=value, accepted="a whole number of worlds, at least 1"))
    return int(value)


def _folder_name(value: str, given: Given) -> str:
    if not value or Path(value).name != value or value in (".", ".."):
        accepted = "the name of a folder next to each test file, not a path"
        raise ValueError(NOT_UNDERSTOOD.format(value=value, accepted=accepted))
    return value


def _limits(value: str, given: Given) -> tuple[Limit, ...]:
    from pytest_claude_latency.budgets.budget import Budget
    from pytest_claude_latency.budgets.limit import parse_expression

    try:
        return Budget(parse_expression(value, given.place)).limits
    except ValueError as error:  # names the place itself, as it does for limits of markers
        raise ValueError(str(error).removeprefix(f"{given.place}: ")) from None


def _rule(name: str, value: str, given: Given) -> int | float:
    from pytest_claude_latency.comparison.rules import Rules

    rule: int | float = getattr(Rules().with_text(name, value), name)
    return rule


def _baseline_to_save(value: str, given: Given) -> Path:
    from pytest_claude_latency.baselines import folder

    return folder.path_of(given.root, value)


def _baseline_to_compare(value: str, given: Given) -> Path:
    from pytest_claude_latency.baselines import folder

    return folder.locate(given.root, given.here, value)


def _reports(values: list[str], given: Given) -> tuple[tuple[str, Path], ...]:
    from pytest_claude_latency.report.formats import parse_target

    # as a shell reads a path, whatever rootdir is
    return tuple((form, given.here / path) for form, path in map(parse_target, values))


def _patterns(values: list[str], given: Given) -> tuple[re.Pattern[str], ...]:
    patterns = []
    for value in values:
        try:
            patterns.append(re.compile(value))
        except re.error as error:
            raise ValueError(NO_PATTERN.format(value=value, error=error)) from None
    return tuple(patterns)


def _header_names(values: list[str], given: Given) -> tuple[str, ...]:
    if not values:
        return ()
    from pytest_claude_latency.cassettes.redaction import is_never_kept

    for value in values:
        if is_never_kept(value):
            raise ValueError(NEVER_RECORDED.format(value=value))
    # HTTP libraries differ in the case they report.
    return tuple(value.lower() for value in values)


def _endpoints(values: list[str], given: Given) -> tuple[EndpointPattern, ...]:
    if not values:
        return ()
    from pytest_claude_latency.messages_api.recognition import EndpointPattern

    return tuple(map(EndpointPattern.parse, values))


def _profiles(value: str, given: Given) -> Profiles:
    from pytest_claude_latency.simulation.profiles import Profiles, shipped

    try:
        return Profiles.parse((given.root / value).read_text(encoding="utf-8-sig")).before(shipped())
    except OSError as error:
        raise ValueError(f"{value}: {error.strerror}") from None
    except (LatencyError, ValueError) as error:
        raise ValueError(f"{value}: {error}") from None


def _faults(values: list[str], given: Given) -> tuple[Fault, ...]:
    if not values:
        return ()
    from pytest_claude_latency.simulation import fault_text

    return tuple(dict.fromkeys(map(fault_text.parse, values)))


def _prices(value: str, given: Given) -> Prices | None:
    from pytest_claude_latency.metrics.prices import Prices

    try:
        return Prices.parse((given.root / value).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{value}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{value}: {error}") from None


class Option(NamedTuple):
    """One setting: its option, its ini key, and how its value is understood."""

    name: str
    """As the option spells it, behind `--latency-`."""
    metavar: str | None
    """What stands for the value in `--help`; `None` for a switch, which takes no value."""
    help: str
    parse: Callable[[Any, Given], Any] = _as_it_is
    """Returns the value of a setting; raises `ValueError` or `LatencyError` with what is accepted."""
    default: Any = None
    ini: Literal["string", "bool", "linelist", "args"] | None = "string"
    """The type of the ini key; `None` where there is none."""
    kind: Literal["option", "repeatable option", "ini key only"] = "option"
    negation: str | None = None
    """The help of `--no-latency-NAME`; `None` where there is no such option."""

    @property
    def flag(self) -> str:
        """The option as a user types it."""
        return f"--latency-{self.name}"

    @property
    def key(self) -> str:
        """The ini key, and the attribute of pytest's namespace of options."""
        return f"latency_{self.name.replace('-', '_')}"


RULES = tuple(
    Option(name, metavar, text, partial(_rule, name.replace("-", "_")))
    for name, metavar, text in (
        ("tolerance", "X", "comparing two replays: ignore changes up to this share (default: 0)"),
        ("min-ratio", "R", "comparing two live runs: the smallest ratio that counts (default: 1.10)"),
        ("min-shift", "D", "comparing two live runs: the smallest shift that counts (default: 25ms)"),
    )
)
"""How much must change to count: options of a run, and of `claude-latency compare`."""

_switch = partial(Option, metavar=None, default=False, ini="bool")

OPTIONS = (
    _switch(
        "budget",
        help="enforce latency budgets and print the latency report",
        negation="measure, but judge no budget (default)",
    ),
    Option(
        "mode",
        "MODE",
        "replay: recordings only, never the network (default); record: call the API and write recordings; "
        "record-missing: record the tests that have no recording; live: call the API, write nothing",
        partial(_choice, Mode),
        Mode.REPLAY,
    ),
    Option(
        "samples",
        "N",
        "run each latency test N times (default: 1); in a replay, at most N of the recorded samples (default: all); "
        "auto:N, live: until its limits are settled, at most N times",
        _samples,
        (None, False),
    ),
    Option("clock", "CLOCK", "pace of a replay: virtual (default) or real", partial(_choice, Pace), Pace.VIRTUAL),
    Option(
        "cassettes",
        "DIR",
        "name of the folder of recordings next to each test file (default: cassettes)",
        _folder_name,
        "cassettes",
    ),
    Option("limits", "EXPR", 'limits for metrics that no marker names, for example "ttft<800ms total<3s"', _limits, ()),
    *RULES,
    Option("save", "NAME", "keep this run's samples as a baseline: .latency/NAME.jsonl", _baseline_to_save, ini=None),
    Option("compare", "NAME", "compare this run with a baseline: its name, or a path", _baseline_to_compare, ini=None),
    Option(
        "report",
        "FILE",
        "write a report: .json, .html, .md, or FORMAT:FILE; may be given more than once",
        _reports,
        (),
        ini=None,
        kind="repeatable option",
    ),
    _switch(
        "strict",
        help="fail on what is otherwise a warning: percentiles for which there are too few samples, recorded answers "
        "that were not used, budgets inherited from a class or module by a test that made no Claude call, missing "
        "baselines, live regressions against a stored baseline",
    ),
    _switch("suggest", help="propose budgets from what was measured, as markers to paste"),
    _switch("explain", help="list for every test where its time went and what was found, not only for broken budgets"),
    _switch(
        "ab",
        help="in a live run, send each test's recorded requests and its current ones alternately, and compare the two",
    ),
    _switch(
        "variants",
        help="also run the variants of tests that declare them with @latency_variants, and show them side by side",
    ),
    Option(
        "fault",
        "FAULT",
        'run each latency test with a fault too, for example "rate_limited(retry_after=60s)"; may be given more than '
        "once",
        _faults,
        (),
        ini="linelist",
        kind="repeatable option",
    ),
    Option(
        "simulate",
        "N",
        "in a replay, run each latency test in N more worlds with redrawn times, and judge percentiles by them where "
        "there are too few recordings",
        _worlds,
    ),
    _switch(
        "what-if",
        help="in a replay, run each latency test again with one call at a time made faster, and list what that saves",
    ),
    Option(
        "what-if-change",
        "EXPR",
        'in a replay, run each latency test again with other times, for example "model=claude-opus-*: ttft*0.5"; may '
        "be given more than once",
        _questions,
        (),
        ini="linelist",
        kind="repeatable option",
    ),
    Option("seed", "S", "what the times of the simulated worlds follow from (default: 1)", _seed, 1),
    Option(
        "date",
        None,
        "calendar of a replay: now (default) or recorded",
        partial(_choice, Date),
        Date.NOW,
        kind="ini key only",
    ),
    Option(
        "redact",
        None,
        "regular expressions: what they match in bodies is not recorded",
        _patterns,
        ini="linelist",
        kind="ini key only",
    ),
    Option(
        "endpoints",
        None,
        "regular expressions over URLs of further requests that are Claude's; a line that begins with ! excludes",
        _endpoints,
        ini="linelist",
        kind="ini key only",
    ),
    Option("keep-headers", None, "names of further headers to record", _header_names, ini="args", kind="ini key only"),
    Option("prices", None, "a JSON file of prices for the limit cost", _prices, kind="ini key only"),
    Option(
        "profiles",
        None,
        "a JSON file of profiles, as claude-latency profile writes it: how long models take where nothing is recorded",
        _profiles,
        kind="ini key only",
    ),
    _switch(
        "placeholder-key",
        help="in a replay without a key, set ANTHROPIC_API_KEY to a placeholder before conftests are loaded",
        kind="ini key only",
    ),
)
_BY_NAME = {option.name: option for option in OPTIONS}
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
    is_replay = mode is Mode.REPLAY and values["clock"] is Pace.VIRTUAL
    _refuse_careless_recording(config, mode)
    _refuse_in_other_modes(config, mode, is_replay=is_replay)
    samples, is_sequential = values["samples"]
    if is_sequential and config.getoption("latency_samples", None) is None and mode is not Mode.LIVE:
        samples, is_sequential = None, False  # an ini file may ask for it, and is read by runs that replay too
    if is_sequential and (reason := _never_sequential(config, mode, values)):
        raise pytest.UsageError(f"--latency-samples=auto:{samples} {reason}")
    return Settings(
        judged=values["budget"],
        mode=mode,
        pace=values["clock"],
        samples=samples,
        is_sequential=is_sequential,
        cassettes=values["cassettes"],
        limits=values["limits"],
        reports=values["report"],
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
            raise pytest.UsageError(f"{place}: {error}") from None
    return values


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
        raise pytest.UsageError(AB_NEEDS_LIVE)
    if mode is Mode.LIVE and config.getoption("latency_fault", None):
        raise pytest.UsageError(FAULT_NEEDS_REPLAY.format(mode=mode))
    for name in ("simulate", "what-if", "what-if-change"):
        if not is_replay and config.getoption(_BY_NAME[name].key, None):
            raise pytest.UsageError(SIMULATE_NEEDS_REPLAY.format(option=_BY_NAME[name].flag))


def _never_sequential(config: pytest.Config, mode: Mode, values: Mapping[str, Any]) -> str | None:
    """Return why samples cannot be taken until the limits are settled; `None` if they can."""
    if mode is not Mode.LIVE:
        return "needs --latency-mode=live: a recording holds a fixed number of samples"
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
    if not _ini(early_config, _BY_NAME["placeholder-key"]) or os.environ.get("ANTHROPIC_API_KEY"):
        return False
    mode = getattr(early_config.known_args_namespace, "latency_mode", None) or _ini(early_config, _BY_NAME["mode"])
    return (mode or Mode.REPLAY) == Mode.REPLAY


def _ini(config: pytest.Config, option: Option) -> Any:
    try:
        return config.getini(option.key)
    except (ValueError, TypeError, pytest.UsageError) as error:  # which of them depends on pytest's version
        accepted = "; accepted: true, false" if option.ini == "bool" else ""
        raise pytest.UsageError(f"ini key {option.key}: {error}{accepted}") from None


def _refuse_careless_recording(config: pytest.Config, mode: Mode) -> None:
    """Raise if a run in CI would record because of an ini file or PYTEST_ADDOPTS: it would cost, and change files.

    A worker gets its options from the controller, which has been asked.
    """
    if not (mode.records and os.environ.get("CI")) or hasattr(config, "workerinput"):
        return
    if not any(str(argument).startswith("--latency-mode") for argument in config.invocation_params.args):
        is_option = config.getoption("latency_mode", None) is not None
        place = "--latency-mode" if is_option else "ini key latency_mode"
        raise pytest.UsageError(CARELESS_RECORDING.format(place=place, mode=str(mode)))
