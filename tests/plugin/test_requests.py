"""Claude through `requests`: sessions, streams, retries and time-outs, recorded once and replayed offline."""

from __future__ import annotations

from importlib.metadata import version

import pytest
import requests  # noqa: F401  # loaded here, since each run in this process restores the modules

import pytest_claude_latency.http.doors.urllib3  # noqa: F401  # as above
from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS
from tests.plugin.suite import Suite
from tests.plugin.test_bedrock_by_boto3 import replayed_offline, results_of_two_replays
from tests.support.claude_answers import Answer, redirect, status
from tests.support.claude_messages import text

APP = """
import os
import requests

LIVE = os.environ.get("ANTHROPIC_BASE_URL")
URL = (LIVE or "https://api.anthropic.com") + "/v1/messages"
HEADERS = {"x-api-key": "x", "anthropic-version": "2023-06-01"}


def prompt(content="hi", **more):
    return {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": content}], **more}


def post(session=requests, body=None, **more):
    return session.post(URL, json=body or prompt(), headers=HEADERS, **more)
"""


@pytest.fixture
def web(suite: Suite) -> Suite:
    """Return a suite whose program uses `requests`."""
    suite.pytester.makepyfile(web=APP)
    return suite


def test_a_post_is_recorded_replayed_and_measured(web: Suite) -> None:
    web.write("""
import web

@pytest.mark.latency_budget(total="5s")
def test_it(claude_latency):
    answer = web.post()
    assert answer.json()["content"][0]["text"] == "Hello world"
    (call,) = claude_latency.calls
    assert (call.model, call.status, call.streamed) == ("claude-haiku-4-5", 200, False)
    assert call.total >= 0.01
    save_result([answer.elapsed.total_seconds(), call.ttfb])
""")

    web.record().assert_outcomes(passed=1)
    replayed_offline(web).assert_outcomes(passed=1)

    assert len(web.server.log) == 1
    assert web.saved_result[0] == pytest.approx(web.saved_result[1], abs=1e-6)


READERS = {
    "lines": "answer.iter_lines()",
    "content": "answer.iter_content(10)",
    "chunks": "answer.iter_content(None)",
}


@pytest.mark.parametrize("reader", READERS)
def test_a_stream_is_read_at_its_recorded_pace(web: Suite, reader: str) -> None:
    web.write(f"""
import web

@pytest.mark.latency_budget(ttft="5s")
def test_it(claude_latency):
    with web.post(body=web.prompt(stream=True), stream=True) as answer:
        start = time.monotonic()
        seen = [(time.monotonic() - start, bytes(part)) for part in {READERS[reader]}]
    (call,) = claude_latency.calls
    assert call.streamed
    assert call.total >= 0.08
    if not web.LIVE:  # live, a machine that does something else reads what has arrived meanwhile
        assert call.total - call.ttfb == pytest.approx(seen[-1][0], abs=0.001)
    assert b"Hello" in b"".join(part for _, part in seen)
""")
    web.server.answer(text("Hello wor|ld", ttfb="20ms", gaps=["30ms", "30ms"]).compressed())

    web.record().assert_outcomes(passed=1)
    replayed_offline(web).assert_outcomes(passed=1)


def test_retries_of_a_session_are_attempts_of_one_call(web: Suite) -> None:
    web.write(
        """
import requests, web
from requests.adapters import HTTPAdapter, Retry

@pytest.mark.latency_budget(attempts=3)
def test_it(claude_latency):
    with requests.Session() as session:
        jitter = {"backoff_jitter": 0.1} if JITTER else {}
        retry = Retry(3, backoff_factor=0.1, **jitter, status_forcelist=[529], allowed_methods=None)
        for prefix in ("http://", "https://"):
            session.mount(prefix, HTTPAdapter(max_retries=retry))
        assert web.post(session).ok
        assert web.post(session).ok
    assert [call.attempts for call in claude_latency.calls] == [3, 1]
    save_result(claude_latency.elapsed)
""".replace("JITTER", str(not version("urllib3").startswith("1.")))
    )
    web.server.answer(status(529), status(529))

    web.record().assert_outcomes(passed=1)

    first, second = results_of_two_replays(web)
    assert first == second


