from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_claude_latency.baselines import reader
from pytest_claude_latency.baselines.baseline import Baseline, merge
from pytest_claude_latency.baselines.folder import path_of
from pytest_claude_latency.comparison.compare import compare
from pytest_claude_latency.errors import BaselineError, LatencyError
from pytest_claude_latency.metrics.sample import Sample
from pytest_claude_latency.metrics.series import Mode, Pace, Series, series_of
from pytest_claude_latency.results.result import TestResult
from tests.support.some_call import some_call, spans
from tests.support.some_results import node_ids

LABEL = "tests/test_triage.py::test_label"
DRAFT = "tests/test_triage.py::test_draft[en]"
SAVED = "2026-11-22T11:30:00.000Z"
LATER = "2026-12-01T08:00:00.000Z"


@dataclass(frozen=True, kw_only=True)
class Result(TestResult):
    """A result that tells how it was measured."""

    mode: Mode = "replay"
    clock: Pace = "virtual"
    conditions: tuple[Mapping[str, str], ...] = ()


def result(nodeid: str = LABEL, sample: int = 1, elapsed: float | None = 2.875, **facts: Any) -> Result:
    return Result(**{"nodeid": nodeid, "sample": sample, "elapsed": elapsed, "calls": (some_call(),), **facts})


def live(nodeid: str = LABEL, sample: int = 1, elapsed: float = 2.875, **facts: Any) -> Result:
    return result(nodeid, sample, elapsed, mode="live", clock="real", **facts)


def baseline(*results: Result, saved: str = SAVED, commit: str | None = "3f2a9c") -> Baseline:
    return Baseline.of(results, saved=saved, commit=commit)


def read(text: str) -> Baseline:
    return Baseline(reader.read(text, Path(".latency/main.jsonl")))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return path_of(tmp_path, "main")


# ── what is saved of a run ──


def test_a_baseline_has_every_sample_of_every_test_in_order() -> None:
    main = baseline(result(sample=2, elapsed=2.0), result(DRAFT), result(sample=1, elapsed=1.0))

    assert list(main.entries) == [DRAFT, LABEL]
    assert [(sample.number, sample.elapsed) for sample in main.series[LABEL].samples] == [(1, 10**9), (2, 2 * 10**9)]


def test_a_run_whose_tests_failed_is_not_saved() -> None:
    with pytest.raises(
        LatencyError,
        match=r"not saved as a baseline: tests/test_triage\.py::test_draft.* and 1 more",
    ):
        baseline(result(), result(DRAFT, outcome="failed"), result("tests/test_x.py::test_x", outcome="error"))


@pytest.mark.parametrize("outcome", ["skipped", "xfailed"])
def test_a_test_that_was_skipped_or_failed_as_expected_is_left_out(outcome: str) -> None:
    assert list(baseline(result(), result(DRAFT, outcome=outcome)).entries) == [LABEL]


def test_samples_of_one_test_that_were_measured_in_different_ways_are_refused() -> None:
    with pytest.raises(LatencyError, match="some of its samples were replayed and some were not"):
        baseline(result(sample=1), live(sample=2))


def test_a_run_can_be_compared_with_what_was_saved_of_it(file: Path) -> None:
    results = [result(elapsed=0.1 + 0.2, calls=(some_call(ttft=1 / 3, total=2 / 3),))]
    baseline(*results).save(file)

    comparisons = compare(Baseline.load(file).series, series_of(results))

    assert {comparison.verdict for comparison in comparisons} == {"unchanged"}


# ── the file ──


def test_a_baseline_has_a_fact_a_line() -> None:
    call = some_call(model="claude-haiku-4-5", thinking_tokens=None, stop_reason=None)
    conditions = ({"prompt": "0f1e", "effort": "low"},)

    lines = baseline(result(calls=(call,), conditions=conditions)).dumps().splitlines()

    assert lines == [
        '{"format": "claude-latency-baseline", "version": 1, "unit": "s"}',
        '{"test": "tests/test_triage.py::test_label", "mode": "replay", "clock": "virtual"}',
        '{"saved": "2026-11-22T11:30:00.000Z", "commit": "3f2a9c"}',
        '{"conditions": 1, "facts": {"effort": "low", "prompt": "0f1e"}}',
        '{"sample": 1, "elapsed": 2.875}',
        '{"call": 1, "under": 1, "model": "claude-haiku-4-5", "streamed": true, "status": 200, "attempts": 1, '
        '"sent": 0.0, "ttfb": 0.31, "ttft": 0.412, "ttfa": 0.412, "total": 2.875, "longest_gap": 0.081, '
        '"tpot": 0.0124, "prompt_tokens": 31, "input_tokens": 31, "cache_read_tokens": 0, "cache_write_tokens": 0, '
        '"output_tokens": 96}',
        '{"end": "claude-latency-baseline"}',
    ]


