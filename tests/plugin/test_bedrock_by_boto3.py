"""Claude on Bedrock through `boto3`: recorded once, then replayed without a network, credentials or a role."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import boto3  # noqa: F401  # loaded here, since each run in this process restores the modules
import pytest

import pytest_claude_latency.http.changes.botocore
import pytest_claude_latency.http.doors.urllib3  # noqa: F401  # as above
from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS
from pytest_claude_latency.messages_api.exchange import Request
from tests.plugin.suite import Suite
from tests.support.bedrock_answers import converse, converse_stream, invoke_stream
from tests.support.claude_answers import Answer, status
from tests.support.claude_messages import text

APP = """
import json, os
import boto3
from botocore.config import Config

LIVE = os.environ.get("ANTHROPIC_BASE_URL")
MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
MESSAGES = [{"role": "user", "content": [{"text": "hi"}]}]


def client(**config):
    given = {"endpoint_url": LIVE, "aws_access_key_id": "a", "aws_secret_access_key": "b"} if LIVE else {}
    session = boto3.Session()
    return session.client("bedrock-runtime", region_name="us-east-1", config=Config(**config), **given)


def body(prompt="hi"):
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": messages})


def invoke(prompt="hi", **config):
    answer = client(**config).invoke_model(modelId=MODEL, body=body(prompt))
    return json.loads(answer["body"].read())["content"][0]["text"]


def invoke_stream(**config):
    answer = client(**config).invoke_model_with_response_stream(modelId=MODEL, body=body())
    events = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    return "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")


def converse(**config):
    answer = client(**config).converse(modelId=MODEL, messages=MESSAGES)
    return answer["output"]["message"]["content"][0]["text"]


def converse_stream(**config):
    answer = client(**config).converse_stream(modelId=MODEL, messages=MESSAGES)
    deltas = [event["contentBlockDelta"] for event in answer["stream"] if "contentBlockDelta" in event]
    return "".join(delta["delta"]["text"] for delta in deltas)
"""

PROGRAMS = ("invoke", "invoke_stream", "converse", "converse_stream")


def answer_of_bedrock(request: Request) -> Answer:
    """Return what Bedrock answers, with its usual pace."""
    match request.url.rpartition("/")[2]:
        case "invoke":
            return text("Hello wor|ld", ttfb="40ms")
        case "invoke-with-response-stream":
            return invoke_stream("Hello wor|ld", ttfb="40ms", gap="30ms")
        case "converse":
            return converse("Hello wor|ld", ttfb="40ms")
        case "converse-stream":
            return converse_stream("Hello wor|ld", ttfb="40ms", gap="30ms")
    return status(400)


@pytest.fixture
def bedrock(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Return a suite whose program uses Bedrock, on a machine that has no credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(suite.path / "none"))
    suite.pytester.makepyfile(cloud=APP)
    suite.server.answers(answer_of_bedrock)
    return suite


def replayed_offline(suite: Suite, *args: str) -> pytest.RunResult:
    """Replay while each connection and each look-up of a name is refused."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError(f"a packet would leave: {args}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        return suite.replay(*args)


def results_of_two_replays(suite: Suite) -> list[Any]:
    """Return what the only test saved in each of two replays."""
    saved = []
    for _ in range(2):
        replayed_offline(suite).assert_outcomes(passed=1)
        saved.append(suite.saved_result)
    return saved


def test_each_operation_is_recorded_and_replayed_without_network_and_credentials(bedrock: Suite) -> None:
    bedrock.write(f"""
import cloud

@pytest.mark.parametrize("program", {PROGRAMS})
@pytest.mark.latency_budget(total="10s", elapsed="10s")
def test_it(program, claude_latency):
    start = time.monotonic()
    assert getattr(cloud, program)() == "Hello world"
    assert time.monotonic() - start >= 0.04
    (call,) = claude_latency.calls
    assert (call.status, call.attempts, call.error, call.closed) == (200, 1, None, None)
    assert call.streamed == program.endswith("stream")
    assert 0.04 <= call.ttfb < call.total
    assert call.ttft >= (0.07 if call.streamed else 0.04)
    assert (call.prompt_tokens, call.output_tokens, call.stop_reason) == (12, 8, "end_turn")
""")

    bedrock.record().assert_outcomes(passed=4)
    replayed_offline(bedrock).assert_outcomes(passed=4)

    assert len(bedrock.server.log) == 4


