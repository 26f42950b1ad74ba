"""`httpx` and `httpx2` side by side: whichever is imported, early or late, whatever the SDK uses."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS
from pytest_claude_latency.http.library import HTTPLibrary
from tests.plugin.suite import Suite
from tests.support.claude_answers import Answer
from tests.support.claude_messages import text

LIBRARIES = [name for name in ("httpx", "httpx2") if find_spec(name)]
OF_SDK = HTTPLibrary.of_sdk().name

ASK_BY_HAND = """
import os

def address():
    return os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com")

BODY = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": messages("hi"), "stream": True}

def ask_by_hand(library, path="/v1/messages", **more):
    answer = library.post(address() + path, json={**BODY, **more}, headers={"x-api-key": "k"})
    answer.raise_for_status()
    return answer.text

async def ask_by_hand_async(library, path="/v1/messages", **more):
    async with library.AsyncClient() as client:
        answer = await client.post(address() + path, json={**BODY, **more}, headers={"x-api-key": "k"})
    answer.raise_for_status()
    return answer.text
"""


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("imported", ["early", "late"])
def test_hand_written_requests_are_recorded_replayed_and_measured(suite: Suite, library: str, imported: str) -> None:
    where = {"early": f"import {library} as http\n", "late": ""}[imported]
    inside = {"early": "", "late": f"import {library} as http"}[imported]
    suite.write(
        ASK_BY_HAND
        + where
        + f"""
@pytest.mark.latency_budget(ttft="3s", calls=2)
def test_it(claude_latency):
    {inside}
    answers = [ask_by_hand(http), asyncio.run(ask_by_hand_async(http))]
    assert all("wor" in answer for answer in answers)
    save_result([[call.ttft, call.total, call.output_tokens] for call in claude_latency.calls])
"""
    )
    suite.record().assert_outcomes(passed=1)
    recorded = suite.saved_result
    suite.replay().assert_outcomes(passed=1)

    for replayed, live in zip(suite.saved_result, recorded, strict=True):
        assert replayed == pytest.approx(live, abs=2e-6)  # recordings keep microseconds
    assert [call["streamed"] for call in suite.calls("test_it")] == [True, True]
    assert len(suite.server.log) == 2


@pytest.mark.skipif(len(LIBRARIES) < 2, reason="only one of them is installed")
def test_a_recording_made_through_one_is_replayed_through_the_other(suite: Suite) -> None:
    source = (
        ASK_BY_HAND + "import LIBRARY as http\n\ndef test_it(claude_latency):\n    assert 'wor' in ask_by_hand(http)\n"
    )
    suite.write(source.replace("LIBRARY", "httpx"))
    suite.record().assert_outcomes(passed=1)
    suite.write(source.replace("LIBRARY", "httpx2"))

    suite.replay().assert_outcomes(passed=1)

    assert len(suite.calls("test_it")) == 1


@pytest.mark.skipif(len(LIBRARIES) < 2, reason="only one of them is installed")
def test_the_sdk_and_hand_written_requests_of_the_other_library_share_a_test(suite: Suite) -> None:
    (other,) = [name for name in LIBRARIES if name != OF_SDK]
    suite.write(
        ASK_BY_HAND
        + f"""
import {other} as http

@pytest.mark.latency_budget(calls=2)
def test_it(claude_latency):
    assert 'wor' in ask_by_hand(http)
    assert stream() == "Hello world"
    assert len(claude_latency.calls) == 2
"""
    )

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_changed_prompt_never_leaves(suite: Suite, library: str) -> None:
    source = (
        ASK_BY_HAND + f"import {library} as http\n\ndef test_it(claude_latency):\n    ask_by_hand(http, max_tokens=9)\n"
    )
    suite.write(source)
    suite.record().assert_outcomes(passed=1)
    suite.write(source.replace("=9", "=10"))

    result = suite.run("--latency-budget", base_url=suite.server.url)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*" + NOTHING_FITS.format(request="POST /v1/messages*")])
    assert len(suite.server.log) == 1


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_none_of_claudes_passes(suite: Suite, library: str) -> None:
    suite.write(
        ASK_BY_HAND
        + f"""
import {library} as http, os

def test_it(claude_latency):
    assert ask() == "Hello world"
    answer = http.post(os.environ["OTHER"] + "/v1/chat/completions", json={{"model": "gpt-9"}})
    assert answer.status_code == 200
    assert len(claude_latency.calls) == 1
"""
    )
    other = suite.server.url
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTHER", other)
        suite.record().assert_outcomes(passed=1)
        suite.replay().assert_outcomes(passed=1)

    assert [served.request.path for served in suite.server.log].count("/v1/chat/completions") == 2


def test_endpoints_of_the_users_own(suite: Suite) -> None:
    suite.write(
        ASK_BY_HAND
        + f"""
import {OF_SDK} as http

def test_it(claude_latency):
    assert 'wor' in ask_by_hand(http, path="/teams/llm/ask")
    assert len(claude_latency.calls) == 1
"""
    )
    suite.ini(r"latency_endpoints =", r"    /teams/llm/", r"    !/teams/llm/metrics")
    suite.server.answers(lambda request: _usual() if request.path == "/teams/llm/ask" else None)

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)


def test_a_pattern_of_an_endpoint_that_is_none_ends_the_run(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    pass\n")
    suite.ini("latency_endpoints =", "    api/(v1")

    result = suite.replay()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *latency_endpoints*'api/(v1' is not a regular expression*"])


def test_an_inference_profile_is_named_once(suite: Suite) -> None:
    suite.write(
        f"""
import {OF_SDK} as http

PROFILE = "arn:aws:bedrock:eu-west-1:1:application-inference-profile%2Fabc"


@pytest.mark.parametrize("sample", [1, 2])
def test_it(claude_latency, sample):
    http.post(f"{{URL}}/model/{{PROFILE}}/converse", json={{"messages": []}})
""".replace("{{URL}}", suite.server.url).replace("{URL}", suite.server.url)
    )

    result = suite.replay()

    result.assert_outcomes(passed=2)
    assert str(result.stdout).count("the inference profile") == 1


def _usual() -> Answer:
    return text("Hello wor|ld", ttfb="5ms", gaps=["2ms", "3ms"])
