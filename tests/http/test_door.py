"""Doors that nest, and requests on their way."""

from __future__ import annotations

import asyncio
import contextvars

from pytest_claude_latency.http.door import Passage, is_inside_another, passing

API = ("api.anthropic.com", 443)


def test_an_inner_door_leaves_alone_what_an_outer_one_lets_pass() -> None:
    with Passage("API.anthropic.com", 443):
        assert is_inside_another(*API)
    assert not is_inside_another(*API)


def test_a_request_to_another_destination_is_the_inner_doors_own() -> None:
    # An application may answer the outer request inside this process, and call Claude while it does.
    with Passage("testserver", 80):
        assert not is_inside_another(*API)


def test_what_is_on_its_way_is_known_in_all_threads() -> None:
    with Passage(*API), Passage(*API):
        assert contextvars.Context().run(passing, *API)
    assert not passing(*API)


def test_a_task_that_outlives_the_request_is_no_longer_inside() -> None:
    async def program() -> bool:
        sent = asyncio.Event()

        async def later() -> bool:
            await sent.wait()
            return is_inside_another(*API)

        with Passage(*API):
            task = asyncio.create_task(later())
            await asyncio.sleep(0)
        sent.set()
        return await task

    assert not asyncio.run(program())
