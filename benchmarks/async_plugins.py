"""What a replay costs in an async test: the comparison of `replay_cost.py` under pytest-asyncio and under anyio.

Each round has a test on a bare respx route and a latency test with a recording, in one run of pytest.

    python benchmarks/async_plugins.py
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from replay_cost import BODY, CHUNKS, STREAMS, tell
from streams import exchange, recording
from suites import pytest_seconds

from pytest_claude_latency.duration import MILLISECOND, Nanoseconds

ROUNDS = 20
PLUGINS = {
    "pytest-asyncio": ("pytest_asyncio.plugin", "pytest.mark.asyncio", "asyncio"),
    "anyio, asyncio": ("anyio.pytest_plugin", "pytest.mark.anyio", "asyncio"),
    "anyio, trio": ("anyio.pytest_plugin", "pytest.mark.anyio", "trio"),
}
_HEAD = """
import gc, json, sys
from pathlib import Path

import pytest

sys.path.insert(0, {benchmarks!r})
from replay_cost import async_costs, bare

pytestmark = {mark}
gc.disable()


@pytest.fixture
def anyio_backend():
    return {backend!r}


async def note(kind):
    costs = await async_costs()
    gc.collect()
    with Path("costs.jsonl").open("a") as file:
        print(json.dumps([kind, costs]), file=file)
"""
_ROUND = """
async def test_bare_{0}():
    with bare():
        await note("bare")


@pytest.mark.latency_budget(total="1h")
async def test_replayed_{0}():
    await note("replayed")
"""


def costs_under(plugin: str, mark: str, backend: str) -> dict[str, list[Nanoseconds]]:
    """Return what streams cost on the bare route and replayed, in tests that this plugin runs."""
    with tempfile.TemporaryDirectory() as name:
        module = Path(name) / "test_streams.py"
        head = _HEAD.format(benchmarks=str(Path(__file__).parent), mark=mark, backend=backend)
        module.write_text(head + "".join(_ROUND.format(number) for number in range(ROUNDS)))
        made = recording([exchange(BODY, 20 * MILLISECOND)] * STREAMS)
        for number in range(ROUNDS):
            path = module.parent / "cassettes" / module.stem / f"test_replayed_{number}.1.jsonl"
            replace(made, test=f"{module.name}::test_replayed_{number}").save(path)
        pytest_seconds(module, "-p", plugin)
        costs: dict[str, list[Nanoseconds]] = {"bare": [], "replayed": []}
        for line in (module.parent / "costs.jsonl").read_text().splitlines():
            kind, of_round = json.loads(line)
            costs[kind] += of_round
    return costs


if __name__ == "__main__":
    print(f"a stream of {CHUNKS} chunks")
    for kind, names in PLUGINS.items():
        costs = costs_under(*names)
        tell(kind, costs["bare"], costs["replayed"])
