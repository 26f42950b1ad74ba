"""Other people's playback, for real: what they answer is neither recorded nor judged as the API's, and that is said."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec

import pytest

from tests.clients.client_suite import ClientSuite
from tests.support.claude_answers import json_answer

pytest.importorskip("vcr", reason='nox -s "clients(playback)" installs it and its like')
pytestmark = pytest.mark.timeout(1200)

CONFTEST = """
import os, socket

connect = socket.socket.connect


def refuse(self, address):
    if address[0] != "127.0.0.1":
        with open("network.txt", "a") as file:
            print(address, file=file)
        raise ConnectionRefusedError("a packet would leave")
    return connect(self, address)


def no_lookup(host, *args, **kwargs):
    with open("network.txt", "a") as file:
        print(host, file=file)
    raise socket.gaierror("a name would be looked up")


socket.socket.connect = refuse
lookup = socket.getaddrinfo
socket.getaddrinfo = lambda host, *args, **kwargs: (lookup if host == "127.0.0.1" else no_lookup)(host, *args, **kwargs)
"""

COMMON = """
import json, os

URL = "https://api.anthropic.com/v1/messages"
LIVE = os.environ.get("ANTHROPIC_BASE_URL")
ASKED = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": messages("hi")}
HEADERS = {"x-api-key": "x", "anthropic-version": "2023-06-01"}
OWN = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
       "content": [{"type": "text", "text": "own"}], "stop_sequence": None,
       "usage": {"input_tokens": 1, "output_tokens": 1}}

TAPE = {"version": 1, "interactions": [{
    "request": {"method": "POST", "uri": URL, "body": json.dumps(ASKED), "headers": {}},
    "response": {"status": {"code": 200, "message": "OK"}, "headers": {"content-type": ["application/json"]},
                 "body": {"string": json.dumps(OWN)}}}]}


def said(answer):
    return answer["content"][0]["text"]
"""

BY_HTTPX = """
import httpx


def ask_plainly():
    return said(httpx.post(URL, json=ASKED, headers=HEADERS).json())
"""
BY_REQUESTS = """
import requests


def ask_plainly():
    return said(requests.post(URL, json=ASKED, headers=HEADERS).json())
"""
BY_AIOHTTP = """
import aiohttp


async def aask_plainly():
    async with aiohttp.ClientSession() as session, session.post(URL, json=ASKED, headers=HEADERS) as answer:
        return said(json.loads(await answer.text()))


def ask_plainly():
    return asyncio.run(aask_plainly())
"""
BY_SDK = """
def ask_plainly():
    with anthropic.Anthropic(api_key="x", base_url="https://api.anthropic.com") as client:
        return ask(client=client, max_tokens=9)
"""

# Below the doors: their answers are seen, and known not to be the network's. In a replay recordings come first.
PYTEST_HTTPX = """
@pytest.mark.httpx_mock(assert_all_responses_were_requested=False)
@pytest.mark.latency_budget(total="60s")
def test_it(httpx_mock, claude_latency):
    httpx_mock.add_response(url=URL, json=OWN)
    assert ask_plainly() == EXPECTED
"""
VCR = """
import vcr, yaml


@pytest.mark.latency_budget(total="60s")
def test_it(claude_latency):
    with open("tape.yaml", "w") as file:
        yaml.safe_dump(TAPE, file)
    with vcr.use_cassette("tape.yaml", record_mode="none", match_on=["method", "uri"]):
        assert ask_plainly() == EXPECTED
"""
RECORDING = """
import pathlib, yaml


@pytest.fixture(scope="module")
def vcr_cassette_dir():
    folder = pathlib.Path("tapes")
    folder.mkdir(exist_ok=True)
    (folder / "test_it.yaml").write_text(yaml.safe_dump(TAPE))
    return str(folder)


@pytest.mark.vcr
@pytest.mark.block_network
@pytest.mark.latency_budget(total="60s")
def test_it(claude_latency):
    assert ask_plainly() == EXPECTED
"""

# Above the doors: what they answer does not come here at all. An older VCR replaces the methods at which the door of
# httpx is, and none of httpx2.
RESPONSES = """
import responses


@responses.activate
@pytest.mark.latency_budget(total="60s")
def test_it():
    responses.add(responses.POST, URL, json=OWN)
    assert ask_plainly() == "own"
"""
REQUESTS_MOCK = """
@pytest.mark.latency_budget(total="60s")
def test_it(requests_mock):
    requests_mock.post(URL, json=OWN)
    assert ask_plainly() == "own"
"""
AIORESPONSES = """
from aioresponses import aioresponses


@pytest.mark.latency_budget(total="60s")
def test_it():
    with aioresponses() as mocked:
        mocked.post(URL, payload=OWN)
        assert ask_plainly() == "own"
"""
PLAIN = """
@pytest.mark.latency_budget(total="60s")
def test_it(claude_latency):
    assert ask_plainly() == "Hello world"
"""

BY_BOTO3 = """
import boto3


