"""How many of the credentials that detect-secrets looks for are found here, compared with its rules; none is copied.

For each rule of its plugins that go by a form, texts are drawn that the rule matches. A rule counts as found if at
least nine of ten such texts are. Its rules are shorter than what issuers give out, so not all of these are credentials.

    pip install detect-secrets
    python benchmarks/credential_recall.py
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pytest_claude_latency.cassettes.secrets import conceal

DRAWN = 40
_ALPHABET = st.characters(min_codepoint=0x20, max_codepoint=0x7E)


def rules() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield the rules of detect-secrets that go by a form, each with the name of its plugin."""
    plugins = importlib.import_module("detect_secrets.plugins")
    for found in pkgutil.iter_modules(plugins.__path__):
        module = importlib.import_module(f"detect_secrets.plugins.{found.name}")
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ != module.__name__ or inspect.isabstract(kind):
                continue
            for pattern in getattr(kind(), "denylist", ()):
                yield name.removesuffix("Detector"), re.compile(pattern)


def drawn(pattern: re.Pattern[str]) -> list[str]:
    """Return texts that the pattern matches, the same in each run; none where it cannot be drawn from."""
    texts: list[str] = []
    checks: list[Any] = list(HealthCheck)

    @seed(1)
    @settings(max_examples=DRAWN, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=checks)
    @given(st.from_regex(pattern, fullmatch=True, alphabet=_ALPHABET))
    def draw(text: str) -> None:
        texts.append(text)

    try:
        draw()
    except Exception as error:  # a pattern that Hypothesis does not know
        print(f"{pattern.pattern[:40]}: {error}")
    return texts


def main() -> None:
    found = total = 0
    for name, pattern in rules():
        texts = drawn(pattern)
        if not texts:
            continue
        count = sum("[credential]" in conceal(text) for text in texts)
        total += 1
        found += count >= 0.9 * len(texts)
        print(f"{name:20} {count:3} of {len(texts):3}   for example {texts[-1][:60]!r}")
    print(f"{found} of {total} rules")


if __name__ == "__main__":
    main()
