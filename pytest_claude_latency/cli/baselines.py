"""What `claude-latency` does with baselines: compare, list, merge, export.

A file that cannot be read or written is an error before anything is printed on standard output, so that nobody takes
half an answer for a complete one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from pytest_claude_latency.baselines.baseline import Baseline, merge
from pytest_claude_latency.baselines.folder import folder_of, list_folder, locate, root_of
from pytest_claude_latency.baselines.measured_file import load
from pytest_claude_latency.cli.output import say
from pytest_claude_latency.comparison.compare import compare as compare_series
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.errors import LatencyError, LimitError
from pytest_claude_latency.options.table import RULES
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import columns_of, printable, printable_json
from pytest_claude_latency.report import comparisons, exports
from pytest_claude_latency.report.columns import column_widths, line_of
from pytest_claude_latency.report.faces.markdown import code

BASELINE_HELP = "the name of a baseline, which is NAME.jsonl in .latency/ of the project, or a path"
_WIDTH = 120
"""How long lines are where the output is no terminal."""
_LIST_HEADERS = ("baseline", "tests", "samples", "measured", "saved (UTC)", "commit", "size")


def declare(commands: Any) -> None:
    """Add the four commands to those of the parser."""
    parser = commands.add_parser(
        "compare",
        help="compare two baselines: what became slower, and what did not",
        description="Compare the measurements of each test before and now: exactly if it was replayed in "
        "virtual time, by statistics if it was measured live. Exit status 1 if something became worse.",
    )
    parser.add_argument("before", metavar="A", help=f"{BASELINE_HELP}, or the JSON report of a run")
    parser.add_argument("after", metavar="B", help="what is compared with A, given in the same way")
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text", help="default: text")
    parser.add_argument("--all", action="store_true", help="also show what did not change")
    for rule in RULES:
        parser.add_argument(f"--{rule.name}", metavar=rule.metavar, help=rule.help)
    parser.set_defaults(run=compare, parser=parser)

    parser = commands.add_parser(
        "list",
        help="list baselines: how many tests and samples, how and when they were measured",
        description="List the baselines of a project. Exit status 1 if one cannot be read, or there are none.",
    )
    parser.add_argument(
        "place", nargs="?", type=Path, metavar="DIR", help="a project, or a folder of baselines (default: this project)"
    )
    parser.set_defaults(run=show_list)

    parser = commands.add_parser(
        "merge",
        help="merge the baselines of sharded jobs into one",
        description="Make one baseline of those that the jobs of a sharded run saved. They must agree where they "
        "hold the same sample of a test.",
    )
    parser.add_argument("parts", nargs="+", metavar="A", help=BASELINE_HELP)
    parser.add_argument("-o", "--output", required=True, metavar="NAME", help="the baseline to write: a name or a path")
    parser.add_argument("--force", action="store_true", help="replace a baseline that is not among those merged")
    parser.set_defaults(run=merge_shards)

    parser = commands.add_parser(
        "export",
        help="export a baseline to a tool that keeps a history of benchmarks",
        description="Write the median of each metric of each test, with the lowest and highest sample, in the format "
        "of another tool: bencher, Bencher Metric Format; github, customSmallerIsBetter of github-action-benchmark.",
    )
    parser.add_argument("name", metavar="NAME", help=f"{BASELINE_HELP}, or the JSON report of a run")
    parser.add_argument("--format", choices=sorted(exports.FORMATS), required=True)
    parser.set_defaults(run=export)


def path_of(text: str) -> Path:
    """Return the file that a name of a baseline, or a path, means.

    Raises:
        LatencyError: it is neither.
    """
    # relative to this folder, as messages and lists show it
    return locate(Path(os.path.relpath(root_of(Path.cwd()))), Path(), text)


def given(text: str) -> Path:
    """Return the file that an argument names, which is to be there: a baseline by its name, or any path.

    Raises:
        LatencyError: it is neither.
    """
    path, here = path_of(text), Path(text)
    # a name that no baseline has may be that of a file in this folder
    return here if here.exists() and not path.exists() else path


def rules_of(chosen: argparse.Namespace) -> Rules:
    """Return the rules as the arguments say; end the command with a usage error if one is not understood."""
    rules = Rules()
    for rule in RULES:
        key = rule.name.replace("-", "_")
        if (text := getattr(chosen, key, None)) is not None:
            try:
                rules = rules.with_text(key, text)
            except LimitError as error:
                chosen.parser.error(f"argument --{rule.name}: {error}")
    return rules


def compare(chosen: argparse.Namespace) -> int:
    """Print what changed from one file to the other; the exit status is 1 if something became worse."""
    rules = rules_of(chosen)
    # both before anything is printed: half a comparison looks like a whole one
    old, new = load(given(chosen.before)), load(given(chosen.after))
    # a test that failed on one side is not "gone" or "new": it is named with the reason
    left_out = {nodeid: f"{outcome} before" for nodeid, outcome in old.left_out.items()} | dict(new.left_out)
    before = {nodeid: series for nodeid, series in old.next_to(new).items() if nodeid not in left_out}
    after = {nodeid: series for nodeid, series in new.next_to(old).items() if nodeid not in left_out}
    compared = comparisons.Compared(
        comparisons=compare_series(before, after, rules),
        gone=tuple(sorted(before.keys() - after.keys())),
        new=tuple(sorted(after.keys() - before.keys())),
        left_out=tuple(f"{nodeid} ({left_out[nodeid]})" for nodeid in sorted(left_out)),
    )
    if chosen.format == "json":
        facts = {"before": chosen.before, "after": chosen.after} | comparisons.as_json(compared)
        sys.stdout.write(printable_json(json.dumps(facts, indent=2, allow_nan=False)) + "\n")
    elif chosen.format == "markdown":
        title = f"## Claude latency: {code(chosen.before)} to {code(chosen.after)}"
        sys.stdout.write(f"{printable(title)}\n\n{comparisons.markdown(compared, everything=chosen.all)}")
    else:
        width = shutil.get_terminal_size((_WIDTH, 0)).columns
        lines = comparisons.text_lines(compared, width=width, everything=chosen.all)
        say(f"before: {chosen.before}", f"now: {chosen.after}", *(line.text for line in lines))
    return 1 if compared.regressions else 0


def show_list(chosen: argparse.Namespace) -> int:
    """Print the baselines of a project, or of a folder of them; the exit status is 1 if there is a problem."""
    if chosen.place is not None and not chosen.place.exists():
        raise LatencyError(f"there is no {chosen.place}")
    folder = folder_of(chosen.place or Path(os.path.relpath(root_of(Path.cwd()))))
    files = list_folder(folder)
    if not files:
        # a problem, not an empty answer: most likely this is the wrong folder
        say(f"no baselines in {folder}")
        return 1
    rows: list[tuple[str, ...]] = [_LIST_HEADERS]
    for file in files:
        if file.baseline is None:
            rows.append((file.path.stem, f"PROBLEM: {file.problem}"))
            continue
        entries = file.baseline.entries.values()
        # each test has its own: a run of some tests saves only those
        commits = sorted({entry.commit or "unknown" for entry in entries})
        # as much of a hash as people read: `3f2a9c0e5d1b`, `3f2a9c0e5d1b-dirty`
        short = [f"{commit[:12]}-dirty" if commit.endswith("-dirty") else commit[:12] for commit in commits]
        cells = (
            file.path.stem,
            str(len(entries)),
            str(sum(len(entry.series.samples) for entry in entries)),
            " and ".join(sorted({entry.series.kind for entry in entries})),
            max((entry.saved for entry in entries), default="")[:16].replace("T", " "),
            short[0] if len(short) == 1 else number_of(len(short), "commit") if short else "",
            f"{file.size / 1000:.1f} kB",
        )
        rows.append(cells)
    # a problem stands behind the name and may be longer than the columns there
    widths = column_widths(row for row in rows if len(row) == len(_LIST_HEADERS))
    widths[0] = max(columns_of(row[0]) for row in rows)
    for row in rows:
        say(line_of(row, widths[: len(row)]))
    return 1 if any(file.problem for file in files) else 0


def merge_shards(chosen: argparse.Namespace) -> int:
    """Write one baseline made of those that the shards of a run saved."""
    files, target = [given(part) for part in chosen.parts], path_of(chosen.output)
    merged = merge([(file, Baseline.load(file)) for file in files])
    # the target may be one of the shards: a job merges into what it has; another baseline is not replaced by accident
    if target.exists() and not chosen.force and not any(target.samefile(file) for file in files):
        raise LatencyError(f"{target} exists already, and is not among those merged; --force replaces it")
    if target.is_dir():
        raise LatencyError(f"cannot write {target}: it is a directory")
    merged.save(target)
    samples = sum(len(series.samples) for series in merged.series.values())
    say(f"{target}: {number_of(len(merged.entries), 'test')}, {number_of(samples, 'sample')}")
    return 0


def export(chosen: argparse.Namespace) -> int:
    """Print a baseline in the format of another tool."""
    points = exports.points(load(given(chosen.name)).series.values())
    sys.stdout.write(exports.FORMATS[chosen.format](points.measured))
    # on standard error, since standard output may be the file that the other tool reads
    for reason in points.left_out:
        say(f"left out: {reason}", error=True)
    return 0
