"""`claude-latency demo`: from nothing to a kept and a broken budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_claude_latency.cli.command import main


@pytest.mark.slow
def test_the_demo_keeps_one_budget_and_breaks_one_without_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)

    status = main(["demo"])

    printed = capfd.readouterr().out
    assert status == 0
    assert "1 failed, 1 passed" in printed
    assert "kept, simulated" in printed
    assert "broken, simulated" in printed
    assert "pytest --latency-mode=record" in printed


def test_a_folder_with_something_in_it_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/test_it.py").write_text("")

    status = main(["demo", "mine"])

    assert status == 2
    assert "mine exists already; give the name of a new folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["test_it.py"]
