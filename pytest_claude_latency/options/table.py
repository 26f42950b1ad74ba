"""The table of options, ini keys and markers.

To add an option, add it to `OPTIONS`, a field to `Settings`, and the field's value to `reading.read`. How its value is
understood is a function of `values`, which is named here: a run in which nothing is given does not import it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple

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


class Option(NamedTuple):
    """One setting: its option, its ini key, and how its value is understood."""

    name: str
    """As the option spells it, behind `--latency-`."""
    metavar: str | None
    """What stands for the value in `--help`; `None` for a switch, which takes no value."""
    help: str
    parse: str = "as_it_is"
    """The function of `values` that returns the value of a setting."""
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
    Option(name, metavar, text, name.replace("-", "_"))
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
        # the one switch that the command line can take back, since an ini file may set it for every run
        "budget",
        help="enforce latency budgets and print the latency report",
        negation="measure, but judge no budget (default)",
    ),
    Option(
        "mode",
        "MODE",
        "replay: recordings only, never the network (default); record: call the API and write recordings; "
        "record-missing: record the tests that have no recording; live: call the API, write nothing",
        "mode",
        "replay",
    ),
    Option(
        "samples",
        "N",
        "run each latency test N times (default: 1); in a replay, at most N of the recorded samples (default: all); "
        "auto:N, live: until its limits are settled, at most N times",
        "samples",
        (None, False),  # not 1: a replay runs as many samples as are recorded
    ),
    Option("clock", "CLOCK", "pace of a replay: virtual (default) or real", "clock", "virtual"),
    Option(
        "cassettes",
        "DIR",
        "name of the folder of recordings next to each test file (default: cassettes)",
        "folder_name",
        "cassettes",
    ),
    Option(
        "limits",
        "EXPR",
        'limits for metrics that no marker names, for example "ttft<800ms total<3s"',
        "limits",
        (),
    ),
    *RULES,
    # No ini keys for these three: what to keep, to compare and to report belongs to one run.
    Option("save", "NAME", "keep this run's samples as a baseline: .latency/NAME.jsonl", "baseline_to_save", ini=None),
    Option("compare", "NAME", "compare this run with a baseline: its name, or a path", "baseline_to_compare", ini=None),
    Option(
        "report",
        "FILE",
        "write a report: .html, .md, .json, trace.json, or FORMAT:FILE; may be given more than once",
        "reports",
        (),
        ini=None,
        kind="repeatable option",
    ),
    _switch("report-content", help="let reports quote what prompts and answers say; else they give only its length"),
    _switch(
        "otel",
        help="send the spans and metrics of the run to the OpenTelemetry endpoint that OTEL_EXPORTER_OTLP_ENDPOINT "
        "names (default: http://localhost:4318); needs the extra otel",
        parse="otel",
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
        "faults",
        (),
        ini="linelist",
        kind="repeatable option",
    ),
    Option(
        "simulate",
        "N",
        "in a replay, run each latency test in N more worlds with redrawn times, and judge percentiles by them where "
        "there are too few recordings",
        "worlds",
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
        "questions",
        (),
        ini="linelist",
        kind="repeatable option",
    ),
    Option("seed", "S", "what the times of the simulated worlds follow from (default: 1)", "seed", 1),
    # From here on ini keys only: they belong to the suite, and a recording must not depend on who makes it.
    Option(
        "date",
        None,
        "calendar of a replay: now (default) or recorded",
        "date",
        "now",
        kind="ini key only",
    ),
    Option(
        "redact",
        None,
        "regular expressions: what they match in bodies is not recorded",
        "patterns",
        ini="linelist",
        kind="ini key only",
    ),
    Option(
        "endpoints",
        None,
        "regular expressions over URLs of further requests that are Claude's; a line that begins with ! excludes",
        "endpoints",
        ini="linelist",
        kind="ini key only",
    ),
    Option("keep-headers", None, "names of further headers to record", "header_names", ini="args", kind="ini key only"),
    Option("prices", None, "a JSON file of prices for the limit cost", "prices", kind="ini key only"),
    Option(
        "profiles",
        None,
        "a JSON file of profiles, as claude-latency profile writes it: how long models take where nothing is recorded",
        "profiles",
        kind="ini key only",
    ),
    _switch(
        "placeholder-key",
        help="in a replay without a key, set ANTHROPIC_API_KEY to a placeholder before conftests are loaded",
        kind="ini key only",
    ),
)
BY_NAME = {option.name: option for option in OPTIONS}