def test_a_redirect_is_a_step_of_one_call(web: Suite) -> None:
    web.write("""
import web

@pytest.mark.latency_budget(calls=1)
def test_it(claude_latency):
    assert web.post().json()["content"][0]["text"] == "Hello world"
    assert len(claude_latency.calls) == 1
""")
    web.server.answer(redirect("/elsewhere/v1/messages"))

    web.record().assert_outcomes(passed=1)
    replayed_offline(web).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("answer", "settings", "kind"),
    [
        (Answer(None, ending="silence"), "timeout=0.2", "ReadTimeout"),
        (Answer(None, ending="close"), "", "ConnectionError"),
        (text("Hello wor|ld", ttfb="5ms").dropped(after=1), "", "ChunkedEncodingError"),
    ],
    ids=["time-out", "closed", "dropped"],
)
def test_errors_are_those_of_requests_in_both(web: Suite, answer: Answer, settings: str, kind: str) -> None:
    web.write(f"""
import requests, web

@pytest.mark.latency_budget(total="5s")
def test_it(claude_latency):
    with pytest.raises(requests.exceptions.{kind}) as raised:
        web.post(body=web.prompt(stream=True), {settings})
    save_result([type(raised.value).__name__, claude_latency.calls[0].error])
""")
    web.server.answer(answer)

    web.record().assert_outcomes(passed=1)
    recorded = web.saved_result
    replayed_offline(web).assert_outcomes(passed=1)

    assert web.saved_result == recorded


def test_a_changed_prompt_is_a_miss_that_no_handler_hides(web: Suite) -> None:
    source = """
import web

@pytest.mark.latency_budget(total="5s")
def test_it():
    try:
        web.post(body=web.prompt("PROMPT"))
    except Exception:
        pass
"""
    web.write(source.replace("PROMPT", "hi"))
    web.record()
    web.write(source.replace("PROMPT", "ho"))
    result = replayed_offline(web)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*" + NOTHING_FITS.format(request="POST /v1/messages*")])


def test_a_recording_of_the_sdk_answers_requests(web: Suite) -> None:
    source = """
import os, web

@pytest.mark.latency_budget(total="5s")
def test_it(claude_latency):
    if USE_SDK:
        ask("hi", max_tokens=9)
    else:
        assert web.post(body=web.prompt()).json()["content"][0]["text"] == "Hello world"
    save_result(claude_latency.calls[0].total)
"""
    web.write(source.replace("USE_SDK", "True"))
    web.record().assert_outcomes(passed=1)
    recorded = web.saved_result
    web.write(source.replace("USE_SDK", "False"))
    replayed_offline(web).assert_outcomes(passed=1)

    assert web.saved_result == pytest.approx(recorded, abs=1e-5)


def test_the_recording_names_its_client(web: Suite) -> None:
    web.write("""
import web

@pytest.mark.latency_budget(total="5s")
def test_it():
    web.post()
""")
    web.record()

    (recording,) = web.recordings()
    client = f"requests {version('requests')}"
    assert f'"client": "{client}"' in (web.path / recording).read_text()


@pytest.mark.slow
def test_a_version_without_its_seam_that_a_test_loads_is_told_at_the_end(suite: Suite) -> None:
    suite.write("def test_it(claude_latency):\n    import urllib3\n")
    (suite.path / "urllib3.py").write_text("")

    result = suite.pytester.runpytest_subprocess()

    result.assert_outcomes(passed=1)
    told = " ".join(result.stdout.str().split())
    assert "test_it.py::test_it loaded a library that cannot be intercepted: urllib3 " in told
    assert "more names, which this plugin needs; supported: urllib3 1.26 to " in told
