"""The test server in a process of its own, as the API is: what a test run connects to there, the guard meets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

_ROOT: Final = Path(__file__).parents[2]
_SERVE: Final = """
import sys
from tests.support.claude_messages import text
from tests.support.claude_server import ClaudeServer

with ClaudeServer() as server:
    server.answers(lambda request: text("Hello"))
    print(server.port, flush=True)
    for line in sys.stdin:
        print(len(server.log), flush=True)
"""


@final
class FarServer:
    """A running server of another process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = self._read()

    @property
    def url(self) -> str:
        """Return the `base_url` for the SDK."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def served(self) -> int:
        """Return how many requests came in so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@contextmanager
def far_server() -> Iterator[FarServer]:
    """Run a server until the end of the block."""
    command = [sys.executable, "-c", _SERVE]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield FarServer(process)
        process.communicate()  # the end of its input ends it