def test_every_line_is_a_json_object(file: Path) -> None:
    baseline(result(), result(DRAFT)).save(file)

    facts = [json.loads(line) for line in file.read_bytes().splitlines()]

    assert facts[0] == {"format": "claude-latency-baseline", "version": 1, "unit": "s"}
    assert all(isinstance(fact, dict) for fact in facts)


def test_conditions_that_calls_share_are_written_once() -> None:
    calls, cold, warm = (some_call(),) * 2, {"prompt_cache": "cold"}, {"prompt_cache": "warm"}

    text = baseline(
        result(sample=1, calls=calls, conditions=(cold, warm)), result(sample=2, calls=calls, conditions=(warm, warm))
    ).dumps()

    assert text.count('"facts"') == 2
    assert [line[:24] for line in text.splitlines() if '"call"' in line] == [
        f'{{"call": {call}, "under": {under}, ' for call, under in [(1, 1), (2, 2), (1, 2), (2, 2)]
    ]


def test_no_machine_is_named() -> None:
    text = baseline(result(calls=(some_call(url="http://build-7.local:8080/v1/messages"),))).dumps()

    assert "build-7" not in text


def test_a_test_added_behind_the_others_changes_no_line_of_them() -> None:
    before = baseline(result(DRAFT)).dumps().splitlines()
    after = baseline(result(DRAFT), result(LABEL)).dumps().splitlines()

    assert after[: len(before) - 1] == before[:-1]
    assert after[-1] == before[-1]


@settings(deadline=None)
@given(
    st.dictionaries(
        node_ids(),
        st.lists(
            st.tuples(st.none() | spans(), st.lists(st.tuples(spans(), st.none() | spans()), max_size=3)), min_size=1
        ),
        max_size=3,
    ),
    st.booleans(),
    st.none() | st.text(),
)
def test_any_baseline_is_read_back_as_it_was(
    tests: dict[str, list[tuple[float | None, list[tuple[float, float | None]]]]], known: bool, commit: str | None
) -> None:
    results = [
        result(
            nodeid,
            number,
            elapsed,
            calls=tuple(some_call(sent=sent, ttft=ttft) for sent, ttft in calls),
            conditions=tuple({"prompt": f"{ttft}"} for _, ttft in calls) if known else (),
        )
        for nodeid, samples in tests.items()
        for number, (elapsed, calls) in enumerate(samples, 1)
    ]
    original = baseline(*results, commit=commit)

    text = original.dumps()

    assert read(text) == original
    assert read(text).dumps() == text


def test_a_baseline_is_written_completely_or_not_at_all(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    baseline(result()).save(file)
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BaselineError, match=r"main\.jsonl: it could not be written: No space left on device"):
        baseline(result(), result(DRAFT)).save(file)

    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


# ── what cannot be read ──


