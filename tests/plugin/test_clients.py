"""Clients of all kinds: with an HTTP client of the program's own, behind a gateway, made early, used in threads."""

from __future__ import annotations

import json
from importlib.util import find_spec

import anthropic
import pytest

from pytest_claude_latency.http.library import HTTPLibrary
from tests.plugin.suite import Suite
from tests.support.claude_answers import status
from tests.support.claude_messages import text

LIBRARY = HTTPLibrary.of_sdk().name
MAJOR = int(anthropic.__version__.partition(".")[0])

has_middleware = pytest.mark.skipif(
    not hasattr(anthropic.Anthropic, "with_middleware"), reason="this SDK has no middleware"
)
has_credentials = pytest.mark.skipif(
    find_spec("anthropic.lib.credentials") is None, reason="this SDK has no credential providers"
)
has_telemetry = pytest.mark.skipif(find_spec("anthropic._tracing") is None, reason="this SDK makes no spans")


def _record_and_replay(suite: Suite, source: str, *args: str) -> None:
    suite.write(f"import {LIBRARY} as sdk_http\n" + source)
    suite.record(*args).assert_outcomes(passed=1)
    suite.replay(*args).assert_outcomes(passed=1)


HTTP_CLIENTS = {
    "a plain client": "sdk_http.Client()",
    "the SDK's default client": "anthropic.DefaultHttpxClient(timeout=9)",
    "a custom transport": "sdk_http.Client(transport=sdk_http.HTTPTransport(retries=1))",
    "event hooks": "sdk_http.Client(event_hooks={'request': [tell_request], 'response': [tell_response]})",
    "an auth": "sdk_http.Client(auth=Auth())",
    "no environment": "sdk_http.Client(trust_env=False, http2=False)",
    "a subclass": "Subclass()",
    "mounts": "sdk_http.Client(mounts={'all://': sdk_http.HTTPTransport()})",
}

OWN_CLIENT = """
events = []


def tell_request(request):
    events.append(request.method)


def tell_response(response):
    events.append(response.status_code)


class Auth(sdk_http.Auth):
    def auth_flow(self, request):
        request.headers["x-signature"] = "signed"
        yield request


class Subclass(sdk_http.Client):
    def send(self, request, **more):
        events.append("sent")
        return super().send(request, **more)


def test_it(claude_latency):
    client = anthropic.Anthropic(http_client=CLIENT)
    assert [ask(client=client), stream(client=client)] == ["Hello world"] * 2
    assert len(claude_latency.calls) == 2
    save_result(events)
"""


@pytest.mark.parametrize("client", HTTP_CLIENTS.values(), ids=HTTP_CLIENTS)
def test_an_http_client_of_the_programs_own(suite: Suite, client: str) -> None:
    suite.write(f"import {LIBRARY} as sdk_http\n" + OWN_CLIENT.replace("CLIENT", client))
    suite.record().assert_outcomes(passed=1)
    recorded = suite.saved_result

    suite.replay().assert_outcomes(passed=1)

    assert suite.saved_result == recorded
    assert len(suite.server.log) == 2


@pytest.mark.parametrize(
    "client",
    [
        "sdk_http.AsyncClient()",
        "anthropic.DefaultAsyncHttpxClient()",
        "sdk_http.AsyncClient(transport=sdk_http.AsyncHTTPTransport())",
        "anthropic.DefaultAioHttpClient()",
    ],
)
def test_an_async_http_client_of_the_programs_own(suite: Suite, client: str) -> None:
    if "AioHttp" in client and MAJOR < 1:
        pytest.importorskip("httpx_aiohttp", reason="the SDK's aiohttp extra is not installed")
    _record_and_replay(
        suite,
        f"""
def test_it(claude_latency):
    async def run():
        async with anthropic.AsyncAnthropic(http_client={client}) as client:
            return [await aask(client=client), await astream(client=client)]

    assert asyncio.run(run()) == ["Hello world"] * 2
    assert len(claude_latency.calls) == 2
    assert [call.streamed for call in claude_latency.calls] == [False, True]
""",
    )

    assert len(suite.server.log) == 2


def test_a_gateway_with_a_path_prefix(suite: Suite) -> None:
    suite.write(
        """
import os


def test_it(claude_latency):
    base = os.environ.get("ANTHROPIC_BASE_URL", "https://gateway.example") + "/team/claude/"
    client = anthropic.Anthropic(base_url=base, api_key="x")
    assert stream(client=client) == "Hello world"
    (call,) = claude_latency.calls
    assert call.url == base + "v1/messages"
"""
    )

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)

    assert suite.server.requests[0].path == "/team/claude/v1/messages"


def test_a_client_made_at_import_time_without_a_key(suite: Suite) -> None:
    (suite.path / "early.py").write_text("import anthropic\n\nclient = anthropic.Anthropic()\n")
    _record_and_replay(
        suite,
        """
from early import client


def test_it(claude_latency):
    assert stream(client=client) == ask(client=client) == "Hello world"
    assert len(claude_latency.calls) == 2
""",
    )


