"""Which items of an output a user sees."""

from __future__ import annotations

import pytest

from pytest_claude_latency.measurement.watch import is_visible


@pytest.mark.parametrize(
    "item", ["text", b"text", "data: hi\n\n", "event: x\ndata: hi", "\n\nhi", {"a": 1}, "data:[DONE]"]
)
def test_what_a_user_sees_counts(item: object) -> None:
    assert is_visible(item)


@pytest.mark.parametrize(
    "item", ["", " \n", b"", ": ping\n\n", "event: ping\n", "data:\n\n", "id: 3", "retry: 9", {}, None]
)
def test_white_space_and_the_frame_of_events_do_not(item: object) -> None:
    assert not is_visible(item)
