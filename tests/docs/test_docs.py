"""The README and the docs: what they show runs, what they name exists, and what exists is named.

A block whose first line is a comment with a file name (`# tests/test_summary.py`) is a complete file. All those
files are one project, which is recorded and replayed here; those of the README are a project of their own too.
Other Python blocks are parts of a file, and compile. In a console block, lines after `$` are commands.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import pytest_claude_latency
from pytest_claude_latency import cli, strategies
from pytest_claude_latency.collection.selection import FIXTURES
from pytest_claude_latency.measurement.latency import Latency
from pytest_claude_latency.metrics.timeline import Call
from pytest_claude_latency.report.formats import parse_target
from pytest_claude_latency.strategies.envelope import Envelope
from tests.plugin.conftest import suite  # noqa: F401  # a fixture
from tests.plugin.suite import Suite
from tests.support.claude_messages import text
from tests.support.claude_server import ClaudeServer

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples/README.md"]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in PAGES}
README, REFERENCE = TEXTS["README.md"], TEXTS["docs/reference.md"]
LANGUAGES = ("python", "console", "text", "ini", "yaml")
FILE_NAME = re.compile(r"# ([\w/]+\.(?:py|ini))\n")


class Names(NamedTuple):
    """The names in `pytest --help` and `pytest --markers`."""

    options: set[str]
    ini_keys: set[str]
    markers: set[str]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Names:
    folder = tmp_path_factory.mktemp("names")
    output = {
        option: subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", option],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for option in ("--help", "--markers")
    }
    return Names(
        options=set(re.findall(r"^  (--(?:no-)?latency-[a-z-]+)", output["--help"], re.MULTILINE)),
        ini_keys=set(re.findall(r"^  (latency_[a-z_]+) \(", output["--help"], re.MULTILINE)),
        markers=set(re.findall(r"^@pytest\.mark\.(latency\w*(?:\(.*?\))?):", output["--markers"], re.MULTILINE)),
    )


class Block(NamedTuple):
    page: str
    line: int
    language: str
    code: str

    @property
    def file(self) -> str | None:
        """The path of the complete file that the block shows; `None` if it shows a part of one."""
        name = FILE_NAME.match(self.code)
        return name[1] if name else None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    return [
        Block(page, content.count("\n", 0, fence.start()) + 1, fence[1], fence[2])
        for page, content in TEXTS.items()
        for fence in re.finditer(r"^```(\w*)\n(.*?)^```$", content, re.MULTILINE | re.DOTALL)
        if fence[1] in languages
    ]


def commands() -> list[tuple[str, str]]:
    """Return each command in a console block, after the place that shows it."""
    return [
        (str(block), line) for block in blocks("console") for line in re.findall(r"^\$ (.*)$", block.code, re.MULTILINE)
    ]


def named(pattern: str, page: str) -> set[str]:
    """Return what the first cells of the page's tables name."""
    cells = re.findall(r"^\| (.*?) \|", page, re.MULTILINE)
    return {name for cell in cells for name in re.findall(pattern, cell)}


