"""The package keeps to the layers of docs/architecture.md: the map there is what is tested."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pytest_claude_latency"
MAP = (ROOT / "docs" / "architecture.md").read_text("utf-8")


@dataclass(frozen=True)
class Layer:
    name: str
    outside: frozenset[str]
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Import:
    name: str
    runs: bool


def read_layers(page: str) -> list[Layer]:
    """The layers of the map, the lowest first."""
    _, *sections = re.split(r"^### ", page.partition("\n## The map\n")[2].partition("\n## ")[0], flags=re.MULTILINE)
    return [
        Layer(
            name=section.partition("\n")[0],
            outside=frozenset(re.findall(r"`(\w+)`", re.search(r"^From outside: (.*)$", section, re.MULTILINE)[1])),  # type: ignore[index]  # a layer without that line is a mistake
            modules=tuple(_module(path) for path in re.findall(r"^\| `([\w/]+\.py)` \|", section, re.MULTILINE)),
        )
        for section in sections
    ]


def _module(path: str) -> str:
    parts = ["pytest_claude_latency", *Path(path).with_suffix("").parts]
    return ".".join(parts).removesuffix(".__init__")


def modules() -> dict[str, Path]:
    return {_module(path.relative_to(PACKAGE).as_posix()): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(source: str, known: frozenset[str]) -> Iterator[Import]:
    """Everything a module imports, in functions too; what stands under `if TYPE_CHECKING:` does not run."""
    tree = ast.parse(source)
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        for name in _names(node, known):
            yield Import(name, id(node) not in for_types)


def _names(node: ast.AST, known: frozenset[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        for alias in node.names:
            submodule = f"{node.module}.{alias.name}"
            yield submodule if submodule in known else str(node.module)


LAYERS = read_layers(MAP)
FILES = modules()
KNOWN = frozenset(FILES)
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer.modules}
IMPORTS = {module: tuple(imports(path.read_text("utf-8"), KNOWN)) for module, path in FILES.items()}


def test_every_module_stands_in_the_map_once() -> None:
    listed = [module for layer in LAYERS for module in layer.modules]

    assert sorted(listed) == sorted(FILES)


@pytest.mark.parametrize("module", sorted(RANK.keys() & FILES))
def test_imports_go_downward_only(module: str) -> None:
    own = [each.name for each in IMPORTS[module] if each.name in RANK]

    upward = {name for name in own if RANK[name] > RANK[module]}
    assert not upward, f"{module} ({LAYERS[RANK[module]].name}) imports from a layer above it"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        module: {each.name for each in found if each.runs and each.name in KNOWN} for module, found in IMPORTS.items()
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))


@pytest.mark.parametrize("module", sorted(RANK.keys() & FILES))
def test_a_layer_imports_from_outside_only_what_the_map_says(module: str) -> None:
    tops = {each.name.partition(".")[0] for each in IMPORTS[module]}

    foreign = tops - {"pytest_claude_latency"} - sys.stdlib_module_names
    assert foreign <= LAYERS[RANK[module]].outside


def test_imports_inside_functions_are_seen() -> None:
    source = "def late():\n    from pytest_claude_latency import case\n    import anthropic.types\n"

    assert list(imports(source, KNOWN)) == [
        Import("pytest_claude_latency.run.measured_item", True),
        Import("anthropic.types", True),
    ]


def test_imports_for_types_are_told_apart() -> None:
    source = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pytest_claude_latency.errors import LimitError\n"
    )

    assert Import("pytest_claude_latency.errors", False) in list(imports(source, KNOWN))
