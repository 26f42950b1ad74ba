"""Every message of the package at 80 columns, and the few places that may write to a terminal."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import pytest_claude_latency
from pytest_claude_latency.printable import fitted
from tests.support.wide_lines import too_wide

PACKAGE: Final = Path(pytest_claude_latency.__file__).parent
MODULES: Final = sorted(PACKAGE.rglob("*.py"))

LONG_VALUES: Final = {
    "path": "tests/cassettes/test_customer_service/test_a_refund_is_explained_in_the_customers_own_words.1.jsonl",
    "file": "tests/cassettes/test_customer_service/test_a_refund_is_explained.1.jsonl",
    "recording": "tests/cassettes/test_customer_service/test_a_refund_is_explained_in_their_own_words[en].1.jsonl",
    "nodeid": "tests/test_customer_service.py::TestRefunds::test_a_refund_is_explained_in_the_customers_own_words[en]",
    "test": "tests/test_customer_service.py::TestRefunds::test_a_refund_is_explained",
    "command": "pytest --latency-mode=record 'tests/test_service.py::test_a_refund[in English]' tests/test_desk.py",
    "url": "https://bedrock-runtime.eu-central-1.amazonaws.com/model/anthropic.claude-haiku-4-5/converse-stream",
    "reason": "the connection was closed by the server before the whole answer had been received",
    "model": "claude-haiku-4-5-20251001",
    "line": "helpline/services/summaries.py:156 in summarize_the_whole_conversation",
}
"""What stands for a value in a message, by a word in its name; other values are short."""

WRITERS: Final = {
    "cli/demo.py": "what pytest printed, which has lines of its own",
    "cli/baselines.py": "documents: JSON, Markdown, exports",
    "cli/drift.py": "documents: JSON, Markdown",
    "cli/explain.py": "documents: JSON, Markdown, SARIF",
    "cli/output.py": "`say`, through which all other lines pass",
    "cli/profile.py": "a document: JSON",
    "cli/redraw.py": "a document: a recording",
    "report/columns.py": "`write`, through which all other lines pass",
    "report/recorded.py": "rows of a table, which has its width from the terminal",
    "report/suggestions.py": "comments, which are wrapped, and Python to paste",
    "report/terminal.py": "rows of tables, which have their width from the terminal",
    "run/reporting/terminal_sections.py": "commands to a CI service",
}
"""The modules that write to a terminal, and what it is that passes no other function."""


def messages(module: Path) -> Iterator[str]:
    """Yield the texts of a module that hold a space, with values in their places; no docstrings."""
    tree = ast.parse(module.read_text("utf-8"))
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    skipped |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else value(ast.unparse(part)) for part in node.values)
            text = "".join(map(str, parts))
        else:
            continue
        if " " in text.strip():
            yield re.sub(r"\{(\w*)[^{}]*\}", lambda found: value(found[1]), text)


def value(name: str) -> str:
    """Return what may stand in the place of a value of this name."""
    return next((text for word, text in LONG_VALUES.items() if word in name.lower()), "1.204s")


@pytest.mark.parametrize("folder", sorted({module.parent for module in MODULES}), ids=lambda folder: folder.name)
def test_every_message_fits_80_columns(folder: Path) -> None:
    texts = [text for module in folder.glob("*.py") for text in messages(module)]

    assert [line for text in texts for line in too_wide(fitted(text).split("\n"))] == []


def test_what_is_written_to_a_terminal_passes_one_function() -> None:
    writes = re.compile(r"\.write_line\(|\.write_sep\(|\bprint\(|sys\.std(?:out|err)\.write\(|(?<!def )\bwrite_lines\(")

    found = {module.relative_to(PACKAGE).as_posix() for module in MODULES if writes.search(module.read_text("utf-8"))}

    assert found == set(WRITERS)
