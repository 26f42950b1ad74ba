"""Declaring: options and ini keys as pytest must know them from the start of each run, and whether any is given.

Every run of every suite that has the plugin comes here, so what reads them is imported only where one is given.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from pytest_claude_latency.options.table import BY_NAME, OPTIONS, Option

_NO_VALUE: dict[str, Any] = {"string": None, "bool": False, "linelist": [], "args": []}
"""What pytest returns for an ini key of each type that the ini file does not have."""


def declare(parser: pytest.Parser) -> None:
    """Declare every option and ini key."""
    group = parser.getgroup("claude-latency", "latency budgets for Claude calls")
    for option in OPTIONS:
        if option.metavar is not None:
            action = "append" if option.kind == "repeatable option" else "store"
            group.addoption(
                option.flag, dest=option.key, action=action, default=None, metavar=option.metavar, help=option.help
            )
        elif option.kind == "option":
            # None, not False: a switch that is not given leaves the word to the ini file.
            group.addoption(option.flag, dest=option.key, action="store_true", default=None, help=option.help)
        if option.negation is not None:
            # declared second: of two options for one value, argparse takes the default of the first
            group.addoption(f"--no-latency-{option.name}", dest=option.key, action="store_false", help=option.negation)
        if option.ini is not None:
            parser.addini(option.key, option.help, type=option.ini, default=_NO_VALUE[option.ini])


def is_anything_given(config: pytest.Config) -> bool:
    """Return whether the user gave an option or an ini key of this plugin.

    Raises:
        pytest.UsageError: an ini key has a value of the wrong type.
    """
    return any(
        config.getoption(option.key, None) is not None or (option.ini is not None and ini(config, option))
        for option in OPTIONS
    )


def wants_placeholder_key(early_config: pytest.Config) -> bool:
    """Return whether a placeholder shall stand for a missing key.

    Asked before conftests are loaded, since they may read the environment, so it reads only what is known by then.
    """
    if not ini(early_config, BY_NAME["placeholder-key"]) or os.environ.get("ANTHROPIC_API_KEY"):
        return False
    # config.getoption knows nothing yet: pytest fills it after conftests are loaded
    mode = getattr(early_config.known_args_namespace, "latency_mode", None) or ini(early_config, BY_NAME["mode"])
    return mode in {None, "replay"}


def ini(config: pytest.Config, option: Option) -> Any:
    """Return the value of an ini key, which nothing behind the "=" leaves as if the line were not there.

    Raises:
        pytest.UsageError: it is of the wrong type.
    """
    try:
        return config.getini(option.key) or _NO_VALUE[str(option.ini)]
    except (ValueError, TypeError, pytest.UsageError) as error:  # which of them depends on pytest's version
        accepted = "; accepted: true, false" if option.ini == "bool" else ""
        raise refusal(f"ini key {option.key}: {error}{accepted}") from None


def refusal(problem: str) -> pytest.UsageError:
    """Return the usage error that tells a problem in lines that fit a terminal."""
    from pytest_claude_latency.errors import NotUnderstoodError

    return pytest.UsageError(NotUnderstoodError(problem).in_lines())
