"""`claude-latency demo`: a small project whose budgets are kept and broken, without a key and without a recording."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from pytest_claude_latency.cli.output import STANDARD_OUTPUT, say
from pytest_claude_latency.errors import LatencyError
from pytest_claude_latency.printable import printable_lines

_APP: Final = '''"""A help desk that asks Claude. It is ordinary code: nothing in it knows of tests."""

import anthropic

MODEL = "claude-haiku-4-5"


def answer(question: str) -> str:
    """Return what Claude answers, as the customer reads it word by word."""
    asked = {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": question}]}
    with anthropic.Anthropic() as client, client.messages.stream(**asked) as stream:
        return stream.get_final_text()
'''
_TESTS: Final = '''"""What the help desk promises. The answers are made up until the tests are recorded."""

import pytest

from help_desk import answer

SHORT = "Your refund is on its way. You will have it within three days."
LONG = " ".join([SHORT, "Let me explain how refunds work with us, from the very first step to the last."] * 10)


@pytest.mark.latency_budget(ttft="800ms", total="3s")
@pytest.mark.latency_answers(SHORT)
def test_a_short_answer_is_prompt():
    assert "refund" in answer("Where is my refund?")


@pytest.mark.latency_budget(ttft="800ms", total="3s")
@pytest.mark.latency_answers(LONG)
def test_a_long_answer_is_prompt():  # it is not, and its failure says where the time goes
    assert "refund" in answer("How do refunds work?")
'''
_INI: Final = "[pytest]\npythonpath = .\ntestpaths = tests\n"
_NEXT: Final = """
One budget is kept, and one is broken: that is what the demo shows. No key was
needed, and no time was waited. The times are simulated: those of a usual answer
by {model}. With a key, record the real ones once:

  cd {folder}
  pytest --latency-mode=record     # calls the API, writes tests/cassettes
  pytest --latency-budget          # from then on offline, with those times
"""


def declare(commands: Any) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "demo",
        help="write a small project and run its tests: no key, no recording, no waiting",
        description="Write a small project into a new folder and run its tests. One budget is kept and one is broken. "
        "It needs neither a key nor a recording. Exit status 1 if the tests do not do that here.",
    )
    parser.add_argument(
        "folder",
        metavar="DIR",
        nargs="?",
        default="claude-latency-demo",
        help="where to write it (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Write the project, run its tests, and say what to do next.

    Raises:
        LatencyError: the folder exists and is not empty.
    """
    folder = Path(chosen.folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LatencyError(f"{folder} exists already; give the name of a new folder: claude-latency demo DIR")
    files = {"help_desk.py": _APP, "tests/test_help_desk.py": _TESTS, "pytest.ini": _INI}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        say(str(path))
    say("", f"$ cd {folder} && pytest --latency-budget")
    # A process of its own, since pytest and the plugin may be loaded in this one with other settings.
    command = [sys.executable, "-m", "pytest", "--latency-budget", "-p", "no:cacheprovider", "--rootdir=."]
    # and what it prints goes straight to the terminal, unless it is to go to a file
    pipe = None if chosen.print_to == STANDARD_OUTPUT else subprocess.PIPE
    ran = subprocess.run(command, cwd=folder, check=False, stdout=pipe, encoding="utf-8", errors="replace")
    print(printable_lines(ran.stdout or ""), end="")  # whose lines are pytest's
    if ran.returncode != 1:
        return 1
    say(*_NEXT.format(model="claude-haiku-4-5", folder=folder).rstrip().split("\n"))
    return 0
