"""What all tests of the command share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no variable of the machine say how wide lines are: what goes to no terminal gets whole lines."""
    monkeypatch.delenv("COLUMNS", raising=False)
