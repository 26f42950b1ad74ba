"""Faults beside what the API sends: a program sees the same of both, byte for byte and header for header."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import anthropic
import boto3
import pytest
import requests
import urllib3
from botocore.config import Config

from pytest_claude_latency.http.library import HTTPLibrary
from tests.support.faults_on_the_wire import CASES, CLAUDE, Ask, Case, Seen, answered, ask_both, events

HTTPX: Any = HTTPLibrary.of_sdk().module
HEADERS = {"anthropic-version": "2023-06-01", "content-type": "application/json"}


def body(case: Case) -> bytes:
    return case.recorded.exchanges[0].request.content


def by_httpx(base: str, case: Case) -> Seen:
    limits = HTTPX.Timeout(30, read=case.read_timeout)
    with HTTPX.Client(timeout=limits) as client:
        answer = client.post(base + case.path, headers=HEADERS, content=body(case))
        return answered(answer.status_code, answer.headers, answer.content)


def by_async_httpx(base: str, case: Case) -> Seen:
    async def ask() -> Seen:
        limits = HTTPX.Timeout(30, read=case.read_timeout)
        async with HTTPX.AsyncClient(timeout=limits) as client:
            answer = await client.post(base + case.path, headers=HEADERS, content=body(case))
            return answered(answer.status_code, answer.headers, answer.content)

    return asyncio.run(ask())


def by_requests(base: str, case: Case) -> Seen:
    answer = requests.post(base + case.path, headers=HEADERS, data=body(case), timeout=(30, case.read_timeout))
    return answered(answer.status_code, answer.headers, answer.content)


def by_urllib3(base: str, case: Case) -> Seen:
    limits = urllib3.Timeout(connect=30, read=case.read_timeout)
    with urllib3.PoolManager() as pools:
        answer = pools.request(
            "POST", base + case.path, headers=HEADERS, body=body(case), retries=False, timeout=limits
        )
        return answered(answer.status, answer.headers, answer.data)


def by_aiohttp(base: str, case: Case) -> Seen:
    async def ask() -> Seen:
        limits = aiohttp.ClientTimeout(sock_connect=30, sock_read=case.read_timeout)
        async with (
            aiohttp.ClientSession(timeout=limits) as session,
            session.post(base + case.path, headers=HEADERS, data=body(case)) as answer,
        ):
            return answered(answer.status, answer.headers, await answer.read())

    return asyncio.run(ask())


def asked_by_sdk(case: Case) -> Any:
    return {name: value for name, value in case.recorded.exchanges[0].request.json.items() if name != "stream"}


def by_sdk(base: str, case: Case) -> Seen:
    limits = HTTPX.Timeout(30, read=case.read_timeout)
    with (
        anthropic.Anthropic(api_key="x", base_url=base, max_retries=0, timeout=limits) as client,
        client.messages.stream(**asked_by_sdk(case)) as answer,
    ):
        return answered(200, {}, events(list(answer.text_stream)))


def by_sdk_over_aiohttp(base: str, case: Case) -> Seen:
    async def ask() -> Seen:
        limits = HTTPX.Timeout(30, read=case.read_timeout)
        try:
            carrier = anthropic.DefaultAioHttpClient(base_url=base, timeout=limits)
        except RuntimeError as missing:  # older SDKs bring no such transport of their own
            pytest.skip(str(missing))
        async with (
            anthropic.AsyncAnthropic(api_key="x", base_url=base, max_retries=0, http_client=carrier) as client,
            client.messages.stream(**asked_by_sdk(case)) as answer,
        ):
            return answered(200, {}, events([text async for text in answer.text_stream]))

    return asyncio.run(ask())


def by_boto3(base: str, case: Case) -> Seen:
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=30, read_timeout=case.read_timeout)
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    client = boto3.client("bedrock-runtime", region_name="eu-west-1", endpoint_url=base, config=config, **keys)
    answer = client.converse_stream(modelId=CLAUDE, messages=[{"role": "user", "content": [{"text": "hi"}]}])
    return answered(200, answer["ResponseMetadata"]["HTTPHeaders"], events(list(answer["stream"])))


OF_THE_WIRE = ("refused", "unanswered", "dropped")
OF_STREAMS = ("truncated", "overloaded_midstream", "malformed")
OTHER_CLIENTS = (by_async_httpx, by_requests, by_urllib3, by_aiohttp)
ASKED = [
    *((by_httpx, f"messages {fault}") for fault in ("429", "529", "500", "401", *OF_THE_WIRE, *OF_STREAMS)),
    # The bytes of the other forms are the same through each client, and so is what it makes of the wire.
    *((by_httpx, f"chat {fault}") for fault in ("429", "529", "401", *OF_STREAMS)),
    *((by_httpx, f"vertex {fault}") for fault in ("429", "404")),
    *(
        (ask, f"messages {fault}")
        for ask in (by_async_httpx, by_requests, by_urllib3)
        for fault in ("429", *OF_THE_WIRE)
    ),
    *((by_aiohttp, f"messages {fault}") for fault in ("429", *OF_THE_WIRE)),
    *((by_sdk, f"messages {fault}") for fault in ("429", "529", *OF_THE_WIRE, *OF_STREAMS)),
    *((by_sdk_over_aiohttp, f"messages {fault}") for fault in ("429", *OF_THE_WIRE)),
    *((by_boto3, f"converse {fault}") for fault in ("429", "503", "400", *OF_THE_WIRE, *OF_STREAMS)),
]


@pytest.mark.parametrize(("ask", "name"), ASKED)
def test_a_program_cannot_tell_a_fault_from_the_api(ask: Ask, name: str) -> None:
    seen = ask_both(ask, CASES[name])

    assert seen.injected == seen.sent
    # or both would be equal, and neither the answer or the error of the case
    assert seen.sent.errors or seen.sent.status is not None
