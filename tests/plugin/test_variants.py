"""`--latency-variants`: a test that is tried with other request bodies, and its report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_RECORDED
from pytest_claude_latency.messages_api.endpoints import is_prompt_call
from pytest_claude_latency.messages_api.exchange import Request, header
from pytest_claude_latency.run.messages import NOTHING_VARIED
from tests.plugin.suite import Suite, as_shown, whole_lines
from tests.support.claude_answers import Answer, status
from tests.support.claude_messages import text

SONNET, OPUS, HAIKU = "claude-sonnet-4-6", "claude-opus-4-6", "claude-haiku-4-5"

TRIED = """
@pytest.mark.latency_variants(model=["claude-sonnet-4-6", "claude-opus-4-6"], temperature=[0.2])
@pytest.mark.latency_budget(total="3s")
def test_it():
    assert stream() == "Hello world"
"""
TEST = "test_it.py::test_it"
BY_SONNET, BY_OPUS = (f"~model={model},temperature=0.2" for model in (SONNET, OPUS))

LABELS = """
@pytest.mark.latency_variants([{"max_tokens": 50}])
@pytest.mark.parametrize("language", ["en", "de"])
def test_label(language):
    ask(language)


@pytest.mark.latency_variants({"output_config.effort": ["low"]})
class TestCase(unittest.TestCase):
    def setUp(self):
        self.ready = True

    def test_case(self):
        assert self.ready
        ask()


@pytest.mark.latency_variants(max_tokens=[50])
async def test_async(async_claude_client):
    await aask(client=async_claude_client)
    await aask(client=async_claude_client)


def test_other(claude_latency):
    ask()
"""


def by_model(request: Request) -> Answer | None:
    """Haiku is slow, Sonnet is fast, Opus says something else."""
    if not is_prompt_call(request):
        return None
    model = request.json["model"]
    if model == OPUS:
        return text("Bye", model=model)
    return text("Hello wor|ld", ttfb="1ms" if model == SONNET else "200ms", model=model)


@pytest.fixture
def tried(suite: Suite) -> Suite:
    """A suite whose test was recorded as it is written and in both its variants."""
    suite.server.answers(by_model)
    suite.write(TRIED)
    suite.once(suite.record, "--latency-variants").assert_outcomes(passed=2, xfailed=1)
    return suite


def ran(result: pytest.RunResult) -> dict[str, str]:
    """The tests that ran, and how `-v` says they ended."""
    lines = [line.split() for line in result.outlines if line.startswith("test_it.py::")]
    return {
        line[0].partition("::")[2]: line[1] for line in lines if len(line) > 1 and line[1].isupper() and line[1] != "-"
    }


def bodies(suite: Suite) -> list[Any]:
    """What was asked, but for requests that only open a connection."""
    return [request.json for request in suite.server.requests if request.method == "POST"]


def variants(suite: Suite) -> dict[str, Any]:
    """What the report says of the one test that was tried, its candidates by their names."""
    (ranking,) = suite.report["variants"]
    return {candidate["variant"] or "as written": candidate for candidate in ranking["tried"]}


# ── what runs ──


def test_fields_are_replaced_on_the_wire_and_the_application_does_not_notice(suite: Suite) -> None:
    suite.write(
        """
SENT = []


@pytest.mark.latency_variants([{"model": "claude-sonnet-4-6", "thinking.type": "disabled", "max_tokens": None}])
def test_it(claude_latency):
    with anthropic.Anthropic() as client:
        answer = client.messages.with_raw_response.create(
            model="claude-haiku-4-5", max_tokens=100, messages=messages("größe"), extra_headers={"x-app": "mine"}
        )
    asked = answer.http_response.request
    SENT.append((asked.content, asked.headers["content-length"]))
    assert SENT == SENT[:1] * len(SENT)
    save_result([call.model for call in claude_latency.calls])
