"""How the values of options and ini keys are understood: text in, the value of a setting out.

Each function raises `ValueError` or `LatencyError` with what is accepted. Heavy modules are imported where a value
needs them, since these functions run at the start of every run of every suite that has the plugin.
"""

from __future__ import annotations

import re
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.settings import Date, Mode, Pace

if TYPE_CHECKING:
    from pytest_claude_latency.budgets.limit import Limit
    from pytest_claude_latency.messages_api.recognition import EndpointPattern
    from pytest_claude_latency.metrics.prices import Prices
    from pytest_claude_latency.simulation.fault import Fault
    from pytest_claude_latency.simulation.profiles import Profiles
    from pytest_claude_latency.simulation.what_if import Question

KindT = TypeVar("KindT", bound=StrEnum)

MOST_SEQUENTIAL = 10_000
"""How many samples `auto:N` may ask for: what makes its verdicts sure takes seconds to compute for more."""
NOT_UNDERSTOOD = "{value!r} is not understood{hint}; accepted: {accepted}"
NEEDS_OTEL = "needs: pip install 'pytest-claude-latency[otel]'"
NO_PATTERN = "{value!r} is not a regular expression: {error}"
NEVER_RECORDED = (
    "{value!r} is never recorded; accepted: names of headers that hold no credential, cookie, organization or "
    "workspace, and do not describe the bytes on the wire"
)


class Given(NamedTuple):
    """Where a value was given."""

    place: str
    """The option or ini key, as messages name it."""
    root: Path
    """pytest's rootdir."""
    here: Path
    """The folder that pytest was started in."""


def as_it_is(value: Any, given: Given) -> Any:
    """Return the value itself."""
    return value


def _choice(kind: type[KindT], value: str) -> KindT:
    """Return the member of `kind` that is written like this."""
    # a list: before Python 3.12 an enum raises TypeError if it is asked whether it contains a text
    if value not in list(kind):
        from pytest_claude_latency.near_names import did_you_mean

        raise ValueError(NOT_UNDERSTOOD.format(value=value, hint=did_you_mean(value, kind), accepted=", ".join(kind)))
    return kind(value)


def mode(value: str, given: Given) -> Mode:
    """Return where answers come from."""
    return _choice(Mode, value)


def clock(value: str, given: Given) -> Pace:
    """Return the pace of a replay."""
    return _choice(Pace, value)


def date(value: str, given: Given) -> Date:
    """Return where the calendar of a replay starts."""
    return _choice(Date, value)


def samples(value: str, given: Given) -> tuple[int, bool]:
    """Return how many samples run, and whether these are at most so many: `"20"`, `"auto:200"`."""
    is_sequential, number = value.startswith("auto:"), value.removeprefix("auto:")
    # Not int(): it takes "1_0" and " 3 " too. Nine digits are enough, and keep a slip from filling the memory.
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", number) or (is_sequential and int(number) > MOST_SEQUENTIAL):
        accepted = f"a whole number, at least 1, or auto:N with N up to {MOST_SEQUENTIAL}"
        raise ValueError(NOT_UNDERSTOOD.format(value=value, hint="", accepted=accepted))
    return int(number), is_sequential


def questions(values: list[str], given: Given) -> tuple[Question, ...]:
    """Return what a replay with other times is to answer."""
    if not values:
        return ()
    from pytest_claude_latency.simulation.what_if import Question

    return tuple(map(Question.parse, values))


def seed(value: str, given: Given) -> int:
    """Return the seed of the simulated worlds."""
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise ValueError(NOT_UNDERSTOOD.format(value=value, hint="", accepted="a whole number, at least 0"))
    return int(value)


def worlds(value: str, given: Given) -> int:
    """Return how many worlds are simulated."""
    if not re.fullmatch(r"0*[1-9][0-9]{0,6}", value):
        raise ValueError(NOT_UNDERSTOOD.format(value=value, hint="", accepted="a whole number of worlds, at least 1"))
    return int(value)


def folder_name(value: str, given: Given) -> str:
    """Return the name of the folders of recordings."""
    # Path("..").name is "..", so it would pass for a name
    if not value or Path(value).name != value or value in (".", ".."):
        accepted = "the name of a folder next to each test file, not a path"
        raise ValueError(NOT_UNDERSTOOD.format(value=value, hint="", accepted=accepted))
    return value


