"""Programs of `dspy`: with its litellm engine they are met; its own engine opens sockets, which the guard refuses."""

from __future__ import annotations

import pytest

from pytest_claude_latency.http.guard.connection import ALL_UNMEASURED, REFUSED
from tests.clients.client_suite import GAP, TTFB, ClientSuite, Way
from tests.support.claude_messages import text

pytest.importorskip("dspy", reason='nox -s "clients(dspy)" installs it')

BEGIN = """
import dspy


def model():
    base = LIVE or "https://api.anthropic.com"
    return dspy.LM("anthropic/claude-haiku-4-5", api_base=base, api_key="x", max_tokens=90, cache=False, **ENGINE)
"""

LITELLM = "\nENGINE = {'engine': 'litellm'}\n"
OWN = "\nENGINE = {'engine': 'lm15'}\n"

SYNC = """
def ask(prompt):
    with dspy.context(lm=model()):
        return dspy.Predict("question -> answer")(question=prompt).answer
"""
ASYNC = """
async def aask(prompt):
    with dspy.context(lm=model()):
        return (await dspy.Predict("question -> answer").acall(question=prompt)).answer


def ask(prompt):
    return asyncio.run(aask(prompt))
"""
STREAMED = """
async def aask(prompt):
    listener = dspy.streaming.StreamListener(signature_field_name="answer")
    program = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener])
    with dspy.context(lm=model()):
        parts = [part async for part in program(question=prompt)]
    return parts[-1].answer


def ask(prompt):
    return asyncio.run(aask(prompt))
"""

FIELDS = text("[[ ## answer ## ]]\nHello |world\n\n[[ ## completed ## ]]", ttfb=TTFB, gaps=[GAP, GAP])
WAYS = {
    "sync": Way(SYNC, [FIELDS]),
    "async": Way(ASYNC, [FIELDS]),
    "streamed": Way(STREAMED, [FIELDS], streamed=True),
}


@pytest.mark.timeout(1200)
def test_calls(clients: ClientSuite) -> None:
    clients.check(BEGIN + LITELLM, WAYS)


OWN_ENGINE = """

@pytest.mark.latency_budget(total="60s")
def test_it():
    try:
        ask("hi")
    except Exception as error:
        print(error)
"""


@pytest.mark.timeout(1200)
def test_its_own_engine_is_refused_in_a_replay_and_named_in_a_recording(clients: ClientSuite) -> None:
    clients.suite.server.answer(FIELDS)
    clients.suite.write("import os\nLIVE = os.environ.get('ANTHROPIC_BASE_URL')\n" + BEGIN + OWN + SYNC + OWN_ENGINE)

    recorded = clients.suite.record("-W", "ignore")
    replayed = clients.suite.replay("-W", "ignore")

    recorded.assert_outcomes(failed=1)
    recorded.stdout.fnmatch_lines([ALL_UNMEASURED.format(library="dspy")])
    replayed.assert_outcomes(failed=1)
    replayed.stdout.fnmatch_lines([REFUSED.format(library="dspy")])