"""
    )
    suite.server.answers(by_model)

    suite.record("--latency-variants").assert_outcomes(passed=2)

    written, changed = suite.server.requests
    unchanged = {name: value for name, value in written.json.items() if name != "max_tokens"}
    assert changed.json == unchanged | {"model": SONNET, "thinking": {"type": "disabled"}}
    assert header(changed.headers, "content-length") == str(len(changed.content))
    same = [
        {name: value for name, value in request.headers if name.lower() != "content-length"}
        for request in (written, changed)
    ]
    assert same[0] == same[1]
    assert suite.saved_result == [SONNET]


def test_each_variant_has_recordings_of_its_own_that_replay(tried: Suite) -> None:
    sent = bodies(tried)
    tried.server.close()

    result = tried.replay("--latency-variants", "-v")

    assert tried.recordings() == [f"cassettes/test_it/test_it{variant}.1.jsonl" for variant in ("", BY_OPUS, BY_SONNET)]
    assert [(body["model"], body.get("temperature")) for body in sent] == [(HAIKU, None), (SONNET, 0.2), (OPUS, 0.2)]
    assert ran(result) == {
        "test_it": "PASSED",
        f"test_it[{BY_SONNET}]": "PASSED",
        f"test_it[{BY_OPUS}]": "XFAIL",
    }
    assert [test["calls"][0]["model"] for test in tried.report["tests"]] == [HAIKU, OPUS, SONNET]


def test_without_the_option_only_the_test_as_written_runs(tried: Suite) -> None:
    result = tried.replay("-v")

    assert ran(result) == {"test_it": "PASSED"}
    assert "variants" not in tried.report


def test_variants_stand_behind_parameters_and_before_samples(suite: Suite) -> None:
    suite.write(LABELS)

    result = suite.record("--latency-variants", "--latency-samples=2", "-v", "-o", "asyncio_mode=auto")
    one = suite.replay("-o", "latency_variants=true", "-v", "test_it.py::test_label[en-~max_tokens=50]")
    both = suite.replay("--latency-variants", "--latency-samples=1", "-v", "test_it.py::test_label[en]")

    families = ["test_label[en", "test_label[de", "TestCase::test_case[", "test_async["]
    tried = ["-~max_tokens=50", "-~max_tokens=50", "~output_config.effort=low", "~max_tokens=50"]
    expected = [
        f"{family}{variant}{'-' if variant or family.startswith('test_label') else ''}sample-{sample}]"
        for family, name in zip(families, tried, strict=True)
        for variant in ("", name)
        for sample in (1, 2)
    ]
    assert set(ran(result)) == {*expected, "test_other[sample-1]", "test_other[sample-2]"}
    result.assert_outcomes(passed=18)
    assert list(ran(one)) == [f"test_label[en-~max_tokens=50-sample-{sample}]" for sample in (1, 2)]
    assert list(ran(both)) == ["test_label[en]", "test_label[en-~max_tokens=50]"]
    changed = [
        body for body in bodies(suite) if body["max_tokens"] == 50 or body.get("output_config") == {"effort": "low"}
    ]
    assert len(changed) == 10  # of two samples: a call for each parameter, one of the TestCase, two of the async test
    assert "cassettes/test_it/test_label[en]~max_tokens=50.2.jsonl" in suite.recordings()


def test_when_limits_a_variant_to_some_of_the_calls(suite: Suite) -> None:
    suite.server.answers(by_model)
    suite.write(
        """
@pytest.mark.latency_variants(temperature=[0.5], when={"model": "claude-opus-*"})
def test_it():
    ask()
    ask(model="claude-opus-4-6")


@pytest.mark.latency_variants(temperature=[0.5], when={"model": "claude-3-*"})
def test_nothing_to_change():
    ask()
"""
    )

    result = suite.record("--latency-variants")

    asked = [(body["model"], body.get("temperature")) for body in bodies(suite)]
    assert asked[:4] == [(HAIKU, None), (OPUS, None), (HAIKU, None), (OPUS, 0.5)]
    output = " ".join(" ".join(result.outlines).split())
    assert f"warning: test_it.py::test_nothing_to_change[~temperature=0.5]: {NOTHING_VARIED}" in output
    assert output.count(NOTHING_VARIED) == 1


def test_only_prompt_calls_are_changed_and_those_of_fixtures_too(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture
def label(claude_client):
    return ask(client=claude_client)


@pytest.mark.latency_variants(model=["claude-sonnet-4-6"])
def test_it(label, claude_client):
    claude_client.messages.count_tokens(model="claude-haiku-4-5", messages=messages("hi"))
"""
    )

    suite.record("--latency-variants", "-k", "sonnet").assert_outcomes(passed=1, deselected=1)

    assert [body["model"] for body in bodies(suite)] == [SONNET, HAIKU]