def limits(value: str, given: Given) -> tuple[Limit, ...]:
    """Return the limits of an expression."""
    from pytest_claude_latency.budgets.budget import Budget
    from pytest_claude_latency.budgets.limit import parse_expression

    try:
        return Budget(parse_expression(value, given.place)).limits
    except ValueError as error:  # names the place itself, as it does for limits of markers
        raise ValueError(str(error).removeprefix(f"{given.place}: ")) from None


def tolerance(value: str, given: Given) -> int | float:
    """Return the share up to which changes between two replays are ignored."""
    return _rule("tolerance", value)


def min_ratio(value: str, given: Given) -> int | float:
    """Return the smallest ratio between two live runs that counts."""
    return _rule("min_ratio", value)


def min_shift(value: str, given: Given) -> int | float:
    """Return the smallest shift between two live runs that counts."""
    return _rule("min_shift", value)


def _rule(name: str, value: str) -> int | float:
    """Return how much must change to count, by the rule of this name."""
    from pytest_claude_latency.comparison.rules import Rules

    number: int | float = getattr(Rules().with_text(name, value), name)
    return number


def baseline_to_save(value: str, given: Given) -> Path:
    """Return the file that a baseline is saved in, which need not exist yet."""
    from pytest_claude_latency.baselines import folder

    return folder.path_of(given.root, value)


def baseline_to_compare(value: str, given: Given) -> Path:
    """Return the file of a saved baseline."""
    from pytest_claude_latency.baselines import folder

    return folder.locate(given.root, given.here, value)


def reports(values: list[str], given: Given) -> tuple[tuple[str, Path], ...]:
    """Return the reports to write, each with its format and its file."""
    from pytest_claude_latency.report.formats import parse_target

    # as a shell reads a path, whatever rootdir is
    return tuple((form, given.here / path) for form, path in map(parse_target, values))


def otel(value: bool, given: Given) -> bool:
    """Return whether telemetry is sent, which needs the packages of an extra."""
    if value:
        try:
            missing = find_spec("opentelemetry.exporter.otlp.proto.http") is None
        except ModuleNotFoundError:  # a package that it is in
            missing = True
        if missing:
            raise LatencyError(NEEDS_OTEL)
    return value


def patterns(values: list[str], given: Given) -> tuple[re.Pattern[str], ...]:
    """Return the regular expressions, compiled; each takes linear time."""
    if not values:
        return ()
    from pytest_claude_latency.cassettes.linear_patterns import linear

    compiled = []
    for value in values:
        try:
            compiled.append(linear(value))
        except re.error as error:
            raise ValueError(NO_PATTERN.format(value=value, error=error)) from None
        except ValueError as error:
            raise ValueError(f"'{value}' is refused: {error}") from None
    return tuple(compiled)


def header_names(values: list[str], given: Given) -> tuple[str, ...]:
    """Return the names of headers to record too, in lower case."""
    if not values:
        return ()
    from pytest_claude_latency.cassettes.redaction import is_never_kept

    for value in values:
        if is_never_kept(value):
            raise ValueError(NEVER_RECORDED.format(value=value))
    # HTTP libraries differ in the case they report.
    return tuple(value.lower() for value in values)


def endpoints(values: list[str], given: Given) -> tuple[EndpointPattern, ...]:
    """Return which further requests are Claude's."""
    if not values:
        return ()
    from pytest_claude_latency.messages_api.recognition import EndpointPattern

    return tuple(map(EndpointPattern.parse, values))


def profiles(value: str, given: Given) -> Profiles:
    """Return the profiles of a file, followed by the shipped ones."""
    from pytest_claude_latency.simulation.profiles import Profiles, shipped

    try:
        return Profiles.parse(_text_of(value, given)).before(shipped())
    except LatencyError as error:
        raise ValueError(f"{value}: {error}") from None


def faults(values: list[str], given: Given) -> tuple[Fault, ...]:
    """Return the faults, each once."""
    if not values:
        return ()
    from pytest_claude_latency.simulation import fault_text

    # the same fault given twice is one more run of each test, not two
    return tuple(dict.fromkeys(map(fault_text.parse, values)))


def prices(value: str, given: Given) -> Prices | None:
    """Return the prices of a file."""
    from pytest_claude_latency.metrics.prices import Prices

    try:
        return Prices.parse(_text_of(value, given))
    except LatencyError as error:
        raise ValueError(f"{value}: {error}") from None


def _text_of(value: str, given: Given) -> str:
    from pytest_claude_latency.errors import FileError
    from pytest_claude_latency.strict_json import read_text

    try:
        # with or without the mark that some editors on Windows put first
        return read_text(given.root / value, FileError).removeprefix("\ufeff")
    except FileError as error:
        raise LatencyError(error.problem) from None
