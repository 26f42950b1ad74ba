from __future__ import annotations

import json
import logging
import warnings
from typing import Any

import anthropic
import pytest

from pytest_claude_latency.http import sdk_warmup


def test_the_sdk_reads_an_answer_of_each_kind_and_nothing_is_sent_logged_or_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made, asked = sdk_warmup._answer_of, []

    def counting(module: Any) -> Any:
        answer = made(module)

        def count(request: Any) -> Any:
            kind = "session" if request.method == "GET" else json.loads(request.content).get("stream", False)
            asked.append((request.url.host, kind))
            return answer(request)

        return count

    monkeypatch.setattr(sdk_warmup, "_answer_of", counting)

    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        sdk_warmup.warm_up_sdk.__wrapped__()

    assert {host for host, _ in asked} == {"127.0.0.1"}
    kinds = [kind for _, kind in asked]
    assert [kind for kind in kinds if kind != "session"] == [False, True, True, True]
    assert ("session" in kinds) == hasattr(anthropic.resources.beta, "Sessions")
    assert caplog.records == []
    assert logging.root.manager.disable == 0


@pytest.mark.slow
def test_what_cannot_be_warmed_is_left_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        return lambda request: 1 / 0

    monkeypatch.setattr(sdk_warmup, "_answer_of", broken)

    sdk_warmup.warm_up_sdk.__wrapped__()


def test_it_is_done_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    sdk_warmup.warm_up_sdk()
    monkeypatch.delattr(sdk_warmup, "_read_all")

    sdk_warmup.warm_up_sdk()