def edited(change: Callable[[str], str]) -> str:
    """The text of a small baseline, changed."""
    text = baseline(result(conditions=({"effort": "low"},))).dumps()
    changed = change(text)
    assert changed != text
    return changed


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        (
            '"version": 1',
            '"version": 2',
            1,
            "it has version 2, this plugin reads up to 1: a newer pytest-claude-latency",
        ),
        ('"version": 1', '"version": "1"', 1, '"version" is "1", expected a whole number'),
        ('"unit": "s"', '"unit": "ms"', 1, '"unit" is "ms", expected "s" for seconds'),
        ("claude-latency-baseline", "pytest-benchmark", 1, "it is not a baseline of this plugin"),
        ('"elapsed": 2.875', '"elapsed": NaN', 5, "NaN is not a JSON number"),
        ('"elapsed": 2.875', '"elapsed": -1', 5, '"elapsed" is -1, expected seconds'),
        ('"elapsed": 2.875', '"elapsed": 1e999', 5, '"elapsed" is Infinity, expected seconds'),
        ('"elapsed": 2.875', '"elapsed": 1e300', 5, '"elapsed" is 1e+300, expected seconds'),
        ('"elapsed": 2.875', f'"elapsed": {"9" * 400}', 5, '"elapsed" is 9999'),
        ('"elapsed": 2.875', f'"elapsed": {"9" * 5000}', 5, "a number in it is too long"),
        ('"attempts": 1', f'"attempts": {"9" * 400}', 6, '"attempts" is 9999'),
        ('"elapsed": 2.875', '"elapsed": true', 5, '"elapsed" is true, expected seconds'),
        ('"elapsed": 2.875', '"elapsed": 1, "elapsed": 2', 5, 'the key "elapsed" appears twice'),
        ('"elapsed"', '"eIapsed"', 5, 'it has the unknown key "eIapsed"'),
        ('"ttft"', '"tftt"', 6, 'it has the unknown key "tftt"'),
        ('"attempts": 1', '"attempts": 1.5', 6, '"attempts" is 1.5, expected a whole number of at least 0'),
        ('"attempts": 1', '"attempts": -1', 6, '"attempts" is -1, expected a whole number of at least 0'),
        ('"streamed": true', '"streamed": 1', 6, '"streamed" is 1, expected true or false'),
        ('"stop_reason": "end_turn"', '"closed": "server"', 6, '"closed" is "server", expected "client"'),
        ('"model": "claude-haiku-4-5"', '"model": 4', 6, '"model" is 4, expected a text'),
        ('"under": 1', '"under": 2', 6, '"under" is 2, there are 1 conditions'),
        ('"call": 1', '"call": 2', 6, '"call" is 2, expected 1: they are numbered from 1'),
        ('"sample": 1', '"sample": 0', 5, '"sample" is 0, expected a number above 0'),
        ('"mode": "replay"', '"mode": "record"', 2, '"mode" is "record", expected "replay" or "live"'),
        ('"clock": "virtual"', '"clock": "sun"', 2, '"clock" is "sun", expected "virtual" or "real"'),
        ('"commit": "3f2a9c"', '"commit": 3', 3, '"commit" is 3, expected a text'),
        ('"effort": "low"', '"effort": 3', 4, '"facts" is {"effort": 3}, expected an object of texts'),
        ('{"saved"', '{"mislaid"', 3, "it is not a line of a baseline: expected exactly one of the keys"),
        ('{"sample": 1, "elapsed": 2.875}\n', "", 5, 'a line "call" cannot follow a line "conditions"'),
        ('{"sample": 1, "elapsed": 2.875}', "6", 5, "it is not a JSON object"),
        ('{"end": "claude-latency-baseline"}\n', "", 6, 'the file is cut off: the last line is not "end"'),
        ('"elapsed": 2.875}', '"elapsed": 2,875}', 5, "it is not JSON"),
        ('s"}\n{"test"', 's"}\n\n{"test"', 2, "the line is empty"),
    ],
)
def test_a_fact_that_is_wrong_is_named_with_its_line(file: Path, old: str, new: str, line: int, reason: str) -> None:
    file.parent.mkdir()
    file.write_text(edited(lambda text: text.replace(old, new, 1)), "utf-8")

    with pytest.raises(BaselineError) as refused:
        Baseline.load(file)

    assert str(refused.value).startswith(f"cannot use the baseline {file}, line {line}: {reason}")


def test_a_test_that_occurs_twice_is_refused() -> None:
    lines = baseline(result()).dumps().splitlines()
    again = "\n".join([*lines[:-1], *lines[1:-1], lines[-1]])

    with pytest.raises(BaselineError, match=f"line 6: the test {LABEL} appears twice"):
        read(again)


def test_a_baseline_cut_off_anywhere_is_refused() -> None:
    text = baseline(result()).dumps().rstrip()

    for length in range(len(text)):
        with pytest.raises(BaselineError, match=r"cut off|is empty|not JSON"):
            read(text[:length])


@pytest.mark.parametrize(
    "text", ["{}", "[]", "3", '"a"', "[3]", "[[]]", "[null]", '{"tests": []}', "[" * 5000, "<html>"]
)
def test_a_file_of_something_else_is_refused(text: str) -> None:
    reasons = r"not a? ?JSON|an HTML page|not a baseline of this plugin|nested too deeply|cut off"
    with pytest.raises(BaselineError, match=reasons):
        read(text)