def test_a_broken_budget_fails_the_replay(bedrock: Suite) -> None:
    bedrock.write("""
import cloud

@pytest.mark.latency_budget(ttft="50ms")
def test_it():
    cloud.invoke_stream()
""")

    bedrock.record()
    result = replayed_offline(bedrock)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ttft was * over the budget of 50ms"])


def test_a_changed_prompt_is_a_miss_at_once(bedrock: Suite) -> None:
    source = """
import cloud

@pytest.mark.latency_budget(total="5s")
def test_it():
    try:
        cloud.invoke("PROMPT", retries={"mode": "standard", "max_attempts": 5})
    except Exception:
        save_result("swallowed")
"""
    bedrock.write(source.replace("PROMPT", "hi"))
    bedrock.record()
    bedrock.write(source.replace("PROMPT", "ho"))
    result = replayed_offline(bedrock)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*" + NOTHING_FITS.format(request="POST /model/*")])
    assert not (bedrock.path / "result.json").exists()


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_retries_of_botocore_are_attempts_of_one_call_and_their_pauses_the_same_in_each_replay(
    bedrock: Suite, mode: str
) -> None:
    bedrock.write(f"""
import cloud

@pytest.mark.latency_budget(total="30s")
def test_it(claude_latency):
    assert cloud.invoke(retries={{"mode": "{mode}", "max_attempts": 4}}) == "Hello world"
    assert [call.attempts for call in claude_latency.calls] == [3]
    save_result(claude_latency.calls[0].total)
""")
    bedrock.server.answer(status(503), status(503))

    bedrock.record().assert_outcomes(passed=1)

    first, second = results_of_two_replays(bedrock)
    assert first == second


def test_a_read_time_out_of_botocore_fires_in_virtual_time(bedrock: Suite) -> None:
    bedrock.write("""
import botocore.exceptions
import cloud

@pytest.mark.latency_budget(total="30s")
def test_it(claude_latency):
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        cloud.invoke(read_timeout=0.3, retries={"total_max_attempts": 1})
    assert claude_latency.calls[0].error == "ReadTimeout"
    assert 0.3 <= claude_latency.calls[0].total < 30
""")
    bedrock.server.answer(Answer(None, ending="silence"))

    bedrock.record().assert_outcomes(passed=1)
    replayed_offline(bedrock).assert_outcomes(passed=1)


ERRORS: dict[str, tuple[Callable[[], Answer], str]] = {
    "refused": (lambda: status(429), "botocore.exceptions.ClientError"),
    "closed": (lambda: Answer(None, ending="close"), "botocore.exceptions.ConnectionClosedError"),
    "dropped": (
        lambda: invoke_stream("Hello wor|ld", gap="10ms").dropped(after=1),
        "(botocore.exceptions.ResponseStreamingError, urllib3.exceptions.ProtocolError)",
    ),
}


@pytest.mark.parametrize("error", ["refused", "closed", "dropped"])
def test_errors_are_those_of_botocore_in_both(bedrock: Suite, error: str) -> None:
    answer, kinds = ERRORS[error]
    bedrock.write(f"""
import botocore.exceptions
import urllib3
import cloud

@pytest.mark.latency_budget(total="30s")
def test_it(claude_latency):
    with pytest.raises({kinds}) as raised:
        cloud.invoke_stream(retries={{"total_max_attempts": 1}})
    save_result([type(raised.value).__name__, claude_latency.calls[0].error, claude_latency.calls[0].status])
""")
    bedrock.server.answer(answer())

    bedrock.record().assert_outcomes(passed=1)
    recorded = bedrock.saved_result
    replayed_offline(bedrock).assert_outcomes(passed=1)

    assert bedrock.saved_result == recorded


def test_threads_of_one_client_wait_side_by_side(bedrock: Suite) -> None:
    bedrock.write("""
from concurrent.futures import ThreadPoolExecutor
import cloud

@pytest.mark.latency_budget(elapsed="30s")
def test_it(claude_latency):
    client = cloud.client()
    def ask(number):
        return client.invoke_model(modelId=cloud.MODEL, body=cloud.body(str(number)))["body"].read()
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(ask, range(4)))) == 4
    assert len(claude_latency.calls) == 4
    assert claude_latency.elapsed < sum(call.total for call in claude_latency.calls)
""")

    bedrock.record().assert_outcomes(passed=1)
    replayed_offline(bedrock).assert_outcomes(passed=1)


def test_other_models_and_services_pass_untouched_and_signed(bedrock: Suite) -> None:
    bedrock.write(
        """
import cloud

@pytest.mark.latency_budget(calls=0)
def test_it(monkeypatch):
    given = {"endpoint_url": URL, "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    client = cloud.boto3.Session().client("bedrock-runtime", region_name="us-east-1", **given)
    client.invoke_model(modelId="amazon.titan-embed-text-v2:0", body="{}")
""".replace("URL", repr(bedrock.server.url))
    )
    bedrock.server.answer(text("an embedding"))

    bedrock.replay().assert_outcomes(passed=1)

    (served,) = bedrock.server.log
    assert "AWS4-HMAC-SHA256" in str(served.request.headers)


def test_who_calls_the_signer_itself_needs_no_credentials_for_what_is_recorded(bedrock: Suite) -> None:
    bedrock.write("""
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError
import cloud

def signed(url, body):
    request = AWSRequest("POST", url, data=body)
    SigV4Auth(Credentials("a", "b") if cloud.LIVE else None, "bedrock", "us-east-1").add_auth(request)
    return dict(request.headers)

@pytest.mark.latency_budget(total="5s")
def test_it():
    url = f"{cloud.LIVE or 'https://bedrock-runtime.us-east-1.amazonaws.com'}/model/{cloud.MODEL}/invoke"
    headers = signed(url, cloud.body())
    assert ("Authorization" in headers) == bool(cloud.LIVE)
    assert urllib3.PoolManager().request("POST", url, body=cloud.body(), headers=headers).status == 200
    if not cloud.LIVE:
        with pytest.raises(NoCredentialsError):
            signed("https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.titan-embed-text-v2:0/invoke", "{}")
""")

    bedrock.record().assert_outcomes(passed=1)
    replayed_offline(bedrock).assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_program_that_imports_boto3_only_inside_the_test_is_met_as_well(
    bedrock: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    bedrock.write("""
import sys

@pytest.mark.latency_budget(total="5s")
def test_it(claude_latency):
    assert "urllib3" not in sys.modules
    import cloud
    assert cloud.invoke() == "Hello world"
    assert len(claude_latency.calls) == 1
""")

    # In a process of its own, where nothing is loaded yet.
    with monkeypatch.context() as patch:
        patch.setenv("ANTHROPIC_BASE_URL", bedrock.server.url)
        bedrock.pytester.runpytest_subprocess("--latency-mode=record").assert_outcomes(passed=1)
    bedrock.pytester.runpytest_subprocess("--latency-budget").assert_outcomes(passed=1)

    assert len(bedrock.server.log) == 1


def test_a_client_made_before_the_test_needs_no_credentials_either(
    bedrock: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # outside a latency test the plugin changes nothing
    bedrock.write("""
import cloud

CLIENT = cloud.client()

@pytest.mark.latency_budget(total="5s")
def test_it(claude_latency):
    assert CLIENT.invoke_model(modelId=cloud.MODEL, body=cloud.body())["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert len(claude_latency.calls) == 1
""")

    bedrock.record().assert_outcomes(passed=1)
    replayed_offline(bedrock).assert_outcomes(passed=1)


def test_a_client_of_bedrocks_own_administration_does_not_ask_the_machine_for_a_role(bedrock: Suite) -> None:
    bedrock.write("""
import cloud

@pytest.mark.latency_budget(total="5s")
def test_it():
    cloud.boto3.Session().client("bedrock", region_name="us-east-1")  # as langchain-aws makes one beside the other
    assert cloud.invoke() == "Hello world"
""")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        bedrock.record().assert_outcomes(passed=1)
    replayed_offline(bedrock).assert_outcomes(passed=1)


def test_samples_do_not_include_the_opening_of_a_connection(bedrock: Suite) -> None:
    bedrock.write("""
import cloud

@pytest.mark.latency_budget(total="5s")
def test_it():
    cloud.invoke()
""")

    bedrock.record("--latency-samples=2").assert_outcomes(passed=2)
    replayed_offline(bedrock).assert_outcomes(passed=2)

    assert len(bedrock.server.log) == 2
    recordings = [(bedrock.path / recording).read_text() for recording in bedrock.recordings()]
    assert not any('{"connect"' in recording for recording in recordings)


def test_the_real_clock_waits_for_what_was_recorded(bedrock: Suite) -> None:
    bedrock.write("""
import cloud

@pytest.mark.latency_budget(ttft="5s")
def test_it(claude_latency):
    assert cloud.converse_stream() == "Hello world"
    assert claude_latency.calls[0].total >= 0.1
""")

    bedrock.record().assert_outcomes(passed=1)
    replayed_offline(bedrock, "--latency-clock=real").assert_outcomes(passed=1)