def test_a_client_used_from_threads(suite: Suite) -> None:
    _record_and_replay(
        suite,
        """
import threading
from concurrent.futures import ThreadPoolExecutor


def test_it(claude_latency):
    client, answers = anthropic.Anthropic(), []
    thread = threading.Thread(target=lambda: answers.append(ask("alone", client=client)))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(2) as pool:
        answers += pool.map(lambda prompt: stream(prompt, client=client), ["one", "two", "three"])
    assert answers == ["Hello world"] * 4
    assert len(claude_latency.calls) == 4
""",
    )


def test_an_async_client_on_several_loops(suite: Suite) -> None:
    _record_and_replay(
        suite,
        """
import threading


async def run():
    async with anthropic.AsyncAnthropic() as client:
        return await asyncio.gather(aask("one", client=client), astream("two", client=client))


def test_it(claude_latency):
    answers = asyncio.run(run())
    with asyncio.Runner() as runner:
        answers += runner.run(run())
    thread = threading.Thread(target=lambda: answers.extend(asyncio.run(run())))
    thread.start()
    thread.join()
    assert answers == ["Hello world"] * 6
    assert len(claude_latency.calls) == 6
""",
    )


@has_middleware
def test_middleware_sees_each_attempt_of_one_call(suite: Suite) -> None:
    suite.server.answer(status(529), text("Hello wor|ld"), status(529), text("Hello wor|ld"))
    _record_and_replay(
        suite,
        """
events = []


def watched(request, call_next):
    response = call_next(request)
    events.append(response.status_code)
    return response


async def awatched(request, call_next):
    response = await call_next(request)
    events.append(response.status_code)
    return response


async def run():
    async with anthropic.AsyncAnthropic(middleware=[awatched]) as client:
        return await astream(client=client)


def test_it(claude_latency):
    assert ask(client=anthropic.Anthropic(middleware=[watched])) == "Hello world"
    assert asyncio.run(run()) == "Hello world"
    assert events == [529, 200] * 2
    assert [call.attempts for call in claude_latency.calls] == [2, 2]
""",
    )


@has_credentials
def test_a_replay_asks_no_credential_provider(suite: Suite) -> None:
    suite.write(
        """
import os
from anthropic.lib.credentials import AccessToken


def provider(**more):
    asked.append(more)
    return AccessToken(token="a-token", expires_at=None)


asked = []


def test_it(claude_latency):
    client = anthropic.Anthropic(credentials=provider)
    assert stream(client=client) == "Hello world"
    assert len(asked) == ("ANTHROPIC_BASE_URL" in os.environ)
"""
    )

    suite.record().assert_outcomes(passed=1)
    suite.replay().assert_outcomes(passed=1)


@has_credentials
def test_a_replay_fetches_no_token_for_a_profile(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.write(
        """
import os


def test_it(claude_latency):
    assert (anthropic.Anthropic().credentials is not None) == ("ANTHROPIC_CONFIG_DIR" in os.environ)
    assert stream() == asyncio.run(aask()) == "Hello world"
"""
    )
    suite.record().assert_outcomes(passed=1)
    configs = suite.path / "anthropic" / "configs"
    configs.mkdir(parents=True)
    rule = {
        "type": "oidc_federation",
        "federation_rule_id": "fdrl_1",
        "identity_token": {"source": "file", "path": "/no"},
    }
    (configs / "default.json").write_text(json.dumps({"organization_id": "o", "authentication": rule}))
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(suite.path / "anthropic"))

    suite.replay().assert_outcomes(passed=1)


@has_telemetry
def test_spans_are_made_as_ever(suite: Suite) -> None:
    suite.write(
        """
from opentelemetry import trace

spans = []


class Span(trace.NonRecordingSpan):
    def is_recording(self):
        return True

    def end(self, end_time=None):
        spans.append(self.name)


class Provider(trace.TracerProvider):
    def get_tracer(self, *args, **more):
        return Tracer()


class Tracer(trace.Tracer):
    def start_span(self, name, *args, **more):
        span = Span(trace.SpanContext(7, 9, is_remote=False))
        span.name = name
        return span

    start_as_current_span = None


def test_it(claude_latency):
    telemetry = {"tracer_provider": Provider(), "traces": {"content_mode": "content"}}
    client = anthropic.Anthropic(open_telemetry=telemetry)
    assert stream(client=client) == ask(client=client) == "Hello world"
    assert len(claude_latency.calls) == 2
    save_result(spans)
"""
    )
    suite.record().assert_outcomes(passed=1)
    recorded = suite.saved_result

    suite.replay().assert_outcomes(passed=1)

    assert len(recorded) == 2
    assert suite.saved_result == recorded
