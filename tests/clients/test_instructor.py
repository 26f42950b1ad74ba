"""Structured answers by `instructor`, around Anthropic's SDK."""

from __future__ import annotations

import pytest

from tests.clients.client_suite import GAP, TTFB, ClientSuite, Way
from tests.support.claude_messages import tool_use

pytest.importorskip("instructor", reason='nox -s "clients(instructor)" installs it')

BEGIN = """
import instructor
from pydantic import BaseModel

BASE = LIVE or "https://api.anthropic.com"


class Order(BaseModel):
    order: int


def asked(prompt):
    return {**{"model": "claude-haiku-4-5", "max_tokens": 90}, "messages": messages(prompt), "response_model": Order}
"""

SYNC = """
def ask(prompt):
    client = instructor.from_anthropic(anthropic.Anthropic(api_key="x", base_url=BASE))
    return client.messages.create(**asked(prompt)).order
"""
ASYNC = """
def ask(prompt):
    client = instructor.from_anthropic(anthropic.AsyncAnthropic(api_key="x", base_url=BASE))
    return asyncio.run(client.messages.create(**asked(prompt))).order
"""

GIVEN = tool_use("Order", {"order": 7}, ttfb=TTFB, gaps=[GAP, GAP])
WAYS = {
    name: Way(program, [GIVEN], 7, stop_reasons=["tool_use"])
    for name, program in {"sync": SYNC, "async": ASYNC}.items()
}


@pytest.mark.timeout(1200)
def test_calls(clients: ClientSuite) -> None:
    clients.check(BEGIN, WAYS)
