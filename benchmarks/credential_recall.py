"""How many of the credentials of two public tools are found here, compared with their rules; none is copied.

For each rule of the plugins of detect-secrets that go by a form, and for each of gitleaks, texts are drawn that the
rule matches. A rule counts as found if at least nine of ten such texts are. The rules are shorter than what issuers
give out, so not all of these are credentials. What gitleaks finds by the name of a service is drawn as
`NAME_API_KEY=…`.

    pip install detect-secrets
    python benchmarks/credential_recall.py [gitleaks.toml]
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import random
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from re import _compiler, _parser  # type: ignore[attr-defined]  # no public function tells what a pattern is made of
from typing import Any

from pytest_claude_latency.cassettes.secrets import conceal

DRAWN = 40
ANY_BEGINNING, ANY_NAME = r"[\w.-]{0,50}?", r"(?:[ \t\w.-]{0,20})"
ANY_SIGN = r"""[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}"""
"""What the rules of gitleaks have around the name of a service."""
_CHARACTERS = [*"\t\n\r", *map(chr, range(0x20, 0x7F))]


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


def gitleaks_rules(file: Path) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield the rules of gitleaks with their names; those that go by the name of a service have a name in capitals."""
    for rule in tomllib.loads(file.read_text("utf-8"))["rules"]:
        form, name = rule.get("regex", ""), rule["id"]
        if form.startswith((ANY_BEGINNING, f"{ANY_BEGINNING}(?i:")) or f"(?i){ANY_BEGINNING}" in form:
            name = name.upper()
            form = form.replace(ANY_BEGINNING, "").replace(ANY_NAME, "_API_KEY").replace(ANY_SIGN, "=")
        try:
            yield name, re.compile(_python_form(form.replace("[[:alnum:]]", "[A-Za-z0-9]").replace(r"\z", r"\Z")))
        except re.error as error:
            print(f"{name}: {error}")


def _python_form(form: str) -> str:
    """Return a form of Go in which no flag stands in the middle: it becomes a group, up to the end of its own."""
    parts, opened, is_set = [], [0], False
    for part in re.findall(r"\\.|\(\?i\)|.", form, re.DOTALL):
        if not is_set and part == "(?i)":
            opened[-1] += 1
        elif not is_set and part == "(":
            opened.append(0)
        elif not is_set and part == ")":
            parts.append(")" * opened.pop())
        is_set = part == "[" or (is_set and part != "]")
        parts.append("(?i:" if part == "(?i)" else part)
    return "".join([*parts, ")" * opened.pop()])


def drawn(pattern: re.Pattern[str]) -> list[str]:
    """Return texts that the pattern matches, the same in each run; none where it cannot be drawn from."""
    chance = random.Random(1)
    texts = ("".join(_pieces(_parser.parse(pattern.pattern), chance)) for _ in range(5 * DRAWN))
    return [text for text in texts if pattern.search(text)][:DRAWN]


def _pieces(parsed: Any, chance: random.Random) -> Iterator[str]:
    """Yield the pieces of a text that a parsed pattern matches, each character as likely as the others."""
    for kind, value in parsed:
        match str(kind):
            case "LITERAL":
                yield chr(value)
            case "ANY":
                yield "."
            case "IN" | "NOT_LITERAL" | "CATEGORY":
                member = _compiler.compile(_parser.SubPattern(parsed.state, [(kind, value)]))
                yield chance.choice([char for char in _CHARACTERS if member.fullmatch(char)])
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, inner = value
                for _ in range(chance.randint(least, min(most, least + 8))):
                    yield from _pieces(inner, chance)
            case "SUBPATTERN":
                yield from _pieces(value[3], chance)
            case "BRANCH":
                yield from _pieces(chance.choice(value[1]), chance)


def tell(of: str, compared: Iterable[tuple[str, re.Pattern[str]]]) -> None:
    """Print which rules are found, and how many."""
    found = total = 0
    for name, pattern in compared:
        texts = drawn(pattern)
        if not texts:
            continue
        count = sum("[credential]" in conceal(text) for text in texts)
        total += 1
        found += count >= 0.9 * len(texts)
        print(f"{name:40} {count:3} of {len(texts):3}   for example {texts[-1][:60]!r}")
    print(f"{of}: {found} of {total} rules", flush=True)


def main() -> None:
    tell("detect-secrets", rules())
    for file in map(Path, sys.argv[1:]):
        compared = list(gitleaks_rules(file))
        tell("gitleaks, by a form", [rule for rule in compared if not rule[0].isupper()])
        tell("gitleaks, by the name of a service", [rule for rule in compared if rule[0].isupper()])


if __name__ == "__main__":
    main()
