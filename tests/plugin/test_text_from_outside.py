"""What a recording or an answer holds is shown, and does nothing: in the terminal, in reports, in the command."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from html import unescape

import pytest

from pytest_claude_latency.cli.command import main
from pytest_claude_latency.options.table import OPTIONS as TABLE
from pytest_claude_latency.report import exports
from tests.plugin.suite import Suite
from tests.support.claude_answers import json_answer, status
from tests.support.some_baseline import live, replayed, save
from tests.support.some_call import some_call

EVIL = "x\x1b]0;owned\x07\n::error file=app.py::evil \u202e##[group]"
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]|^\\s*::error|##\\[", re.MULTILINE)


@pytest.fixture
def evil(suite: Suite) -> Suite:
    """A recording whose every text is hostile, of a test with a broken budget and one whose call is refused."""
    suite.write(
        """
@pytest.mark.latency_budget(ttft="1ms")
def test_it():
    ask()
    with pytest.raises(anthropic.APIStatusError):
        ask("more", anthropic.Anthropic(max_retries=0))

def test_miss(claude_latency):
    ask()
"""
    )
    body = {"max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], "model": "claude-haiku-4-5"}
    answer: dict[str, object] = {"id": "m", "type": "message", "role": "assistant", "model": EVIL, "stop_reason": EVIL}
    answer |= {"content": [{"type": "text", "text": EVIL}], "usage": {"input_tokens": 1, "output_tokens": 1}}
    refused = {"type": "error", "error": {"type": EVIL, "message": EVIL}}
    head = {"format": "claude-latency-cassette", "version": 1, "sample": 1, "recorded": "2026-11-22T11:30:00.000Z"}
    url, headers = "https://api.anthropic.com/v1/messages", {"content-type": "application/json", "retry-after": EVIL}
    exchanges = [(200, body, answer), (529, body | {"messages": [{"role": "user", "content": "more"}]}, refused)]
    lines: list[dict[str, object]] = [head | {"test": f"test_it.py::{EVIL}", "anthropic": EVIL}]
    for number, (code, asked, told) in enumerate(exchanges, 1):
        lines.append({"request": number, "at": number * 100.0, "method": "POST", "url": url, "json": asked})
        lines.append({"response": number, "at": 10.0, "status": code, "headers": headers})
        lines.append({"chunk": number, "at": 11.0, "text": json.dumps(told)})
        lines.append({"end": number, "at": 12.0})
    _write(suite, "test_it", lines)
    lines[1:] = [line for line in lines[1:] if 1 in (line.get("request"), line.get("end"))]
    _write(suite, "test_miss", [*lines[:1], lines[1] | {"json": body | {EVIL: EVIL, "model": EVIL}}, lines[2]])
    return suite


def _write(suite: Suite, test: str, lines: list[dict[str, object]]) -> None:
    path = suite.path / "cassettes" / "test_it" / f"{test}.1.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_the_run_and_its_reports_show_escapes(evil: Suite) -> None:
    files = ["r.md", "r.html", "r.json", "r.trace.json"]

    result = evil.replay("-v", "--latency-explain", *(f"--latency-report={file}" for file in files))

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines([r"*x\x1b?0;owned\x07\n::error file=app.py::evil \u202e#\x23?group?*"])
    for text in (result.stdout.str(), *((evil.path / file).read_text("utf-8") for file in files)):
        assert UNSEEN.findall(text) == []


def test_what_goes_to_opentelemetry_shows_escapes(evil: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")
    from tests.support.otlp_endpoint import serving, told

    with serving() as endpoint:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.url)
        shown = evil.replay("--latency-otel").stdout.str()

    texts = [f"{span.name} {told(span.attributes)}" for span in endpoint.spans]
    assert any(r"\x1b" in text for text in texts)
    assert UNSEEN.findall("\n".join([shown, *texts])) == []


ONE, OTHER = (f"cassettes/test_it/{name}.1.jsonl" for name in ("test_it", "test_miss"))
ON_THESE = {
    "explain": ["explain", "."],
    "explain a report": ["explain", "report.json"],
    "explain as Markdown": ["explain", ".", "--format=markdown"],
    "explain as JSON": ["explain", ".", "--format=json"],
    "check": ["check", "--no-collect", "."],
    "suggest": ["suggest", "report.json"],
    "show": ["show", "."],
    "diff": ["diff", ONE, OTHER],
    "diff on a report": ["diff", ONE, "report.json"],
    "profile": ["profile", "."],
    "drift": ["drift", "."],
    "drift as Markdown": ["drift", ".", "--format=markdown"],
    "drift as JSON": ["drift", ".", "--format=json"],
    "no drift": ["drift", "--dry-run", "."],
    "report": ["report", "report.json", *(f"-o{form}:written" for form in ("html", "markdown", "json", "trace"))],
}


@pytest.mark.parametrize("command", ON_THESE.values(), ids=ON_THESE)
def test_the_command_shows_escapes(
    evil: Suite, command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evil.replay()
    capsys.readouterr()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-for-tests")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", evil.server.url)
    evil.server.answers(lambda request: status(400, message=EVIL))

    main(command)

    shown = capsys.readouterr()
    assert shown.out + shown.err
    assert UNSEEN.findall(shown.out + shown.err) == []
    for path in evil.path.glob("written*"):
        assert UNSEEN.findall(path.read_text("utf-8")) == []


def test_an_annotation_of_github_is_ours_and_nothing_else(evil: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    shown = evil.replay("--latency-explain").stdout.str()

    annotations = re.findall("^::.*$", shown, re.MULTILINE)
    assert annotations
    assert not any(re.match("::error file=app.py::", line) for line in annotations)
    assert UNSEEN.findall("\n".join(line.removeprefix("::") for line in shown.splitlines())) == []


def test_a_page_of_pytest_html_shows_escapes(evil: Suite) -> None:
    pytest.importorskip("pytest_html")

    evil.replay("--html=page.html", "--self-contained-html")

    blob = re.search(r'data-jsonblob="([^"]*)"', (evil.path / "page.html").read_text("utf-8"))
    assert blob is not None
    for tests in json.loads(unescape(blob[1]))["tests"].values():
        for cell in tests[0]["resultsTableRow"]:
            assert UNSEEN.findall(cell) == []


RUNS = {
    "judged": ["-rA", "--latency-strict", "--junitxml=junit.xml"],
    "in workers": pytest.param(["-n", "1", "-v"], marks=pytest.mark.slow),
    "simulated": ["--latency-simulate=2"],
    "what if": ["--latency-what-if"],
    "with other times": ["--latency-what-if-change=ttft*0.5", "--latency-seed=2"],
    "with a fault": ["--latency-fault=overloaded()"],
    "with variants": ["--latency-variants", "--latency-budget", "--latency-report-content", "--latency-report=r.md"],
    "suggested": ["--latency-suggest", "--latency-limits=total<1us"],
    "saved": ["--latency-save=main"],
    "in real time": ["--latency-clock=real"],
    "compared": ["--latency-save=main", "--latency-compare=main"],
    "faults and findings": ['--latency-fault=truncated(after="1 tokens")', "--latency-explain", "-v"],
    "long messages": ["-vv", "--tb=long", "--showlocals"],
}


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_each_kind_of_run_shows_escapes(evil: Suite, options: list[str]) -> None:
    result = evil.replay(*options)

    texts = [result.stdout.str(), result.stderr.str()]
    texts += [path.read_text("utf-8") for path in evil.path.glob("*.xml")]
    for text in texts:
        assert UNSEEN.findall(text) == []


def test_variants_show_escapes(suite: Suite) -> None:
    suite.write(
        f"""