# ── what fails ──


def test_the_failure_of_a_variant_is_a_finding_and_does_not_fail_the_run(tried: Suite) -> None:
    result = tried.replay("--latency-variants", "-x", "--junitxml=junit.xml")

    assert result.ret == pytest.ExitCode.OK
    assert (tried.path / "junit.xml").read_text().count("<failure") == 0
    assert tried.test(f"test_it[{BY_OPUS}]")["outcome"] == "xfailed"


def test_budgets_are_not_judged_on_variants(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_variants(max_tokens=[50])
@pytest.mark.latency_budget(total="1ms")
def test_it(claude_latency):
    with claude_latency.budget(total="1m"):
        ask()


@pytest.mark.latency_variants(max_tokens=[50])
def test_block(claude_latency):
    with claude_latency.budget(total="1ms"):
        ask()
"""
    )
    suite.server.answers(lambda request: text("Hello", ttfb="5ms"))
    suite.record("--latency-variants")

    result = suite.replay("--latency-variants", "-v")

    assert ran(result) == {
        "test_it": "FAILED",
        "test_it[~max_tokens=50]": "PASSED",
        "test_block": "FAILED",
        "test_block[~max_tokens=50]": "PASSED",
    }
    assert suite.test("test_it[~max_tokens=50]")["budgets"] == []


def test_a_variant_without_a_recording_fails_and_says_how_to_record_it(suite: Suite) -> None:
    suite.write(TRIED)
    suite.server.answers(by_model)
    suite.record()

    result = suite.replay("--latency-variants", "-k", "not opus")

    result.assert_outcomes(passed=1, failed=1, deselected=1)
    command = f"pytest --latency-mode=record --latency-variants 'test_it.py::test_it[{BY_SONNET}]'"
    result.stdout.fnmatch_lines(
        [
            "*" + NOTHING_RECORDED.format(request="POST /v1/messages"),
            f"*missing   cassettes/test_it/test_it{BY_SONNET}.1.jsonl",
        ]
    )
    # a long command goes on in the next line, as a shell reads it
    assert f"record {command}" in " ".join(" ".join(result.outlines).replace("\\", " ").split())
    assert suite.report["summary"]["verdict"] == "none of 1 test failed, 1 variant failed"
    assert variants(suite)[BY_SONNET]["passed"] == 0
    arguments = [command.split()[2], command.split()[3].strip("'")]
    suite.record(*arguments).assert_outcomes(passed=1)
    suite.replay("--latency-variants", "-k", "not opus").assert_outcomes(passed=2, deselected=1)


def test_variants_without_recordings_are_told_once_with_one_command_for_all(suite: Suite) -> None:
    suite.write(TRIED)
    suite.server.answers(by_model)
    suite.record()

    result = suite.replay("--latency-variants")

    result.assert_outcomes(passed=1, failed=2)
    ids = " ".join(f"'{TEST}[{variant}]'" for variant in (BY_SONNET, BY_OPUS))
    command = f"pytest --latency-mode=record --latency-variants {ids}"
    assert f"record {command}" in " ".join(" ".join(result.outlines).replace("\\", " ").split())
    result.stdout.fnmatch_lines(["  tests     2 tests meet this, and one command records them all"])
    result.stdout.fnmatch_lines(["  cause     the same as that of", f"            {TEST}?{BY_SONNET}?"])

    shutil.rmtree(suite.path / "cassettes")
    result = suite.replay("--latency-variants")

    # the name of the test selects its variants too
    result.stdout.fnmatch_lines([f"  record    pytest --latency-mode=record --latency-variants {TEST}"])


def test_a_request_that_cannot_be_rewritten_fails_its_item(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_variants(max_tokens=[50])
def test_it():
    try:
        ask(extra_headers={"authorization": "AWS4-HMAC-SHA256 Credential=a/b"})
    except BaseException:
        pass
"""
    )

    result = suite.record("--latency-variants")

    result.assert_outcomes(passed=1, failed=1)
    whole_lines(result).fnmatch_lines(
        [
            "*~max_tokens=50 cannot be tried on this POST /v1/messages: it is signed (AWS Signature Version 4)*",
            "*test      test_it.py::test_it[[]~max_tokens=50]",
            "*do        leave this call out with when={...}, or the variant out of*",
        ]
    )
    assert [body["max_tokens"] for body in bodies(suite)] == [100]