def test_a_file_that_is_not_utf_8_is_refused_with_its_line(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"{}\n\xff")

    with pytest.raises(BaselineError, match="line 2: it is not UTF-8"):
        Baseline.load(file)


def test_a_missing_file_and_a_folder_are_refused(file: Path) -> None:
    with pytest.raises(BaselineError, match="there is no such file"):
        Baseline.load(file)
    with pytest.raises(BaselineError, match=r"folder|Permission"):
        Baseline.load(file.parent.parent)


# ── partial runs ──


def test_a_partial_run_updates_the_tests_it_ran_and_leaves_the_others() -> None:
    before = baseline(result(), result(DRAFT))

    updated = before.updated(baseline(result(elapsed=1.0), saved=LATER, commit="77aa"))

    assert updated.entries[DRAFT] == before.entries[DRAFT]
    assert updated.entries[LABEL].series.samples[0].elapsed == 10**9
    assert (updated.entries[LABEL].saved, updated.entries[LABEL].commit) == (LATER, "77aa")


def test_fewer_samples_replace_all_that_were_saved() -> None:
    before = baseline(*(result(sample=number) for number in (1, 2, 3)))

    assert len(before.updated(baseline(result(elapsed=1.0))).series[LABEL].samples) == 1


def test_a_replay_that_measured_the_same_leaves_the_file_as_it_was(file: Path) -> None:
    baseline(result(), result(DRAFT)).save(file)

    updated = Baseline.load(file).updated(baseline(result(), result(DRAFT), saved=LATER, commit="77aa"))

    assert updated.dumps() == file.read_text("utf-8")


def test_a_live_run_never_replaces_a_replay() -> None:
    with pytest.raises(LatencyError, match="was replayed on the virtual clock before and measured live now"):
        baseline(result()).updated(baseline(live()))


def test_tests_that_are_missing_are_removed() -> None:
    before = baseline(result(), result(DRAFT))

    assert list(before.updated(baseline(result()), missing=[DRAFT]).entries) == [LABEL]


# ── shards ──


def test_shards_make_one_baseline_whatever_their_order() -> None:
    shards = [(Path("a.jsonl"), baseline(result())), (Path("b.jsonl"), baseline(result(DRAFT)))]

    merged = merge(shards)

    assert merged.dumps() == baseline(result(), result(DRAFT)).dumps() == merge(shards[::-1]).dumps()


def test_samples_of_one_test_from_several_shards_are_put_together() -> None:
    shards = [
        (Path("b.jsonl"), baseline(live(sample=2, elapsed=2.0), saved=LATER)),
        (Path("a.jsonl"), baseline(live(sample=1, elapsed=1.0))),
        (Path("a-again.jsonl"), baseline(live(sample=1, elapsed=1.0))),
    ]

    entry = merge(shards).entries[LABEL]

    assert [sample.elapsed for sample in entry.series.samples] == [10**9, 2 * 10**9]
    assert (entry.saved, entry.commit) == (LATER, "3f2a9c")


def test_two_measurements_of_one_sample_are_not_merged() -> None:
    shards = [(Path("a.jsonl"), baseline(live(elapsed=1.0))), (Path("b.jsonl"), baseline(live(elapsed=2.0)))]

    with pytest.raises(BaselineError, match=f"b.jsonl: it holds another sample 1 of {LABEL} than the files before it"):
        merge(shards)


def test_a_replay_and_a_live_run_are_not_merged() -> None:
    shards = [(Path("a.jsonl"), baseline(result(sample=1))), (Path("b.jsonl"), baseline(live(sample=2)))]

    with pytest.raises(BaselineError, match=r"b\.jsonl: .* never compared"):
        merge(shards)


@pytest.mark.parametrize("sample", [1, 2])
def test_a_test_of_two_commits_has_no_commit(sample: int) -> None:
    shards = [
        (Path("a.jsonl"), baseline(live(sample=1), commit="aa")),
        (Path("b.jsonl"), baseline(live(sample=sample), commit="bb")),
    ]

    assert merge(shards).entries[LABEL].commit is None


# ── series ──


def test_a_series_is_exact_in_virtual_time_only() -> None:
    series = Series(nodeid=LABEL, mode="replay", clock="virtual", samples=(Sample(),))

    assert series.exact
    assert not replace(series, clock="real").exact
    assert not replace(series, mode="live", clock="real").exact