def section(title: str) -> str:
    """Return one section of the reference."""
    (_, rest) = REFERENCE.split(f"# {title}\n")
    return re.split(r"^##+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


# ── code ──


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_shown_compiles(block: Block) -> None:
    compile(block.code, str(block), "exec")


def test_a_file_shown_twice_is_the_same_file() -> None:
    shown: dict[str, set[str]] = {}
    for block in blocks("python", "ini"):
        if block.file:
            shown.setdefault(block.file, set()).add(block.code)

    assert {file for file, codes in shown.items() if len(codes) > 1} == set()


@pytest.mark.slow
def test_the_quick_start_of_the_readme_runs_as_printed_in_an_empty_folder(
    pytester: pytest.Pytester, claude_server: ClaudeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in blocks("python", "ini"):
        if block.page == "README.md" and block.file:
            path = pytester.path / block.file
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
    claude_server.answers(lambda request: text("A refund is due.", ttfb="5ms"))
    _, _, record, replay, *_ = [command for place, command in commands() if place.startswith("README.md:")]

    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-for-tests")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", claude_server.url)
    recorded = run_shown(record, pytester)
    claude_server.close()
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("ANTHROPIC_BASE_URL")
    replayed = run_shown(replay, pytester)

    recorded.assert_outcomes(passed=1)
    assert (pytester.path / "tests/cassettes/test_summary/test_summary_is_prompt.1.jsonl").exists()
    replayed.assert_outcomes(passed=1)
    replayed.stdout.fnmatch_lines(["*, 2 budgets: 2 kept *"])


def run_shown(command: str, pytester: pytest.Pytester) -> pytest.RunResult:
    """Run a `pytest` command as a user's shell does, so that Python does not look for modules in the current folder."""
    program, *arguments = shlex.split(command, comments=True)
    assert program == "pytest"
    return pytester.run(Path(sys.executable).with_name("pytest"), *arguments)


def test_the_project_shown_is_recorded_and_replayed_and_keeps_its_budgets(suite: Suite) -> None:  # noqa: F811  # the fixture
    files = {block.file: block.code for block in blocks("python") if block.file}  # `suite` has its own ini file
    for file, code in files.items():
        path = suite.path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(code.replace("settings(", "settings(max_examples=10, "), encoding="utf-8")
    suite.pytester.syspathinsert()
    suite.server.answers(
        lambda request: text("A refund is due.| It is paid within a week.", ttfb="5ms", gaps=["5ms", "5ms"])
    )

    recorded = suite.record("-m", "latency")
    suite.server.close()
    replayed = suite.replay()

    tests = sum(len(re.findall(r"^def test_", code, re.MULTILINE)) for code in files.values())
    recorded.assert_outcomes(passed=tests - 1, deselected=1)  # the property test makes its own answers
    replayed.assert_outcomes(passed=tests)
    promised = re.findall(r"^tests/cassettes/\S+\.jsonl$", TEXTS["docs/recording.md"], re.MULTILINE)
    assert set(suite.recordings()) >= {path for path in promised if "test_triage" not in path}
    assert "tests/cassettes/@shared/lamp.1.jsonl" in suite.recordings()


@pytest.mark.slow
def test_the_broken_budget_that_the_docs_show_is_what_a_user_sees(pytester: pytest.Pytester) -> None:
    examples = shutil.copytree(ROOT / "examples", pytester.path / "examples")
    application = examples / "support_desk" / "drafts.py"
    together = "await asyncio.gather(*(_draft(client, ticket, tone) for tone in tones))"
    source = application.read_text("utf-8")
    application.write_text(source.replace(together, "[await _draft(client, ticket, tone) for tone in tones]"), "utf-8")

    result = pytester.runpytest_subprocess("--latency-budget", "examples", "-k", "side_by_side")

    (shown,) = [block for block in blocks("text") if "test_drafts_are_written_side_by_side.1" in block.code]
    assert together in source
    assert shown.code in result.stdout.str() + "\n"


@pytest.mark.slow
def test_the_fallback_of_the_readme_takes_as_long_as_it_says_and_passes_when_mended(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = [block.code for block in blocks("python") if block.page == "README.md" and "rate_limited(" in block.code]
    (command,) = re.findall(r"`(pytest .*test_fallback\.py)`", README)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)

    (pytester.path / "test_fallback.py").write_text(code, encoding="utf-8")
    slow = run_shown(command, pytester)
    mended = code.replace("anthropic.Anthropic()", "anthropic.Anthropic(max_retries=0)")
    (pytester.path / "test_fallback.py").write_text(mended, encoding="utf-8")
    quick = run_shown(command, pytester)

    (shown,) = [block for block in blocks("text") if block.page == "README.md"]
    slow.assert_outcomes(passed=1, failed=1)
    assert shown.code in slow.stdout.str()
    quick.assert_outcomes(passed=2)
    quick.stdout.fnmatch_lines(["*1.000s/5s*kept, simulated"])


def test_the_fallback_of_the_readme_is_shown_alike_on_the_page_of_faults_and_in_chinese() -> None:
    pages = {"README.md", "docs/faults.md", "docs/zh-CN/faults.md"}
    code = {block.page: block.code for block in blocks("python") if "def test_rate_limit" in block.code}
    shown = {block.page: block.code for block in blocks("text") if "elapsed was 61.000s" in block.code}

    assert set(code) == set(shown) == pages
    assert len(set(code.values())) == len(set(shown.values())) == 1


@pytest.mark.parametrize(
    ("page", "translation"),
    [
        ("docs/index.md", "docs/zh-CN/quick-start.md"),
        ("docs/reduce-latency.md", "docs/zh-CN/reduce-latency.md"),
        ("docs/faults.md", "docs/zh-CN/faults.md"),
        ("docs/simulation.md", "docs/zh-CN/simulation.md"),
        ("docs/what-if.md", "docs/zh-CN/what-if.md"),
    ],
)
def test_a_translation_shows_the_same_code_commands_and_numbers(page: str, translation: str) -> None:
    shown = [(block.language, block.code) for block in blocks(*LANGUAGES) if block.page == page]
    translated = [(block.language, block.code) for block in blocks(*LANGUAGES) if block.page == translation]

    assert shown
    assert translated == shown
    assert rows_of_numbers(translation) == rows_of_numbers(page)


def rows_of_numbers(page: str) -> list[str]:
    """Return the table rows of the page that say what was measured."""
    return re.findall(r"^\| `\w+` \| [\d.]+m?s \|.*$", TEXTS[page], re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in TEXTS if page.startswith("docs/zh-CN/")])
