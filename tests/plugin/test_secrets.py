"""A key, wherever it stands while a test is recorded, stands nowhere in what the run leaves behind."""

from __future__ import annotations

from functools import partial

import pytest

from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_answers import status
from tests.support.claude_messages import text

KEY = "sk-ant-api03-the-secret-7391"
OTHERS = {
    "cookie": "biscuit-7392",
    "organization": "org-7393",
    "workspace": "wrkspc-7394",
    "user": "jane-7395",
    "password": "pass-7396",
    "token": "token-7397",
    "signature": "sig-7398",
}
SECRETS = (KEY, *OTHERS.values())


@pytest.fixture
def talkative(suite: Suite) -> Suite:
    """A suite whose server sends back what it should not, and whose answers never come in time."""
    headers = {
        "set_cookie": f"session={OTHERS['cookie']}; HttpOnly",
        "anthropic_organization_id": OTHERS["organization"],
        "anthropic_workspace_id": OTHERS["workspace"],
        "x_api_key": KEY,
        "authorization": f"Bearer {KEY}",
        "location": f"https://{OTHERS['user']}:{OTHERS['password']}@elsewhere.example/?api_key={KEY}",
    }
    good, bad = text("Hello wor|ld").with_headers(**headers), status(529).with_headers(**headers)
    suite.server.answers(lambda request: bad if b"overloaded" in request.content else good)
    return suite


SOURCE = f"""
import os


def client():
    return anthropic.Anthropic(
        api_key={KEY!r},
        max_retries=0,
        default_headers={{
            "Cookie": "session={OTHERS["cookie"]}",
            "X-Api-Key": {KEY!r},
            "Proxy-Authorization": "Basic {OTHERS["password"]}",
            "anthropic-workspace-id": "{OTHERS["workspace"]}",
        }},
    )


@pytest.mark.latency_budget(ttft="1us", total="1us", ttfb="1us")
def test_slow():
    stream(client=client())


@pytest.mark.latency_budget(ttft="1us")
def test_overloaded(claude_latency):
    with pytest.raises(anthropic.APIStatusError):
        ask("overloaded", client=client())
    print(claude_latency.calls, claude_latency.setup_calls)


@pytest.mark.latency_budget(ttft="1us")
def test_missed():
    if "ANTHROPIC_BASE_URL" in os.environ:
        pytest.skip("not while recording")
    ask("never recorded", client=client())


@pytest.fixture(scope="module")
def warm():
    return ask("warm", client=client())


def test_warm(warm, claude_latency):
    stream("after", client=client())
"""

EVERY_REPORT = ["--latency-report=report.html", "--latency-report=report.md", "--junitxml=junit.xml", "-vv", "-rA"]


def _leaks(suite: Suite, *results: pytest.RunResult) -> list[str]:
    """Where a secret stands: in a file that was written, other than the suite's own source, or in the output."""
    files = [path for path in suite.path.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    written = {str(path.relative_to(suite.path)): path.read_bytes().decode(errors="replace") for path in files}
    shown = {f"output {number}": result.stdout.str() + result.stderr.str() for number, result in enumerate(results)}
    return [f"{secret} in {name}" for name, said in (written | shown).items() for secret in SECRETS if secret in said]


def test_nothing_that_a_run_writes_or_shows_holds_a_secret(talkative: Suite) -> None:
    suite = talkative
    suite.write(SOURCE)

    recorded = suite.record("--latency-budget", "--tb=short", "--show-capture=all", *EVERY_REPORT)
    leaks = _leaks(suite, recorded)
    replayed = suite.replay("--tb=short", *EVERY_REPORT)

    recorded.assert_outcomes(failed=2, passed=1, skipped=1)
    replayed.assert_outcomes(failed=3, passed=1)
    assert len(suite.recordings()) == 4
    assert {path.name for path in suite.path.iterdir()} >= {"report.json", "report.html", "report.md", "junit.xml"}
    assert leaks + _leaks(suite, replayed) == []


GATEWAYS = {
    "user name and password": "http://{user}:{password}@HOST",
    "a key in the query": "http://HOST?api_key={token}&sig={signature}",
}


@pytest.mark.parametrize("url", GATEWAYS.values(), ids=GATEWAYS)
def test_a_url_with_credentials_is_not_recorded_and_shows_none(talkative: Suite, url: str) -> None:
    suite = talkative
    base, _, query = url.format(**OTHERS).replace("HOST", suite.server.url.removeprefix("http://")).partition("?")
    suite.write(
        f"""
from urllib.parse import parse_qsl

client = anthropic.Anthropic(base_url={base!r}, default_query=dict(parse_qsl({query!r})), max_retries=0)


@pytest.mark.latency_budget(ttft="1us")
def test_it(claude_latency):
    stream(client=client)
    for call in claude_latency.calls:
        print(call)
        assert call.url.partition("?")[0] == "{suite.server.url}/v1/messages"
"""
    )

    for run, outcomes in (
        (partial(suite.record, "--latency-budget", mode="live"), {"failed": 1}),
        (partial(suite.record, "--latency-budget"), {"failed": 1, "errors": 1}),
        (suite.replay, {"failed": 1}),
    ):
        result = run("--tb=short", *EVERY_REPORT)

        result.assert_outcomes(**outcomes)
        assert suite.recordings() == []
        assert _leaks(suite, result) == []
        if "errors" in outcomes:
            refused = "*was not written: something in it looks like a credential"
            whole_lines(result).fnmatch_lines([refused, "*request URL: *"])


def test_a_key_in_a_prompt_is_not_shown_by_a_miss(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    ask('my key is KEY')\n".replace("KEY", "not given"))
    suite.record().assert_outcomes(passed=1)
    suite.write(f"KEY = {KEY!r}\n\n\ndef test_it(claude_latency):\n    ask('my key is ' + KEY)\n")

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['*sent      "my key is [[]credential]"'])
    assert _leaks(suite, result) == []