@pytest.mark.latency_variants(model=["claude-haiku-4-5", {EVIL!r}])
@pytest.mark.latency_budget(ttft="1us")
def test_it():
    ask()
"""
    )

    for run in (suite.record, suite.replay):
        ran = run("--latency-variants", "-v", "--latency-report=r.md", "--junitxml=junit.xml")

        texts = [ran.stdout.str(), *((suite.path / file).read_text("utf-8") for file in ("r.md", "junit.xml"))]
        assert "owned" in texts[0]
        assert UNSEEN.findall("\n".join(texts)) == []


def test_a_run_that_records_shows_escapes(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_budget(ttft="1us")
def test_it():
    ask(model=EVIL)

@pytest.mark.latency_budget(ttft="1us")
def test_refused():
    with pytest.raises(anthropic.APIStatusError):
        ask("refused", anthropic.Anthropic(max_retries=0))
""".replace("EVIL", repr(EVIL))
    )
    answer: dict[str, object] = {
        "id": EVIL,
        "type": "message",
        "role": "assistant",
        "model": EVIL,
        "stop_reason": EVIL,
        "stop_sequence": EVIL,
    }
    answer |= {"content": [{"type": "text", "text": EVIL}], "usage": {"input_tokens": 1, "output_tokens": 1}}
    suite.server.answers(
        lambda request: status(400, message=EVIL) if b"refused" in request.content else json_answer(answer)
    )

    for mode in ("record", "record-missing", "live"):
        ran = suite.record("--latency-budget", "-v", "--latency-explain", "--latency-samples=2", mode=mode)

        assert UNSEEN.findall(ran.stdout.str() + ran.stderr.str()) == []
    replayed = suite.replay("-v", "--latency-explain", "--junitxml=junit.xml")

    assert UNSEEN.findall(replayed.stdout.str() + (suite.path / "junit.xml").read_text("utf-8")) == []