def test_a_refusal_of_the_api_is_a_finding_and_an_outage_is_none(suite: Suite) -> None:
    suite.write(TRIED)
    refused = {OPUS: status(404), SONNET: status(401)}
    suite.server.answers(lambda request: refused.get(request.json["model"]) or by_model(request))

    result = suite.record("--latency-variants")

    result.assert_outcomes(passed=1, failed=1, xfailed=1)
    assert suite.recordings() == [f"cassettes/test_it/test_it{variant}.1.jsonl" for variant in ("", BY_OPUS)]
    suite.replay("--latency-variants", "-k", "not sonnet").assert_outcomes(passed=1, xfailed=1, deselected=1)


def test_a_field_that_the_model_refuses_is_named_and_is_no_loss_of_quality(suite: Suite) -> None:
    suite.write(TRIED)
    refusal = status(400, message="`temperature` is deprecated for this model.")
    suite.server.answers(lambda request: refusal if request.json["model"] == OPUS else by_model(request))
    suite.record("--latency-variants")

    result = suite.replay("--latency-variants", "-rx")

    result.assert_outcomes(passed=2, xfailed=1)
    output = " ".join(result.stdout.str().split())
    assert "was refused for temperature, which says nothing of its quality" in output
    assert "the API refused the variant's request" in output
    assert variants(suite)[BY_OPUS]["refused"] == 1


@pytest.mark.parametrize("client", ["httpx", "requests", "aiohttp"])
def test_headers_are_replaced_on_the_wire_whatever_the_client(suite: Suite, client: str) -> None:
    send = {
        "httpx": "ask(extra_headers={'Anthropic-Beta': 'old', 'x-app': 'mine'})",
        "requests": "import requests; requests.post(URL, json=BODY, headers=HEADERS).raise_for_status()",
        "aiohttp": "asyncio.run(by_aiohttp())",
    }[client]
    suite.write(
        f"""
import asyncio, os
import aiohttp

URL = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com") + "/v1/messages"
BODY = {{"model": "claude-haiku-4-5", "max_tokens": 10, "messages": [{{"role": "user", "content": "hi"}}]}}
HEADERS = {{"anthropic-version": "2023-06-01", "Anthropic-Beta": "old", "x-app": "mine", "x-api-key": "k"}}


async def by_aiohttp():
    async with aiohttp.ClientSession() as session, session.post(URL, json=BODY, headers=HEADERS) as answer:
        await answer.read()


@pytest.mark.latency_variants(headers={{"anthropic-beta": ["new", None]}})
def test_it():
    {send}
"""
    )

    suite.record("--latency-variants").assert_outcomes(passed=3)

    sent = [request for request in suite.server.requests if request.method == "POST"]
    assert [header(request.headers, "anthropic-beta") for request in sent] == ["old", "new", None]
    assert [header(request.headers, "x-app") for request in sent] == ["mine"] * 3
    suite.replay("--latency-variants").assert_outcomes(passed=3)


def test_a_marker_that_is_not_understood_is_an_error_of_its_test_alone(suite: Suite) -> None:
    suite.write(
        """
@pytest.mark.latency_variants(model="claude-sonnet-4-6")
def test_bad():
    pass


def test_good(claude_latency):
    ask()
"""
    )

    result = suite.record("--latency-variants")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        as_shown(
            "model='claude-sonnet-4-6' is not a list of values; accepted: *",
            "@latency_variants on test_it.py::test_bad",
        )
    )


def test_a_fixture_that_fails_before_anything_is_sent_is_an_error_of_a_variant_too(suite: Suite) -> None:
    suite.write(
        """
@pytest.fixture
def broken():
    raise ValueError


@pytest.mark.latency_variants(max_tokens=[50])
def test_it(broken):
    ask()
"""
    )

    suite.replay("--latency-variants").assert_outcomes(errors=2)