def test_a_translation_and_its_page_lead_to_each_other(page: str) -> None:
    (link,) = re.findall(r"^\[English\]\((.*)\)$", TEXTS[page], re.MULTILINE)
    original = (ROOT / page).parent.joinpath(link).resolve().relative_to(ROOT).as_posix()

    assert f"[中文]({page.removeprefix('docs/')})" in TEXTS[original]


# ── commands ──


@pytest.mark.parametrize(("place", "command"), commands())
def test_commands_shown_are_understood(place: str, command: str, pytester: pytest.Pytester) -> None:
    program, *arguments = shlex.split(command, comments=True)
    if program == "pytest":
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        options = [argument for argument in arguments if not argument.startswith(("tests", "examples"))]
        result = pytester.runpytest("--collect-only", *options)
        assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED, f"{place}\n{result.stderr}"
    elif program == "claude-latency" and arguments != ["demo"]:  # which needs nothing to work on, and takes a while
        pytester.mkdir("tests")
        assert cli.main(arguments) in {1, 2}, place  # understood, though there is nothing here for it to work on
    else:
        assert program.removeprefix(".venv/bin/") in {
            "claude-latency",
            "pip",
            "export",
            "git",
            "python",
            "nox",
            "bash",
        }, place


def test_the_readme_shows_two_commands_to_try() -> None:
    main_job, tests = (block.code for block in blocks("bash") if block.page == "README.md")

    assert "--latency-budget examples" in main_job
    assert '".[test]"' in tests
    assert all(command.startswith("python3 -m venv ") and command.count("\n") == 1 for command in (main_job, tests))


@pytest.mark.parametrize("page", TEXTS)
def test_options_and_ini_keys_named_anywhere_exist(page: str, names: Names) -> None:
    options = set(re.findall(r"--(?:no-)?latency-[a-z-]*[a-z]", TEXTS[page]))
    keys = set(re.findall(r"(?<![\w@./])latency_[a-z_]++(?!\(|\.py)", TEXTS[page]))

    assert options <= names.options
    assert keys <= names.ini_keys | {"latency_budget", "latency_cassette", "latency_answers"}


