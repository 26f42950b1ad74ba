"""Profiles: the shipped ones, files of a user's own, and profiles fitted from recordings."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cli.command import main
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.simulation.profile_fit import fits_of
from pytest_claude_latency.simulation.profiles import Profiles, shipped
from tests.support.some_recording import recording
from tests.support.written_calls import asked, streamed, usage, whole

ROW: dict[str, Any] = {
    "models": ["claude-new-*"],
    "source": "a test",
    "ttft": {"median": 100, "p95": 200},
    "tokens_per_second": {"low": 10, "median": 20, "high": 30},
}


def file(**changes: Any) -> str:
    return json.dumps({"dated": "2026-12-01", "profiles": [ROW | changes]})


def test_the_shipped_profiles_are_dated_and_have_sources() -> None:
    assert shipped().dated == "2026-11-22"
    assert all(len(profile.source) > 40 for profile in shipped().profiles)


@pytest.mark.parametrize(
    ("model", "ttft"),
    [
        ("claude-haiku-4-5-20251001", 430),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", 430),
        ("claude-sonnet-4-5@20250929", 1050),
        ("claude-opus-4-6", 2000),
    ],
)
def test_a_model_is_known_by_all_its_names(model: str, ttft: int) -> None:
    profile = shipped().of(model)

    assert profile is not None
    assert profile.usual_ttft() == ttft * MILLISECOND


def test_a_model_that_nobody_measured_has_no_profile() -> None:
    assert shipped().of("claude-haiku-9") is None
    assert shipped().of(None) is None


def test_a_file_of_ones_own_comes_before_the_shipped_profiles() -> None:
    profiles = Profiles.parse(file(models=["claude-haiku-4-5*"])).before(shipped())

    assert [profiles.of(name).ttft.median for name in ("claude-haiku-4-5", "claude-sonnet-4-5")] == [100, 1050]  # type: ignore[union-attr]
    assert Profiles.parse(profiles.text()) == profiles


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "it is no file of profiles"),
        ("[]", "it is no file of profiles"),
        (file(tftt=1), "tftt"),
        (file(ttft={"median": 0, "p95": 1}), r"\$\.profiles\[0\]\.ttft\.median is 0"),
        (file(ttft={"median": 3, "p95": 1}), "expected at least the median"),
        (file(tokens_per_second={"low": 3, "median": 2, "high": 4}), "low <= median <= high"),
        (file(unstreamed={"base": -1, "per_token": 0}), "a time is below 0"),
    ],
)
def test_a_file_that_is_not_understood_is_refused(text: str, problem: str) -> None:
    with pytest.raises(LatencyError, match=problem):
        Profiles.parse(text)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"ttft": {"median": 0, "p95": 1}}, 9),
        ({"ttft": {"median": "x", "p95": 1}}, 9),
        ({"ttft": {"median": 1}}, 8),
        ({"source": 1}, 7),
        ({"odd": 1}, 3),
    ],
)
def test_what_is_wrong_with_a_file_is_named_by_its_line(changes: dict[str, Any], line: int) -> None:
    row = {"models": ["a*"], "source": "s", "ttft": {"median": 1, "p95": 2}} | changes
    row["tokens_per_second"] = {"low": 1, "median": 2, "high": 3}
    text = json.dumps({"profiles": [row], "dated": "d"}, indent=1)
    assert text.split("\n")[line - 1].strip()

    with pytest.raises(LatencyError, match=f"^line {line}: "):
        Profiles.parse(text)


# ── fitting ──


def calls_of_a_made_up_model(count: int, *, seed: int = 1) -> list[Recording]:
    """Calls whose first token takes 400 ms, 50 ms for each 1,000 uncached tokens and 5 for each cached, log-normal."""
    random, recordings = Random(seed), []
    for _ in range(count):
        uncached, cached = random.randrange(20_000), random.randrange(50_000)
        ttft = (400 + uncached * 0.05 + cached * 0.005) * random.lognormvariate(0, 0.3)
        speed = random.uniform(80, 120)
        pieces = tuple((ttft + 1000 * token / speed, "text", "word") for token in range(50))
        used = usage(uncached, 50, read=cached)
        recordings.append(recording(streamed(asked(), pieces, headers=ttft / 2, used=used)))
    return recordings


def test_a_profile_is_found_again_in_the_calls_that_it_made() -> None:
    fits, too_few = fits_of(calls_of_a_made_up_model(400))

    (fit,) = fits.values()
    ttft = fit.profile.ttft
    assert too_few == {}
    assert ttft.median == pytest.approx(400, rel=0.15)
    assert ttft.per_1000_uncached == pytest.approx(50, rel=0.1)
    assert ttft.per_1000_cached == pytest.approx(5, rel=0.25)
    assert ttft.sigma == pytest.approx(0.3, rel=0.1)
    assert fit.profile.tokens_per_second.median == pytest.approx(100, rel=0.03)
    assert (fit.profile.tokens_per_second.low, fit.profile.tokens_per_second.high) == pytest.approx((82, 118), rel=0.05)


def test_prompts_of_one_length_say_nothing_of_its_influence() -> None:
    calls = [recording(streamed(asked(), ((400 + n, "text", "a"), (900, "text", "b")))) for n in range(20)]

    ttft = next(iter(fits_of(calls)[0].values())).profile.ttft

    assert (ttft.median, ttft.per_1000_uncached, ttft.per_1000_cached) == (409.5, 0, 0)


def test_longer_prompts_that_were_faster_by_chance_give_no_negative_time() -> None:
    calls = [
        recording(streamed(asked(), ((900 - n, "text", "a"), (2000, "text", "b")), used=usage(100 * n)))
        for n in range(20)
    ]

    ttft = next(iter(fits_of(calls)[0].values())).profile.ttft

    assert ttft.per_1000_uncached == 0


def test_answers_that_do_not_stream_have_a_base_and_a_time_for_each_token() -> None:
    calls = [recording(streamed(asked(), ((400, "text", "a"), (900, "text", "b")))) for _ in range(5)]
    calls += [recording(whole(asked(), at=700 + 12 * n, used=usage(31, n))) for n in range(10, 60, 5)]

    (fit,) = fits_of(calls)[0].values()

    assert fit.profile.unstreamed is not None
    assert (fit.profile.unstreamed.base, fit.profile.unstreamed.per_token) == pytest.approx((700, 12))


def test_the_command_shows_the_fit_and_writes_a_file_that_a_run_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, recorded in enumerate(calls_of_a_made_up_model(40)):
        recorded.save(tmp_path / "cassettes/test_it" / f"test_{number}.1.jsonl")

    status = main(["profile", ".", "--output=profiles.json"])

    printed = capsys.readouterr().out
    profile = Profiles.parse((tmp_path / "profiles.json").read_text("utf-8")).of("claude-haiku-4-5")
    assert status == 0
    assert profile is not None
    assert math.isclose(profile.ttft.per_1000_uncached, 50, rel_tol=0.4)
    assert "claude-haiku-4-5: 40 streamed calls" in printed
    assert "for each 1,000 uncached tokens of the prompt" in printed
    assert "written: profiles.json" in printed


def test_the_command_says_which_model_has_too_few_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    recording(streamed(asked())).save(tmp_path / "cassettes/test_it/test_one.1.jsonl")

    status = main(["profile", "."])

    assert status == 1
    assert "claude-haiku-4-5: 1 call, too few: a profile needs 5 that stream" in capsys.readouterr().out