# ── what is reported ──


def test_variants_are_ranked_and_the_fastest_that_passes_is_named(tried: Suite) -> None:
    result = tried.replay("--latency-variants", "--latency-report=report.md", "--latency-report=report.html")

    candidates = variants(tried)
    recommended = tried.report["variants"][0]["recommendation"]
    assert list(candidates) == ["as written", BY_SONNET, BY_OPUS]
    assert [candidate["passed"] for candidate in candidates.values()] == [1, 1, 0]
    assert candidates[BY_OPUS]["elapsed"] < candidates["as written"]["elapsed"]
    assert candidates[BY_SONNET]["against_as_written"]["verdict"] == "too few samples"
    assert tried.report["variants"][0]["fastest"] == f"{TEST}[{BY_SONNET}]"
    assert recommended.startswith(f"fastest that passes: {BY_SONNET}, ")
    shown = " ".join(" ".join(result.outlines).split())
    assert f"claude latency: variants === {TEST} variant".replace("===", "") in shown.replace("=", "")
    assert recommended in shown
    markdown, html = ((tried.path / f"report.{form}").read_text() for form in ("md", "html"))
    assert f"| `{BY_SONNET}` | 1/1 |" in markdown
    assert f"<td>{BY_SONNET}</td><td>1/1</td>" in html
    assert "fastest that passes" in markdown
    assert "fastest that passes" in html


def test_enough_samples_show_that_a_difference_is_no_chance(suite: Suite) -> None:
    suite.write(TRIED)
    suite.server.answers(by_model)

    suite.record("--latency-variants", "--latency-samples=4", "-k", "not opus")

    candidates = variants(suite)
    assert [candidate["samples"] for candidate in candidates.values()] == [4, 4]
    assert candidates[BY_SONNET]["against_as_written"]["verdict"] == "faster"


def test_a_live_run_announces_the_cost_of_variants_from_their_recordings(tried: Suite) -> None:
    result = tried.record("--latency-variants", "--latency-samples=2", "-k", "sonnet", mode="live")

    result.stdout.fnmatch_lines(["claude latency: mode live, 2 samples of 1 test: 2 calls, by the recordings"])


def test_a_baseline_holds_no_variants(tried: Suite) -> None:
    tried.replay("--latency-variants", "--latency-save=main")
    before = json.loads((tried.path / "report.json").read_text())

    result = tried.replay("--latency-variants", "--latency-compare=main")

    result.assert_outcomes(passed=2, xfailed=1)
    assert {verdict["nodeid"] for verdict in tried.report["verdicts"]} == {TEST}
    assert "~model" not in (tried.path / ".latency" / "main.jsonl").read_text()
    assert len(before["tests"]) == 3


@pytest.mark.slow
def test_workers_run_and_report_the_same_variants(tried: Suite) -> None:
    tried.replay("--latency-variants")
    alone = tried.report

    result = tried.pytester.runpytest_subprocess(
        "-n2", "--latency-budget", "--latency-variants", "--latency-report=report.json", "-p", "no:cacheprovider"
    )

    assert result.ret == pytest.ExitCode.OK
    assert tried.report == alone


def check(suite: Suite) -> subprocess.CompletedProcess[str]:
    """What `claude-latency check` says of the suite."""
    command = [
        sys.executable,
        "-c",
        "import sys; from pytest_claude_latency.cli.command import main; sys.exit(main(sys.argv[1:]))",
    ]
    return subprocess.run([*command, "check", "."], capture_output=True, text=True, cwd=suite.path, check=False)


@pytest.mark.slow
def test_the_check_of_recordings_finds_the_test_of_each_variant(tried: Suite) -> None:
    tried.write(TRIED.replace("claude-opus-4-6", "claude-opus-4-5"))

    checked = check(tried)

    assert checked.returncode == 1
    assert checked.stdout.count("PROBLEM") == 1
    assert f"no test uses it: pytest finds no latency test test_it[{BY_OPUS}]" in " ".join(checked.stdout.split())
