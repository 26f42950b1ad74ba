"""The command `claude-latency`."""

from pytest_claude_latency.cli.command import main

__all__ = ["main"]