def ask_plainly():
    client = boto3.client("bedrock-runtime", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    answer = client.invoke_model(modelId="anthropic.claude-3-haiku-20240307-v1:0", body=json.dumps(ASKED))
    return json.loads(answer["body"].read())
"""
MOTO = """
from moto import mock_aws


@mock_aws
@pytest.mark.latency_budget(total="60s")
def test_it():
    assert ask_plainly() == {}  # what moto answers unless it is told otherwise
"""
HTTPRETTY = """
import httpretty


@pytest.mark.latency_budget(total="60s")
def test_it(claude_latency):
    with httpretty.enabled(allow_net_connect=False):
        httpretty.register_uri(httpretty.POST, URL, body=json.dumps(OWN))
        assert ask_plainly() == EXPECTED
"""

_VCR = int(version("vcrpy").partition(".")[0])
_AIOHTTP = tuple(map(int, version("aiohttp").split(".")[:2]))  # aioresponses 0.7.9 knows no later ones than 3.13
_URLLIB3 = tuple(map(int, version("urllib3").split(".")[:2]))  # httpretty 1.1.4 knows no later ones than 2.2
BELOW = {
    "httpx_by_pytest_httpx": (BY_HTTPX, PYTEST_HTTPX, "pytest_httpx"),
    "requests_by_vcr": (BY_REQUESTS, VCR, "vcr"),
    **({"httpx_by_vcr": (BY_HTTPX, VCR, "vcr"), "sdk_by_vcr": (BY_SDK, VCR, "vcr")} if _VCR >= 9 else {}),
    "requests_by_recording": (BY_REQUESTS, RECORDING, "pytest_recording"),
    **({"requests_by_httpretty": (BY_REQUESTS, HTTPRETTY, "httpretty")} if _URLLIB3 < (2, 3) else {}),
}
ABOVE = {
    "requests_by_responses": (BY_REQUESTS, RESPONSES, "responses"),
    "requests_by_requests_mock": (BY_REQUESTS, REQUESTS_MOCK, "requests_mock"),
    **({"aiohttp_by_aioresponses": (BY_AIOHTTP, AIORESPONSES, "aioresponses")} if _AIOHTTP < (3, 14) else {}),
    **({"httpx_by_older_vcr": (BY_HTTPX, VCR.replace("EXPECTED", "'own'"), "vcr")} if _VCR < 9 else {}),
    "bedrock_by_moto": (BY_BOTO3, MOTO, "moto"),
    "aiohttp_by_vcr": (BY_AIOHTTP, VCR.replace("EXPECTED", "'own'"), "vcr"),
}
_QUIET = ("-W", "ignore", "-p", "no:asyncio", "-p", "no:trio", "--tb=short")


def _write(clients: ClientSuite, programs: dict[str, tuple[str, str, str]], expected: str) -> None:
    for name, (begin, test, _) in programs.items():
        clients.suite.write(COMMON + begin + test.replace("EXPECTED", repr(expected)), f"test_{name}")


def _installed(programs: dict[str, tuple[str, str, str]]) -> dict[str, tuple[str, str, str]]:
    return {name: program for name, program in programs.items() if find_spec(program[2])}


def _no_packet_left(clients: ClientSuite) -> None:
    packets = clients.suite.path / "network.txt"
    assert not packets.exists(), packets.read_text()


def _played_back(clients: ClientSuite, programs: dict[str, tuple[str, str, str]], says: str) -> None:
    """Run the programs as runs that would call the API: each says this, and nothing is measured, recorded or sent."""
    for mode in ("record", "live"):
        result = clients.suite.record(*_QUIET, mode=mode)

        result.assert_outcomes(passed=len(programs))
        assert len([line for line in result.outlines if says in line]) == len(programs)
        assert all(test["calls"] == [] for test in clients.suite.report["tests"])
    assert clients.suite.recordings() == []
    _no_packet_left(clients)


def test_playback_below_a_door_is_asked_and_not_taken_for_the_api(clients: ClientSuite) -> None:
    programs = _installed(BELOW)
    clients.suite.pytester.makeconftest(CONFTEST)
    _write(clients, programs, "own")

    _played_back(clients, programs, "1 answer came from a mock")

    for name, (begin, _, _) in programs.items():
        live = COMMON + begin.replace("https://api.anthropic.com", clients.suite.server.url) + PLAIN
        clients.suite.write(live.replace("https://api.anthropic.com", clients.suite.server.url), f"test_{name}")
    clients.suite.record(*_QUIET).assert_outcomes(passed=len(programs))
    _write(clients, programs, "Hello world")
    clients.suite.server.close()

    clients.suite.replay(*_QUIET).assert_outcomes(passed=len(programs))
    _no_packet_left(clients)


def test_playback_above_a_door_is_named_where_no_call_was_seen(clients: ClientSuite) -> None:
    programs = _installed(ABOVE)
    clients.suite.pytester.makeconftest(CONFTEST)
    _write(clients, programs, "own")

    _played_back(clients, programs, "no call was seen, so nothing was recorded or measured")

    result = clients.suite.replay(*_QUIET)
    result.assert_outcomes(failed=len(programs))
    assert len([line for line in result.outlines if line.startswith("  mocks     ")]) == len(programs)
    _no_packet_left(clients)


HISHEL = """
from hishel import httpx2 as cache


def test_it(claude_latency):
    with anthropic.Anthropic(http_client=cache.CacheClient()) as client:
        first = client.models.list().to_dict()
        assert client.models.list().to_dict() == first
"""


def test_a_caching_transport_is_asked_and_its_answers_are_not_recorded(clients: ClientSuite) -> None:
    pytest.importorskip("hishel.httpx2")
    clients.suite.pytester.makeconftest(CONFTEST)
    clients.suite.write(HISHEL)
    clients.suite.server.answers(lambda request: json_answer({"data": [], "has_more": False}))

    result = clients.suite.record(*_QUIET)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*1 answer came from a mock*"])
    assert len(clients.suite.server.log) == 1
    (recording,) = clients.suite.recordings()
    assert (clients.suite.path / recording).read_text().count('"request"') == 1
