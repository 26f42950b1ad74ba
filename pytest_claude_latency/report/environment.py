"""Environments: which code a run measured, and with which versions. It is equal for two runs of one checkout."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("pytest", "pytest-claude-latency", "anthropic")


def environment_of(root: Path) -> dict[str, str]:
    """Return the commit that is checked out in `root`, where there is one, and the versions that matter."""
    environment = {}
    # To start git takes longer than to see that there is nothing to ask it about
    folders = (root, *root.resolve().parents)
    is_checkout = "GIT_DIR" in os.environ or any(Path(folder, ".git").exists() for folder in folders)
    if is_checkout and (commit := _git(root, "rev-parse", "HEAD")):
        # reports and recordings are written into the checkout, and change no code: only what git knows counts
        is_changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        environment["commit"] = f"{commit}, changed" if is_changed else commit
    environment["python"] = platform.python_version()
    for package in _PACKAGES:
        try:
            environment[package] = version(package)
        except PackageNotFoundError:
            continue
    return environment


def _git(root: Path, *arguments: str) -> str:
    """Return what git says; empty where there is no git, or no repository."""
    try:
        asked = subprocess.run(
            ("git", "-C", str(root), *arguments), capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
