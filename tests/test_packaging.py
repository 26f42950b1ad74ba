"""The wheel and its entry points, and what a run without latency tests has to load."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import Distribution, entry_points
from pathlib import Path

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"anthropic", "httpx", "httpx2", "hypothesis", "jinja2", "msgspec", "respx", "trio", "uvloop"}

BUILD = """
import sys
from hatchling.build import build_sdist, build_wheel
print(build_sdist(sys.argv[1]))
print(build_wheel(sys.argv[1]))
"""

PUBLIC = {
    "pytest_claude_latency": [
        "Answer",
        "BudgetExceeded",
        "Call",
        "CassetteError",
        "CassetteWriteError",
        "CredentialError",
        "Latency",
        "LatencyError",
        "LimitError",
        "Recording",
        "play",
    ],
    "pytest_claude_latency.strategies": ["answers", "chunkings", "exchanges", "faults", "recordings"],
    "pytest_claude_latency.faults": [
        "Fault",
        "FaultError",
        "dropped",
        "failing",
        "malformed",
        "overloaded",
        "overloaded_midstream",
        "rate_limited",
        "refused",
        "slower",
        "stalled",
        "trickled",
        "truncated",
        "unanswered",
    ],
    "pytest_claude_latency.plugin": ["async_claude_client", "claude_client", "claude_latency"],
    "pytest_claude_latency.cli": ["main"],
}
"""The import paths that users may rely on. Everything else is private."""

LOADED = "import json, sys; print('\\n' + json.dumps(sorted(sys.modules)))"

IN_EVERY_RUN = {
    "collection.selection",
    "http.guard.names",
    "options.declaring",
    "options.table",
    "plugin",
    "run.beginning",
    "run.fixtures",
    "run.reporting.reporter",
    "run.stash_keys",
    "virtual_time.clock",
    "virtual_time.patches.blocking.plain_locks",
    "virtual_time.patches.exempt_callers",
    "virtual_time.patches.import_hook",
    "virtual_time.patches.patching",
    "virtual_time.patches.stand_ins",
    "virtual_time.patches.time_functions",
    "virtual_time.scheduling.real_clock",
    "virtual_time.scheduling.table",
}
"""The modules that a run without latency tests may load: each costs every run of every suite."""

WHERE_IT_IS_LOADED = {"virtual_time.patches.blocking.simple_queue": "queue"}
"""Modules that stand in for a module of Python's, which pytest or another plugin may load."""

FOLDERS_IN_EVERY_RUN = 11
"""Each is a module too."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Build the source distribution and the wheel, as an installer does."""
    folder = tmp_path_factory.mktemp("built")
    build = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [folder / name for name in build.stdout.split()]


def loaded(*arguments: str, folder: Path | None = None) -> set[str]:
    """Return the modules that a new interpreter has loaded when it runs the code `LOADED`."""
    run = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    (modules,) = [line for line in run.stdout.splitlines() if line.startswith("[")]
    return set(json.loads(modules))


def test_the_wheel_has_the_package_with_its_types_and_nothing_else(built: list[Path]) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())

    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pytest_claude_latency").rglob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == package | {
        "pytest_claude_latency/py.typed",
        "pytest_claude_latency/simulation/profiles.json",
        *(
            f"pytest_claude_latency/report/faces/page/{name}"
            for name in ("drawing.css", "page.css", "page.js", "page.html.j2")
        ),
    }


