"""litellm's async calls, which it sends through httpx over aiohttp."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.plugin.suite import Suite

pytestmark = pytest.mark.skipif(find_spec("litellm") is None, reason="nox -s clients installs it")

PROGRAM = """
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it fetches one
import litellm

BASE = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
ASKED = {"model": "anthropic/claude-haiku-4-5", "api_key": "x", "api_base": BASE, "max_tokens": 9}


async def program():
    whole = await litellm.acompletion(messages=messages("PROMPT"), **ASKED)
    parts = await litellm.acompletion(messages=messages("two"), stream=True, **ASKED)
    streamed = [part.choices[0].delta.content or "" async for part in parts]
    return [whole.choices[0].message.content, "".join(streamed)]


def test_it(claude_latency):
    assert asyncio.run(program()) == ["Hello world"] * 2
    assert [call.streamed for call in claude_latency.calls] == [False, True]
"""


def test_async_calls(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    # It keeps what it imports from the library's metadata, which a second run in one process takes away.
    monkeypatch.setattr(suite.pytester, "runpytest", suite.pytester.runpytest_subprocess)
    suite.write(PROGRAM.replace("PROMPT", "one"))
    suite.record("-W", "ignore").assert_outcomes(passed=1)
    recorded = suite.calls("test_it")

    suite.replay("-W", "ignore").assert_outcomes(passed=1)

    for before, after in zip(recorded, suite.calls("test_it"), strict=True):
        assert after["ttft"] == pytest.approx(before["ttft"], abs=2e-6)
    suite.write(PROGRAM.replace("PROMPT", "another"))
    suite.replay("-W", "ignore").assert_outcomes(failed=1)
    assert len(suite.server.log) == 2
