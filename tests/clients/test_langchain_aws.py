"""Models of `langchain-aws` on Bedrock: by Converse and by `invoke`."""

from __future__ import annotations

import pytest

from tests.clients.client_suite import CONVERSE_HELLO, CONVERSE_STREAM_HELLO, GAP, HELLO, TTFB, ClientSuite, Way
from tests.support.bedrock_answers import invoke_stream

pytest.importorskip("langchain_aws", reason='nox -s "clients(langchain_aws)" installs it')

BEGIN = """
from loop import RUN
from langchain_aws import ChatBedrock, ChatBedrockConverse

GIVEN = {"endpoint_url": LIVE, "aws_access_key_id": "a", "aws_secret_access_key": "b"} if LIVE else {}
GIVEN |= {"model": "anthropic.claude-3-haiku-20240307-v1:0", "region_name": "us-east-1"}
"""

ASKED = """
def ask(prompt):
    return KIND(**GIVEN).invoke(prompt).content
"""
STREAMED = """
def ask(prompt):
    parts = [part.content for part in KIND(**GIVEN).stream(prompt)]
    texts = [[{"text": part}] if isinstance(part, str) else part for part in parts]
    return "".join(piece.get("text", "") for pieces in texts for piece in pieces)
"""
ASYNC = """
def ask(prompt):
    return RUN(KIND(**GIVEN).ainvoke(prompt)).content
"""

CONVERSE, INVOKE = "ChatBedrockConverse", "ChatBedrock"
WAYS = {
    "converse": Way(ASKED.replace("KIND", CONVERSE), [CONVERSE_HELLO]),
    "converse_async": Way(ASYNC.replace("KIND", CONVERSE), [CONVERSE_HELLO]),
    "converse_streamed": Way(STREAMED.replace("KIND", CONVERSE), [CONVERSE_STREAM_HELLO], streamed=True),
    "invoke": Way(ASKED.replace("KIND", INVOKE), [HELLO]),
    "invoke_streamed": Way(
        STREAMED.replace("KIND", INVOKE), [invoke_stream("Hello wor|ld", ttfb=TTFB, gap=GAP)], streamed=True
    ),
}


@pytest.mark.timeout(1200)
def test_calls(clients: ClientSuite) -> None:
    clients.check(BEGIN, WAYS)
