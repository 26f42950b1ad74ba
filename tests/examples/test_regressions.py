"""Each regression of the helpline fails the tests that it concerns, and no other; what a user then reads is kept.

The texts are in `what_a_user_reads/`. After a change of messages, `REWRITE_TEXTS=1 pytest tests/examples` writes them
anew: read the difference as a user would, who sees nothing else.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

import fastapi.responses  # noqa: F401  # loaded here, since each run in this process would load it again
import httpx  # noqa: F401  # as above

import tests.plugin.conftest  # noqa: F401  # as above: two copies of the plugin's modules would not fit together
from tests.examples.regressions import REGRESSIONS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TEXTS = Path(__file__).parent / "what_a_user_reads"


@pytest.fixture
def helpline(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the application with its tests and recordings into a folder of its own, seen in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("helpline", "tests"):
        shutil.copytree(EXAMPLES / name, pytester.path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(EXAMPLES / "conftest.py", pytester.path)
    return pytester.path


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_regression_is_told_once_where_it_is_made_and_with_what_to_do(
    name: str, helpline: Path, pytester: pytest.Pytester
) -> None:
    regression = REGRESSIONS[name]
    for edit in regression.edits:
        edit.apply(helpline)

    result = pytester.runpytest_inprocess(
        "--latency-budget", "-p", "no:cacheprovider", "-p", "no:asyncio", f"tests/test_helpline_{regression.tests}.py"
    )

    failed = re.findall(r"^FAILED tests/\w+\.py::(.*?)(?: - .*)?$", result.stdout.str(), re.MULTILINE)
    assert sorted(failed) == sorted(regression.failing)
    assert told(result.outlines) == kept(name, result.outlines)


def told(lines: list[str]) -> str:
    """Return what is said of the tests that failed; of a traceback, which shows the code of libraries, its end."""
    start = next(place for place, line in enumerate(lines) if re.fullmatch("=+ FAILURES =+", line))
    end = next(place for place, line in enumerate(lines) if re.fullmatch("=+ claude latency =+", line))
    failures = lines[start + 1 : end]
    last = next((place for place, line in enumerate(failures) if re.fullmatch(r"E   +\w+Error: .*", line)), None)
    return "\n".join([*failures[: 1 if last else None], *(failures[last:] if last else ()), ""])


def kept(name: str, lines: list[str]) -> str:
    """Return the text that is kept of a regression; write it before, if that is asked for."""
    path = TEXTS / f"{name}.txt"
    if os.environ.get("REWRITE_TEXTS"):
        path.write_text(told(lines), "utf-8")
    return path.read_text("utf-8")
