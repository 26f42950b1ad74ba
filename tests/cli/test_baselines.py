from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_claude_latency.baselines.baseline import Baseline, merge
from pytest_claude_latency.cli.command import main
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.report import data
from tests.support.some_baseline import COMMIT, DRAFT, LABEL, OLD_FORM, SAVED, baseline, live, never, replayed, save
from tests.support.some_results import some_result, summary_of

FAST = [0.4 + number / 1000 for number in range(20)]
SLOW = [0.6 + number / 1000 for number in range(20)]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in the current folder, and a terminal that is wide enough for whole lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command; its exit status, output and errors."""

    def command(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(arguments)
        except SystemExit as exit_:
            status = int(exit_.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return command


# ── compare ──


def test_a_regression_is_shown_and_is_the_exit_status(project: Path, run: Any) -> None:
    save(project, "main", replayed(elapsed=3.0), replayed(DRAFT))
    save(project, "now", replayed(elapsed=4.0), replayed(DRAFT))

    status, out, err = run("compare", "main", "now")

    assert (status, err) == (1, "")
    assert out.splitlines() == [
        "before: main",
        "now: now",
        "  metric   before     now  change  verdict     evidence",
        LABEL,
        "  elapsed  3.000s  4.000s   +33 %  regression  exact",
        "2 tests, 12 comparisons: 1 regression, 11 unchanged",
    ]


def test_without_a_regression_all_is_well(project: Path, run: Any) -> None:
    save(project, "main", live(LABEL, SLOW), replayed(DRAFT))
    save(project, "now", live(LABEL, FAST))

    status, out, _ = run("compare", "main", "now")

    assert status == 0
    assert out.splitlines()[-2:] == [
        f"gone: {DRAFT}",
        "1 test, 3 comparisons: 3 improvements; 1 test gone",
    ]


@pytest.mark.parametrize(
    ("option", "status"),
    [
        ("--tolerance=0", 1),
        ("--tolerance=0.5", 0),
    ],
)
def test_exact_comparisons_ignore_what_is_tolerated(project: Path, run: Any, option: str, status: int) -> None:
    save(project, "main", replayed(elapsed=3.0))
    save(project, "now", replayed(elapsed=4.0))

    assert run("compare", "main", "now", option)[0] == status


@pytest.mark.parametrize(
    ("option", "status"),
    [("--min-ratio=1.2", 1), ("--min-ratio=1.6", 0), ("--min-shift=100ms", 1), ("--min-shift=0.3s", 0)],
)
def test_statistical_comparisons_ignore_what_is_small(project: Path, run: Any, option: str, status: int) -> None:
    save(project, "main", live(LABEL, FAST))
    save(project, "now", live(LABEL, SLOW))

    assert run("compare", "main", "now", option)[0] == status


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--tolerance=-1", "tolerance must be"),
        ("--tolerance=much", "argument --tolerance"),
        ("--tolerance=nan", "got nan"),
        ("--min-ratio=0.5", "min-ratio must be"),
        ("--min-shift=25", "argument --min-shift: '25' is not a duration; accepted: a string with a unit"),
        ("--format=yaml", "argument --format"),
    ],
)
def test_an_option_that_makes_no_sense_is_a_usage_error(project: Path, run: Any, option: str, reason: str) -> None:
    save(project, "main", replayed())

    status, out, err = run("compare", "main", "main", option)

    assert (status, out) == (2, "")
    assert reason in err


def test_all_shows_also_what_did_not_change(project: Path, run: Any) -> None:
    save(project, "main", replayed())

    assert [run("compare", "main", "main", *every)[1].count("unchanged") for every in ((), ("--all",))] == [1, 7]


def test_markdown_and_json_say_the_same(project: Path, run: Any) -> None:
    save(project, "main", replayed(elapsed=3.0))
    save(project, "now", replayed(elapsed=4.0))

    page = run("compare", "main", "now", "--format=markdown")
    facts = run("compare", "main", "now", "--format=json")

    assert (page[0], facts[0]) == (1, 1)
    assert page[1].startswith("## Claude latency: `main` to `now`\n\n| test | metric |")
    assert [
        comparison["metric"]
        for comparison in json.loads(facts[1])["comparisons"]
        if comparison["verdict"] == "regression"
    ] == ["elapsed"]


def test_the_json_report_of_a_run_is_compared_like_a_baseline(project: Path, run: Any) -> None:
    save(project, "main", replayed(elapsed=3.0), replayed(DRAFT))
    results = summary_of(some_result(elapsed=4.0), some_result(DRAFT, outcome="failed"))
    Path("report.json").write_text(data.render(data.build(results)), "utf-8")

    status, out, _ = run("compare", "main", "report.json")

    assert status == 1
    assert "  elapsed  3.000s  4.000s   +33 %  regression  exact\n" in out
    assert out.endswith(
        f"not compared: {DRAFT} (failed)\n1 test, 6 comparisons: 1 regression, 5 unchanged; 1 test not compared\n"
    )


def test_what_a_report_does_not_tell_is_not_taken_for_a_change(project: Path, run: Any) -> None:
    (sample,) = replayed().samples
    known = replace(replayed(elapsed=2.0), samples=(replace(sample, conditions=({"prompt": "0f1e", "sdk": "2.x"},)),))
    save(project, "main", known)
    Path("report.json").write_text(data.render(data.build(summary_of(some_result(elapsed=4.0)))), "utf-8")

    forth, back = run("compare", "main", "report.json", "--all"), run("compare", "report.json", "main", "--all")

    assert (forth[0], back[0]) == (1, 0)
    assert "changed" not in forth[1].replace("unchanged", "")
    assert "changed" not in back[1].replace("unchanged", "")


def test_a_replay_and_a_live_run_are_never_compared(project: Path, run: Any) -> None:
    save(project, "main", replayed())
    save(project, "now", live())

    assert run("compare", "main", "now") == (
        2,
        "",
        f"claude-latency: {LABEL} was replayed on the virtual clock before and measured live now; "
        "these are never compared\n",
    )


def test_names_mean_the_baselines_of_the_project_from_any_folder_in_it(
    project: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(project, "main", replayed())
    (project / "tests").mkdir()
    monkeypatch.chdir(project / "tests")

    assert run("compare", "main", "../.latency/main.jsonl")[0] == 0
    assert run("compare", "main", "other")[2] == (
        f"claude-latency: cannot use the baseline {Path('../.latency/other.jsonl')}: there is no such file\n"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"format": "claude-latency-baseline", "ver', "line 1: the file is cut off in this line"),
        (b'{"format": "pytest-benchmark"}', "line 1: it is not a baseline of this plugin"),
        (
            b'{"format": "claude-latency-baseline", "version": 7}',
            "line 1: it has version 7, this plugin reads up to 1",
        ),
        (b'{"format": "claude-latency-baseline", "version": 1, "unit": "ms"}', 'line 1: "unit" is "ms"'),
        (b"{\xff}", "line 1: it is not UTF-8"),
        (b'{"format": "claude-latency-baseline", "version": 1' + b"0" * 5000, "line 1: a number in it is too long"),
        (b'{"tests": []}', "line 1: it is not a baseline of this plugin"),
    ],
    ids=["truncated", "foreign", "newer", "other units", "not UTF-8", "too long", "some JSON"],
)
@pytest.mark.parametrize("command", [["compare", "main"], ["export", "--format=github"], ["merge", "--output=main"]])
def test_a_file_that_cannot_be_read_is_one_clear_line(
    project: Path, run: Any, command: list[str], content: bytes, reason: str
) -> None:
    before = save(project, "main", replayed()).read_bytes()
    (project / ".latency" / "bad.jsonl").write_bytes(content)

    status, out, err = run(*command, "bad")

    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith(f"claude-latency: cannot use the baseline {Path('.latency/bad.jsonl')}")
    assert command[0] == "merge" or reason in err
    assert (project / ".latency" / "main.jsonl").read_bytes() == before


@pytest.mark.parametrize("command", [["compare", "main"], ["export", "--format=github"], ["merge", "--output=next"]])
def test_a_baseline_in_the_old_form_is_to_be_saved_again(project: Path, run: Any, command: list[str]) -> None:
    old = save(project, "main", replayed()).with_suffix(".json")
    old.with_suffix(".jsonl").unlink()
    old.write_text(OLD_FORM)

    status, out, err = run(*command, "main")

    assert (status, out) == (2, "")
    assert err == (
        "claude-latency: baseline main is in the old form; save it again with --latency-save=main, "
        f"then delete {Path('.latency/main.json')}\n"
    )
    assert old.read_text() == OLD_FORM


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no such", "'no such' is not a name of a baseline"),
        ("./", "a folder"),
        ("nowhere.json", "there is no such file"),
    ],
)
def test_a_name_without_a_baseline_is_one_clear_line(run: Any, name: str, reason: str) -> None:
    status, out, err = run("export", name, "--format=bencher")

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert reason in err


# ── list ──


def test_baselines_are_listed_with_what_is_in_them(project: Path, run: Any) -> None:
    save(project, "main", live(LABEL, FAST), live(DRAFT, FAST), commit=f"{COMMIT}-dirty")
    save(project, "offline", replayed())

    status, out, _ = run("list")

    head, *rows = (line.split("  ") for line in out.splitlines())
    cells = [[cell.strip() for cell in row if cell.strip()] for row in (head, *rows)]
    assert status == 0
    assert [row[:-1] for row in cells] == [
        ["baseline", "tests", "samples", "measured", "saved (UTC)", "commit"],
        ["main", "2", "40", "measured live", "2026-11-22 11:30", "3f2a9c0e5d1b-dirty"],
        ["offline", "1", "1", "replayed on the virtual clock", "2026-11-22 11:30", "3f2a9c0e5d1b"],
    ]
    assert all(row[-1].endswith(" kB") for row in cells[1:])


def test_one_that_cannot_be_read_is_named_with_the_reason(project: Path, run: Any) -> None:
    save(project, "main", replayed())
    (project / ".latency" / "bad.jsonl").write_text("")

    status, out, _ = run("list", str(project))

    assert status == 1
    assert out.splitlines()[1] == "bad       PROBLEM: the file is empty"
    assert out.splitlines()[2].startswith("main ")


def test_a_project_without_baselines_is_a_problem(run: Any) -> None:
    assert run("list")[:2] == (1, "no baselines in .\n")


@pytest.mark.parametrize(("place", "reason"), [("nowhere", "there is no nowhere"), ("file", "cannot read file")])
def test_what_is_not_a_folder_cannot_be_listed(project: Path, run: Any, place: str, reason: str) -> None:
    (project / "file").touch()

    status, out, err = run("list", place)

    assert (status, out) == (2, "")
    assert err.startswith(f"claude-latency: {reason}")


# ── merge ──


def test_shards_become_one_baseline(project: Path, run: Any) -> None:
    save(project, "shard-1", live(LABEL, FAST))
    path = save(project, "shard-2", live(DRAFT, FAST))

    status, out, err = run("merge", "shard-1", str(path), "--output=main")

    assert (status, err) == (0, "")
    assert out == f"{Path('.latency/main.jsonl')}: 2 tests, 40 samples\n"
    assert Baseline.load(project / ".latency" / "main.jsonl") == baseline(live(LABEL, FAST), live(DRAFT, FAST))


def test_a_shard_may_become_the_merged_baseline(project: Path, run: Any) -> None:
    whole = save(project, "main", live(LABEL, FAST))
    save(project, "more", live(DRAFT, FAST))

    assert run("merge", "main", "more", "--output=main")[0] == 0
    assert set(Baseline.load(whole).entries) == {LABEL, DRAFT}


def test_a_baseline_that_is_not_a_shard_is_replaced_only_by_force(project: Path, run: Any) -> None:
    save(project, "shard-1", live(LABEL, FAST))
    other = save(project, "main", live(DRAFT, FAST))
    before = other.read_bytes()

    status, out, err = run("merge", "shard-1", "--output=main")

    assert (status, out) == (2, "")
    assert err == (
        f"claude-latency: {Path('.latency/main.jsonl')} exists already, and is not among those merged; "
        "--force replaces it\n"
    )
    assert other.read_bytes() == before
    assert run("merge", "shard-1", "--output=main", "--force")[0] == 0
    assert set(Baseline.load(other).entries) == {LABEL}


def test_shards_that_disagree_are_not_merged(project: Path, run: Any) -> None:
    save(project, "a", live(LABEL, FAST))
    save(project, "b", live(LABEL, SLOW))

    status, _, err = run("merge", "a", "b", "--output=main")

    assert status == 2
    assert f"it holds another sample 1 of {LABEL} than the files before it" in err
    assert not (project / ".latency" / "main.jsonl").exists()


@pytest.mark.parametrize("command", [["merge"], ["export", "--format=github"]])
@pytest.mark.parametrize("target", ["taken/folder.json", "main.jsonl/below.json"])
def test_what_cannot_be_written_is_one_clear_line(project: Path, run: Any, command: list[str], target: str) -> None:
    save(project, "main", replayed())
    (project / "taken" / "folder.json").mkdir(parents=True)
    (project / "main.jsonl").write_text("a file")

    status, out, err = run(*command, "main", f"--output={target}", *(["--force"] if command == ["merge"] else []))

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert target in err.replace(os.sep, "/")
    assert list((project / "taken").iterdir()) == [project / "taken" / "folder.json"]


def shards() -> st.SearchStrategy[Baseline]:
    """Of few tests, samples and commits, so that several of them hold the same test or the same sample."""
    series = st.builds(
        live,
        st.sampled_from([LABEL, DRAFT]),
        st.lists(st.sampled_from([1.0, 2.0]), min_size=1, max_size=2),
        st.integers(1, 4),
    )
    return st.builds(
        baseline,
        series,
        series,
        saved=st.sampled_from([SAVED, "2026-12-01T08:00:00.000Z"]),
        commit=st.sampled_from([None, "a", "b"]),
    )


@settings(deadline=None)
@given(st.lists(shards(), min_size=1, max_size=3), st.data())
def test_any_shards_merge_to_the_same_in_every_order_or_in_none(of: list[Baseline], data: st.DataObject) -> None:
    merged, shuffled = _merged(of), _merged(data.draw(st.permutations(of)))

    assert merged == shuffled
    if merged is not None:
        assert merged.entries.keys() == {nodeid for shard in of for nodeid in shard.entries}


def _merged(of: list[Baseline]) -> Baseline | None:
    try:
        return merge([(Path(f"{number}.jsonl"), shard) for number, shard in enumerate(of)])
    except LatencyError:
        return None


# ── export ──


def test_a_baseline_is_exported_to_standard_output(project: Path, run: Any) -> None:
    save(project, "main", replayed())

    status, out, err = run("export", "main", "--format=bencher")

    assert (status, err) == (0, "")
    assert json.loads(out)[LABEL]["elapsed"]["value"] == 3_000_000_000


def test_a_baseline_is_exported_to_a_file(project: Path, run: Any) -> None:
    save(project, "main", never())

    status, out, err = run("export", "main", "--format=github", "--output=made/history.json")

    assert (status, out) == (0, "")
    assert err == f"left out: ttft of {LABEL}: no token came in 1 of 2 samples\n"
    assert json.loads((project / "made" / "history.json").read_bytes())[0]["name"] == f"{LABEL} total"


def test_an_export_does_not_replace_what_it_is_made_of(project: Path, run: Any) -> None:
    path = save(project, "main", replayed())
    content = path.read_bytes()

    status, _, err = run("export", "main", "--format=github", f"--output={path}")

    assert status == 2
    assert "holds a recording or a baseline; --output must name another file" in err
    assert path.read_bytes() == content


def test_ids_that_the_terminal_cannot_show_are_escaped(project: Path, run: Any) -> None:
    save(project, "main", replayed("tests/test_a.py::test_x[\udc80]"))
    save(project, "now", live())

    assert "gone: tests/test_a.py::test_x[\\udc80]\n" in run("compare", "main", "now")[1]
    assert "tests/test_a.py::test_x[\udc80]" in json.loads(run("export", "main", "--format=bencher")[1])


def test_a_reader_that_has_read_enough_sees_no_error(project: Path) -> None:
    save(project, "main", replayed())
    code = "import sys; from pytest_claude_latency.cli.command import main; sys.exit(main(['list']))"

    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()

    assert errors == b""


@pytest.mark.parametrize("command", ["compare", "list", "merge", "export"])
def test_each_command_explains_itself(run: Any, command: str) -> None:
    status, out, _ = run(command, "--help")

    assert status == 0
    assert out.startswith(f"usage: claude-latency {command} ")
