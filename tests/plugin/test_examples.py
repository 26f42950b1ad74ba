from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

HAS_FASTAPI = find_spec("fastapi") is not None
OUTCOMES = {"passed": 37} if HAS_FASTAPI else {"passed": 18, "skipped": 3}
"""The three files of tests of the helpline need FastAPI."""

NO_NETWORK = """
import socket

def connect(self, address):
    raise BaseException(f"the examples reached for the network: {address}")

socket.socket.connect = socket.socket.connect_ex = connect
"""


@pytest.fixture
def examples(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the examples into a folder whose runs of pytest cannot open any connection."""
    pytester.makepyfile(no_network=NO_NETWORK)
    monkeypatch.setenv(
        "PYTEST_ADDOPTS", "-p no_network -p no:cacheprovider -p no:rerunfailures"
    )  # that plugin connects to itself
    return Path(shutil.copytree(EXAMPLES, pytester.path / "examples", ignore=shutil.ignore_patterns("__pycache__")))


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.mark.slow
def test_the_examples_keep_their_budgets_offline_and_change_no_file(pytester: pytest.Pytester, examples: Path) -> None:
    before = files(examples)

    result = pytester.runpytest_subprocess("--latency-budget", "--latency-strict", "examples")

    result.assert_outcomes(**OUTCOMES)
    assert result.ret == 0
    assert files(examples) == before


@pytest.mark.usefixtures("examples")
@pytest.mark.slow
def test_every_replay_of_the_examples_writes_the_same_report(pytester: pytest.Pytester) -> None:
    for name, *how in (("alone",), ("spread", "-n2")):
        result = pytester.runpytest_subprocess("--latency-budget", f"--latency-report={name}.json", *how, "examples")
        result.assert_outcomes(**OUTCOMES)

    assert len({path.read_bytes() for path in pytester.path.glob("*.json")}) == 1


@pytest.mark.slow
def test_drafts_written_one_after_another_exceed_their_budget(pytester: pytest.Pytester, examples: Path) -> None:
    application = examples / "support_desk" / "drafts.py"
    together = "await asyncio.gather(*(_draft(client, ticket, tone) for tone in tones))"
    in_turn = "[await _draft(client, ticket, tone) for tone in tones]"
    source = application.read_text(encoding="utf-8")
    application.write_text(source.replace(together, in_turn), encoding="utf-8")

    result = pytester.runpytest_subprocess("--latency-budget", "examples/tests/test_drafts.py", "-k", "side_by_side")

    assert in_turn in application.read_text(encoding="utf-8")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*elapsed was * over the budget of *"])