@pytest.mark.parametrize("page", TEXTS)
def test_report_targets_named_anywhere_are_understood(page: str) -> None:
    for target in re.findall(r"--latency-report=([^\s`]+)", TEXTS[page]):
        if target != "FILE":
            parse_target(target)


@pytest.mark.parametrize("page", [page for page in TEXTS if not page.startswith("docs/")])
def test_links_between_files_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", TEXTS[page]):
        assert (ROOT / page).parent.joinpath(target).exists(), target


# ── the reference ──


def test_the_reference_has_every_option_and_no_other(names: Names) -> None:
    assert named(r"`(--[a-z-]+)", section("Options")) == names.options


def test_the_reference_has_every_ini_key_and_no_other(names: Names) -> None:
    rows = section("Options") + section("Ini keys without an option")

    assert set(re.findall(r"^\|[^|]*?(?:\|[^|]*?)?`(latency_\w+)` \|", rows, re.MULTILINE)) == names.ini_keys


def test_the_reference_has_every_marker_as_pytest_shows_it(names: Names) -> None:
    assert set(re.findall(r"^`(latency.*)`$", section("Markers"), re.MULTILINE)) == names.markers


def test_the_reference_has_every_fixture() -> None:
    assert named(r"^`(\w+)`$", section("Fixtures")) == FIXTURES


def test_the_reference_has_every_field_of_a_call_in_its_order() -> None:
    shown = re.findall(r"^\| `(\w+)` \|", section("`Call`"), re.MULTILINE)

    assert shown == [field.name for field in dataclasses.fields(Call)]


def test_the_reference_has_everything_a_test_can_ask_of_its_measurements() -> None:
    public = {name for name in vars(Latency) if not name.startswith("_")}

    assert named(r"`\.(\w+)", section("`Latency`")) == public


def test_the_reference_has_every_public_name() -> None:
    names = section("Public names")
    shown = named(r"`([A-Za-z]+)`", names)

    assert shown == set(pytest_claude_latency.__all__)
    assert set(re.findall(r"`(\w+)`", names.partition("latency.strategies`:")[2].splitlines()[0])) == set(
        strategies.__all__
    )


def test_the_arguments_of_strategies_shown_are_theirs_with_their_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", TEXTS["docs/property-tests.md"], re.MULTILINE)
    parameters = {**inspect.signature(strategies.recordings).parameters, **inspect.signature(Envelope.of).parameters}
    del parameters["answer"]

    assert {name for name, _ in rows} == set(parameters)
    assert all(
        ast.literal_eval(default.strip("`")) == parameters[name].default
        for name, default in rows
        if default.startswith("`")
    )


# ── architecture ──


def test_the_architecture_has_a_row_for_each_folder_and_names_files_that_exist() -> None:
    page, package = TEXTS["docs/architecture.md"], ROOT / "pytest_claude_latency"
    folders = {path.parent.relative_to(package).as_posix() for path in package.rglob("*/__init__.py")}
    files = re.findall(r"`([a-z_/]+\.py)`", page)

    assert named(r"^`([a-z_/]+)/`$", page) == folders - {"."}
    assert [file for file in files if not (package / file).exists() and not (ROOT / file).exists()] == []


# ── messages ──


def test_the_messages_explained_are_those_the_package_says() -> None:
    messages = {text for path in (ROOT / "pytest_claude_latency").rglob("*.py") for text in texts(path)}

    for block in blocks("text"):
        if block.page == "docs/troubleshooting.md":
            shown = block.code.rstrip("… \n")
            assert any(fits(message, shown) or fits(shown, message) for message in messages), block


def fits(pattern: str, text: str) -> bool:
    """Return whether the text begins as the pattern says, whose `…` stand for anything; short patterns fit nothing."""
    start, *parts = pattern.split("…")
    if len(start) + sum(map(len, parts)) <= 15 or not text.startswith(start):
        return False
    at = len(start)
    for part in parts:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


def texts(path: Path) -> Iterator[str]:
    """Yield every text in a module, with `…` for what it fills in."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{[\w.!]+\}", "…", node.value)  # what `format` fills in