@pytest.mark.parametrize("number", range(4))
def test_what_is_wrong_with_a_recording_is_shown_with_escapes(
    evil: Suite, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = evil.path / "cassettes" / "test_it" / "test_it.1.jsonl"
    lines = path.read_text().splitlines()
    for damaged in ({EVIL: 1}, {**json.loads(lines[number]), EVIL: EVIL}, {**json.loads(lines[number]), "at": EVIL}):
        path.write_text("\n".join([*lines[:number], json.dumps(damaged), *lines[number + 1 :], ""]))
        ran = evil.replay("--junitxml=junit.xml")
        capsys.readouterr()

        for command in (["check", "--no-collect", "."], ["explain", "."], ["profile", "."]):
            main(command)

        shown = capsys.readouterr()
        junit = (evil.path / "junit.xml").read_text("utf-8")
        assert UNSEEN.findall(ran.stdout.str() + junit + shown.out + shown.err) == []


COMMANDS = {
    "list": ["list"],
    "compare": ["compare", "before", "after"],
    "as markdown": ["compare", "before", "after", "--format=markdown", "--all"],
    "as json": ["compare", "before", "after", "--format=json"],
    "as text": ["compare", "before", "after", "--all"],
    **{f"export for {form}": ["export", "before", f"--format={form}"] for form in exports.FORMATS},
    "merge": ["merge", "before", "live", "--output", EVIL.replace("/", "")],
    "no such baseline": ["compare", EVIL, "after"],
    "no such folder": ["list", EVIL],
    "no such recording": ["explain", EVIL],
    "no such report": ["suggest", EVIL],
    "nothing to check": ["check", EVIL],
    "nothing to fit": ["profile", EVIL],
    "an empty folder": ["explain", "evil"],
    "a demo in the way": ["demo", EVIL],
    "no such option": ["check", f"--{EVIL}"],
    "no such command": [EVIL],
    "no such ratio": ["compare", "before", "after", f"--min-ratio={EVIL}"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_commands_on_baselines_and_names_show_escapes(
    suite: Suite, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    test = f"test_it.py::test[{EVIL}]"
    slow = some_call(model=EVIL, stop_reason=EVIL, error=EVIL, total=9.0)
    save(suite.path, "before", replayed(test), replayed(f"{EVIL}.py::test"))
    save(suite.path, "after", replayed(test, slow, elapsed=9.0), replayed("test_it.py::test_new"))
    save(suite.path, "live", live(f"test_it.py::test_live[{EVIL}]", [1.0, 2.0]))
    (suite.path / ".latency" / "damaged.jsonl").write_text(json.dumps({EVIL: EVIL}))
    (suite.path / EVIL.replace("/", "")).mkdir()
    (suite.path / EVIL.replace("/", "") / "file").touch()

    with suppress(SystemExit):
        main(command)

    shown = capsys.readouterr()
    assert shown.out + shown.err
    assert UNSEEN.findall(shown.out + shown.err) == []


def test_each_command_and_each_of_its_formats_is_driven(capsys: pytest.CaptureFixture[str]) -> None:
    driven = [tuple(command) for command in (*ON_THESE.values(), *COMMANDS.values())]
    with suppress(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    (\w+)", capsys.readouterr().out, re.MULTILINE)

    assert len(commands) > 10
    for command in commands:
        with suppress(SystemExit):
            main([command, "--help"])
        formats = re.search(r"--format \{([^}]+)\}", capsys.readouterr().out)
        arguments = {argument for other in driven if other[0] == command for argument in other}
        assert arguments, command
        for form in formats[1].split(",") if formats else ():
            assert f"--format={form}" in arguments or form == "text", (command, form)


OPTIONS = ("mode", "samples", "clock", "cassettes", "limits", "report", "save", "compare", "tolerance", "min-ratio")
MORE_OPTIONS = ("min-shift", "fault", "simulate", "seed", "what-if-change")
SWITCHES_OF_LIVE_RUNS = {"ab"}
"""Switches that no replay has: `tests/plugin/test_latency_ab.py` and the run that records show what they say."""


@pytest.mark.parametrize("option", OPTIONS + MORE_OPTIONS)
def test_an_option_that_is_not_understood_is_shown_with_escapes(suite: Suite, option: str) -> None:
    suite.write("def test_it(claude_latency): pass")

    ran = suite.run(f"--latency-{option}={EVIL}")

    assert UNSEEN.findall(ran.stdout.str() + ran.stderr.str()) == []


KEYS = (
    *("mode", "samples", "clock", "limits", "report", "redact", "endpoints", "date", "prices", "profiles", "budget"),
    *("keep-headers", "fault", "what-if-change", "cassettes", "tolerance", "min-ratio", "min-shift", "seed"),
)


@pytest.mark.parametrize("key", KEYS)
def test_an_ini_key_that_is_not_understood_is_shown_with_escapes(suite: Suite, key: str) -> None:
    suite.write("def test_it(claude_latency): pass")
    suite.ini(f"latency_{key.replace('-', '_')} = ({EVIL}")

    ran = suite.run()

    assert UNSEEN.findall(ran.stdout.str() + ran.stderr.str()) == []


def test_each_option_is_driven() -> None:
    runs = " ".join(str(arguments) for arguments in RUNS.values())

    switches = {option.name for option in TABLE if option.metavar is None and option.kind != "ini key only"}
    valued = {option.name for option in TABLE if option.metavar is not None}
    keys = {option.name for option in TABLE if option.metavar is None and option.kind == "ini key only"}

    assert {name for name in switches if f"--latency-{name}" not in runs} == SWITCHES_OF_LIVE_RUNS | {"otel"}
    assert valued == {*OPTIONS, *MORE_OPTIONS}
    assert keys - {"placeholder-key"} <= set(KEYS)