def test_the_public_names_are_in_the_wheel(built: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        archive.extractall(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # before the checkout, which is installed too
    lines = ["import sys"]
    for module, names in PUBLIC.items():
        lines.append(f"from {module} import {', '.join(names)}")
        lines.append(f"print(sys.modules[{module!r}].__file__)")

    run = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert all(Path(line).is_relative_to(tmp_path) for line in run.stdout.splitlines())
    wheel = Distribution.at(next(tmp_path.glob("*.dist-info")))
    assert {(point.group, point.name, point.value) for point in wheel.entry_points} == {
        ("pytest11", "claude_latency", "pytest_claude_latency.plugin"),
        ("console_scripts", "claude-latency", "pytest_claude_latency.cli:main"),
    }


def test_no_public_name_is_left_out_of_the_list() -> None:
    import pytest_claude_latency
    from pytest_claude_latency import strategies

    assert sorted(pytest_claude_latency.__all__) == PUBLIC["pytest_claude_latency"]
    assert sorted(strategies.__all__) == PUBLIC["pytest_claude_latency.strategies"]


def test_the_source_distribution_has_all_that_its_tests_need(built: list[Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {
        "README.md",
        "LICENSE",
        "docs/architecture.md",
        "examples/support_desk/drafts.py",
        "pytest_claude_latency/py.typed",
        "tests/support/claude_server.py",
    } <= names


@pytest.mark.parametrize("server", ["https://git.example", None], ids=["on GitHub", "elsewhere"])
def test_links_of_the_readme_to_files_lead_into_the_repository_or_are_none(
    server: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
    monkeypatch.setenv("GITHUB_SERVER_URL", server) if server else monkeypatch.delenv("GITHUB_SERVER_URL", False)

    text = ProjectMetadata(str(ROOT), PluginManager()).core.readme

    targets = re.findall(r"\]\(([^)]*)\)", text)
    files = [re.sub(rf"^{server}/owner/name/(blob|raw)/HEAD/", "", target) for target in targets]
    assert bool(files) == bool(server)
    assert all((ROOT / file).is_file() for file in files)
    assert "troubleshooting" in text


def test_pytest_finds_the_plugin_by_its_name() -> None:
    (point,) = entry_points(group="pytest11", name="claude_latency")

    assert point.load().__name__ == "pytest_claude_latency.plugin"


def test_the_command_is_installed() -> None:
    (point,) = entry_points(group="console_scripts", name="claude-latency")

    with pytest.raises(SystemExit) as ended:
        point.load()(["--help"])
    assert ended.value.code == 0


def test_users_need_these_packages_besides() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    names = {re.split("[<>=]", requirement)[0] for requirement in project["dependencies"]}
    assert names == {
        "pytest",
        "anthropic",
        "respx",
        "httpx",  # below 1, for respx
        "hypothesis",
        "jinja2",
        "msgspec",
    }


@pytest.mark.parametrize("module", ["pytest_claude_latency", "pytest_claude_latency.plugin"])
def test_importing_it_loads_neither_the_sdk_nor_what_is_built_on_it(module: str) -> None:
    before = loaded("-c", LOADED)
    after = loaded("-c", f"import {module}; {LOADED}")

    assert not (after - before) & HEAVY


def test_a_run_without_latency_tests_loads_none_of_it_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_plain.py").write_text(f"def test_plain(capsys):\n    with capsys.disabled():\n        {LOADED}\n")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins may load what they like

    modules = loaded("-m", "pytest", "-p", "pytest_claude_latency.plugin", folder=tmp_path)

    own = {name.removeprefix("pytest_claude_latency.") for name in modules if name.startswith("pytest_claude_latency.")}
    folders = {name.rpartition(".")[0] for name in own} - {""} | {"virtual_time.patches", "virtual_time.scheduling"}
    optional = {name for name, of_python in WHERE_IT_IS_LOADED.items() if of_python in modules}
    assert own - folders - optional == IN_EVERY_RUN
    assert len(folders) <= FOLDERS_IN_EVERY_RUN
    assert not modules & HEAVY


@pytest.mark.parametrize("name", ["Call", "Latency", "Recording", "play", "BudgetExceeded", "LimitError"])
def test_public_names_resolve_when_they_are_first_used(name: str) -> None:
    import pytest_claude_latency

    assert getattr(pytest_claude_latency, name).__name__ == name
    assert name in dir(pytest_claude_latency)


def test_a_name_it_does_not_have_is_an_attribute_error() -> None:
    import pytest_claude_latency

    with pytest.raises(AttributeError, match="has no attribute 'recordings'"):
        _ = pytest_claude_latency.recordings


def test_it_can_be_switched_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "def test_it(request):\n    assert not request.config.pluginmanager.hasplugin('claude_latency')\n"
    )

    without = pytester.runpytest_subprocess("-p", "no:claude_latency")
    refused = pytester.runpytest_subprocess("-p", "no:claude_latency", "--latency-budget")

    without.assert_outcomes(passed=1)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
