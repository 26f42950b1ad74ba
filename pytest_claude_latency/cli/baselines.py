"""What `claude-latency` does with baselines: compare, list, merge, export.

Each command answers with its exit status: 0 all is well, 1 there are regressions or problems. What cannot be read or
written is raised, before anything is said on standard output, so that half an answer is never taken for one.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_claude_latency.atomic_files import write_text
from pytest_claude_latency.baselines.baseline import Baseline, merge
from pytest_claude_latency.baselines.folder import ListedFile, folder_of, list_folder, locate, root_of
from pytest_claude_latency.baselines.measured_file import MeasuredFile, load
from pytest_claude_latency.comparison.compare import compare as compare_series
from pytest_claude_latency.comparison.rules import Rules
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.report import comparisons, exports
from pytest_claude_latency.report.columns import column_widths, columns_of, line_of
from pytest_claude_latency.report.markdown import code

_WIDTH = 120
"""Characters of a line where the output is no terminal."""


def path_of(text: str) -> Path:
    """The file that a name of a baseline, or a path, means.

    Raises:
        LatencyError: it is neither.
    """
    return locate(Path(os.path.relpath(root_of(Path.cwd()))), Path(), text)


# ── compare ──


def compare(before: str, after: str, rules: Rules, form: str, *, everything: bool) -> int:
    """Show what changed from one file to the other; `form` is `text`, `markdown` or `json`."""
    old, new = load(path_of(before)), load(path_of(after))
    compared = _compared(old, new, rules)
    if form == "json":
        print(json.dumps({"before": before, "after": after} | comparisons.as_json(compared), indent=2, allow_nan=False))
    elif form == "markdown":
        title = f"## Claude latency: {code(before)} to {code(after)}"
        print(title, comparisons.markdown(compared, everything=everything), sep="\n\n", end="")
    else:
        width = shutil.get_terminal_size((_WIDTH, 0)).columns
        lines = comparisons.text_lines(compared, width=width, everything=everything)
        print(f"before: {before}", f"now: {after}", *(line.text for line in lines), sep="\n")
    return 1 if compared.regressions else 0


def _compared(old: MeasuredFile, new: MeasuredFile, rules: Rules) -> comparisons.Compared:
    left_out = {**{nodeid: f"{outcome} before" for nodeid, outcome in old.left_out.items()}, **new.left_out}
    before = {nodeid: series for nodeid, series in old.next_to(new).items() if nodeid not in left_out}
    after = {nodeid: series for nodeid, series in new.next_to(old).items() if nodeid not in left_out}
    return comparisons.Compared(
        comparisons=compare_series(before, after, rules),
        gone=tuple(sorted(before.keys() - after.keys())),
        new=tuple(sorted(after.keys() - before.keys())),
        left_out=tuple(f"{nodeid} ({left_out[nodeid]})" for nodeid in sorted(left_out)),
    )


# ── list ──

_HEADERS = ("baseline", "tests", "samples", "measured", "saved (UTC)", "commit", "size")


def show_list(place: Path | None) -> int:
    """List the baselines of a project, or of a folder of them."""
    if place is not None and not place.exists():
        raise LatencyError(f"there is no {place}")
    folder = folder_of(Path(os.path.relpath(root_of(Path.cwd()))) if place is None else place)
    files = list_folder(folder)
    if not files:
        print(f"no baselines in {folder}")
        return 1
    rows = [_HEADERS, *(_cells(each) for each in files)]
    widths = column_widths(row for row in rows if len(row) == len(_HEADERS))
    widths[0] = max(columns_of(row[0]) for row in rows)
    for row in rows:
        print(line_of(row, widths[: len(row)]))
    return 1 if any(each.problem for each in files) else 0


def _cells(listed: ListedFile) -> tuple[str, ...]:
    """The cells of one baseline; its name and its problem where it cannot be read."""
    if listed.baseline is None:
        return listed.path.stem, f"PROBLEM: {listed.problem}"
    entries = listed.baseline.entries.values()
    commits = sorted({entry.commit or "unknown" for entry in entries})
    return (
        listed.path.stem,
        str(len(entries)),
        str(sum(len(entry.series.samples) for entry in entries)),
        " and ".join(sorted({entry.series.kind for entry in entries})),
        max((entry.saved for entry in entries), default="")[:16].replace("T", " "),
        _short(commits[0]) if len(commits) == 1 else f"{len(commits)} commits" if commits else "",
        f"{listed.size / 1000:.1f} kB",
    )


def _short(commit: str) -> str:
    """As much of a commit as people read: `"3f2a9c0e5d1b"`, `"3f2a9c0e5d1b-dirty"`."""
    name, dash, dirty = commit.partition("-")
    return name[:12] + dash + dirty


# ── merge and export ──


def show_merge(parts: Sequence[str], output: str, *, force: bool) -> int:
    """Make one baseline of those that the shards of a run wrote."""
    files, target = [path_of(part) for part in parts], path_of(output)
    merged = merge([(file, Baseline.load(file)) for file in files])
    if target.exists() and not force and not any(target.samefile(file) for file in files):
        raise LatencyError(f"{target} is there already, and not among what is merged; --force replaces it")
    _refuse_folder(target)
    merged.save(target)
    samples = sum(len(series.samples) for series in merged.series.values())
    print(f"{target}: {number_of(len(merged.entries), 'test')}, {number_of(samples, 'sample')}")
    return 0


def export(name: str, form: str, output: Path | None) -> int:
    """Write a baseline in another tool's format, one of `exports.FORMATS`; without `output` to standard output."""
    file = path_of(name)
    found = exports.points(load(file).series.values())
    text = exports.FORMATS[form](found.known)
    if output is None:
        sys.stdout.write(text)
    else:
        _write(text, output, file)
    for reason in found.left_out:
        print(f"left out: {reason}", file=sys.stderr)
    return 0


def _write(text: str, output: Path, source: Path) -> None:
    _refuse_folder(output)
    if output.exists() and output.samefile(source):
        raise LatencyError(f"{output} is what is exported; --output must name another file")
    try:
        write_text(output, text)
    except OSError as error:
        raise LatencyError(f"cannot write {output}: {error.strerror or error}") from error


def _refuse_folder(target: Path) -> None:
    if target.is_dir():
        raise LatencyError(f"cannot write {target}: it is a directory")
