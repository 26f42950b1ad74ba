from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.cassettes.matching import EXACT, Matcher, Rules, key_of
from pytest_claude_latency.cassettes.mismatch import Difference, differences
from pytest_claude_latency.messages_api.endpoints import UNKNOWN_PROJECT
from pytest_claude_latency.messages_api.exchange import End, Exchange, FaultMark, Request
from tests.support.some_recording import JSON_VALUES, answering, asking

MESSAGES = "https://api.anthropic.com/v1/messages"


def fits(recorded: Request, sent: Request, rules: Rules = EXACT) -> bool:
    return key_of(recorded, rules) == key_of(sent, rules)


def saying(body: object, url: str = MESSAGES) -> Request:
    return asking(json.dumps(body).encode(), url)


def uploading(boundary: str, *parts: str, quoted: bool = False) -> Request:
    content = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"
    named = f'"{boundary}"' if quoted else boundary
    return asking(
        content.encode(), "https://host/v1/files", (("content-type", f"multipart/form-data; boundary={named}"),)
    )


FILE = 'Content-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n'


@pytest.mark.parametrize(
    ("recorded", "sent"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"temperature": 1}, {"temperature": 1.0}),
        ({"temperature": -0.0}, {"temperature": 0}),
        ({"text": "é"}, {"text": "\u00e9"}),
        (None, None),
    ],
)
def test_bodies_with_the_same_value_fit(recorded: object, sent: object) -> None:
    assert fits(saying(recorded), saying(sent))


@pytest.mark.parametrize(
    ("recorded", "sent"),
    [
        ({"stream": True}, {"stream": 1}),
        ({"stream": False}, {"stream": 0}),
        ({"stop": None}, {}),
        ({"n": 1}, {"n": "1"}),
        ({"n": 1}, {"n": 1.5}),
        ([1, 2], [2, 1]),
        ({}, []),
        ({"text": "e\u0301"}, {"text": "é"}),
        ({"model": "claude-haiku-4-5"}, {"model": "claude-sonnet-4-5"}),
    ],
)
def test_bodies_with_other_values_do_not_fit(recorded: object, sent: object) -> None:
    assert not fits(saying(recorded), saying(sent))


@given(JSON_VALUES, JSON_VALUES)
def test_requests_fit_exactly_if_they_differ_nowhere(first: Any, second: Any) -> None:
    assert fits(saying(first), saying(first))
    assert differences(saying(first), saying(first)) == []
    assert fits(saying(first), saying(second)) is (differences(saying(first), saying(second)) == [])


@pytest.mark.parametrize(
    ("url", "fit"),
    [
        ("https://gateway.example/v1/messages", True),
        ("http://127.0.0.1:8080/v1/messages", True),
        (f"{MESSAGES}?beta=true", True),  # what an older SDK asks
        (f"{MESSAGES}?limit=5", False),
        (f"{MESSAGES}?limit=5&beta=true", False),
        (f"{MESSAGES}/count_tokens", False),
        ("https://api.anthropic.com/v1/messages/", False),
    ],
)
def test_path_and_query_count_and_the_host_does_not(url: str, fit: bool) -> None:
    assert fits(saying({}), saying({}, url)) is fit


def test_the_method_counts() -> None:
    get, delete = (Request(method, "https://host/v1/files/1") for method in ("GET", "DELETE"))

    assert not fits(get, delete)
    assert differences(get, delete) == [Difference("method", "GET", "DELETE")]


@pytest.mark.parametrize("quoted", [False, True])
def test_a_multipart_body_is_compared_without_its_boundary(quoted: bool) -> None:
    recorded = uploading("aaa", f"{FILE}hello\r\n\r\nthere", f"{FILE}--bbb")

    assert fits(recorded, uploading("zzzz", f"{FILE}hello\r\n\r\nthere", f"{FILE}--bbb", quoted=quoted))


@pytest.mark.parametrize(
    ("parts", "paths"),
    [
        ([f"{FILE}hello!"], ["[0].content"]),
        ([f"{FILE}hello".replace("a.txt", "b.txt")], ["[0].headers.content-disposition"]),
        ([f"{FILE}hello", f"{FILE}more"], ["[1]"]),
    ],
)
def test_a_multipart_body_with_another_part_differs_there(parts: list[str], paths: list[str]) -> None:
    places = differences(uploading("b", f"{FILE}hello"), uploading("b", *parts))

    assert [difference.path for difference in places] == paths


@given(st.binary(), st.binary())
def test_a_multipart_body_fits_only_the_same_bytes_in_its_parts(first: bytes, second: bytes) -> None:
    def uploaded(content: bytes, boundary: str) -> Request:
        body = uploading(boundary, f"{FILE}HERE").content.replace(b"HERE", content)
        return Request("POST", MESSAGES, (("content-type", f"multipart/form-data; boundary={boundary}"),), body)

    assert fits(uploaded(first, "first-boundary"), uploaded(second, "second-boundary")) is (first == second)


@pytest.mark.parametrize("content", ["", "no boundary in it"])
def test_a_multipart_body_without_parts_fits_only_the_same_bytes(content: str) -> None:
    recorded = Request("POST", MESSAGES, (("content-type", "multipart/form-data; boundary=b"),), content.encode())

    assert fits(recorded, recorded)
    assert not fits(recorded, Request("POST", MESSAGES, recorded.headers, b"something else"))


@given(st.binary(), st.binary())
def test_any_other_body_fits_only_the_same_bytes(first: bytes, second: bytes) -> None:
    recorded, sent = (Request("POST", MESSAGES, (), b"\xff" + content) for content in (first, second))

    assert fits(recorded, sent) is (first == second)


@pytest.mark.parametrize("path", ["messages.*.content.*.cache_control", "messages[*].content[*].cache_control"])
def test_an_ignored_path_is_left_out_on_both_sides(path: str) -> None:
    def conversation(**extra: object) -> Request:
        return saying({"messages": [{"content": [{"text": "Hi"} | extra]}, {"content": "plain"}]})

    rules = Rules(ignore=(path,))

    assert fits(conversation(cache_control={"type": "ephemeral"}), conversation(), rules)
    assert fits(conversation(), conversation(cache_control={"ttl": "1h"}), rules)
    assert not fits(conversation(), conversation(citations=True), rules)


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("metadata.user_id", {"metadata": {}, "stop": ["a", "b", "c"]}),
        ("metadata.*", {"metadata": {}, "stop": ["a", "b", "c"]}),
        ("metadata", {"stop": ["a", "b", "c"]}),
        ("stop.1", {"metadata": {"user_id": 1}, "stop": ["a", "x", "c"]}),
        ("stop[1]", {"metadata": {"user_id": 1}, "stop": ["a", "x", "c"]}),
        ("stop.*", {"metadata": {"user_id": 1}, "stop": []}),
        ("stop.x.y", {"metadata": {"user_id": 1}, "stop": ["a", "b", "c"]}),
        ("absent.path", {"metadata": {"user_id": 1}, "stop": ["a", "b", "c"]}),
    ],
)
def test_an_ignored_path_leaves_everything_else_in(path: str, left: object) -> None:
    complete = saying({"metadata": {"user_id": 1}, "stop": ["a", "b", "c"]})

    assert fits(complete, saying(left), Rules(ignore=(path,)))


# ── handing out ──


def answers(*bodies: object) -> list[Exchange]:
    return [answering(str(place).encode(), request=saying(body)) for place, body in enumerate(bodies)]


def test_identical_requests_get_their_answers_in_the_recorded_order() -> None:
    first, other, second = answers({"a": 1}, {"b": 1}, {"a": 1.0})
    matcher = Matcher([first, other, second])

    taken = [matcher.take(saying(body)) for body in ({"a": 1}, {"a": 1}, {"a": 1}, {"b": 1}, {"c": 1})]

    assert taken == [first, second, None, other, None]


def test_what_was_not_handed_out_is_unused() -> None:
    first, other, second = answers({"a": 1}, {"b": 1}, {"a": 1})
    matcher = Matcher([first, other, second])
    matcher.take(saying({"a": 1}))

    assert matcher.unused == (other, second)
    assert [matcher.is_used(number) for number in (1, 2, 3)] == [True, False, False]


def test_repeated_answers_come_round_in_their_order() -> None:
    first, other, second = answers({"a": 1}, {"b": 1}, {"a": 1})
    matcher = Matcher([first, other, second], Rules(repeat=True))

    taken = [matcher.take(saying({"a": 1})) for _ in range(5)]

    assert taken == [first, second, first, second, first]
    assert matcher.unused == (other,)


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abcd")))
def test_every_answer_is_handed_out_once_and_only_to_what_it_fits(recorded: list[str], sent: list[str]) -> None:
    exchanges = answers(*recorded)
    matcher = Matcher(exchanges)

    taken = [(body, matcher.take(saying(body))) for body in sent]

    given_out = [id(exchange) for _, exchange in taken if exchange is not None]
    assert len(set(given_out)) == len(given_out)
    assert all(exchange is None or exchange.request == saying(body) for body, exchange in taken)
    assert {id(exchange) for exchange in matcher.unused} == {id(exchange) for exchange in exchanges} - set(given_out)
    for body in "abcd":
        served = sum(exchange is not None for asked, exchange in taken if asked == body)
        assert served == min(recorded.count(body), sent.count(body))


def test_threads_that_ask_at_once_never_get_the_same_answer() -> None:
    exchanges = answers(*[{"a": 1}] * 2_000)
    matcher = Matcher(exchanges)

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: matcher.take(saying({"a": 1})), range(2_100)))

    assert {id(exchange) for exchange in taken if exchange} == {id(exchange) for exchange in exchanges}
    assert taken.count(None) == 100


def test_an_unknown_project_is_that_of_the_recording_with_which_the_request_fits() -> None:
    def asked(project: str, content: bytes = b"{}") -> Request:
        url = f"https://claude.googleapis.com/v1/projects/{project}/locations/global/workspaces/w/invoke/v1/messages"
        return Request("POST", url, (), content)

    matcher = Matcher([answering(request=asked("shop")), answering(request=asked("tools", b"[]"))])

    assert matcher.placed(asked(UNKNOWN_PROJECT, b"[]")) == asked("tools", b"[]")
    assert matcher.placed(asked(UNKNOWN_PROJECT, b"1")) == asked("shop", b"1")
    assert matcher.placed(asked("another")) == asked("another")
    assert Matcher([]).placed(asked(UNKNOWN_PROJECT)) == asked(UNKNOWN_PROJECT)


# ── faults ──


def test_an_asking_that_meets_a_fault_leaves_the_recorded_answer_for_the_next() -> None:
    request = asking(b'{"messages": []}')
    recorded = [Exchange(0, request, end=End(1)), Exchange(5, request, end=End(2))]
    fault = Exchange(5, request, end=End(3), fault=FaultMark(2, is_injected=True))
    matcher = Matcher([recorded[0], fault, recorded[1]], Rules(repeat=True))

    taken = [matcher.take(request) for _ in range(6)]

    assert taken == [recorded[0], fault, recorded[1], recorded[0], recorded[1], recorded[0]]
    assert matcher.recorded == tuple(recorded)
    assert matcher.fitting(request) == (1, 2)


def test_a_fault_without_end_answers_every_further_asking() -> None:
    request = asking(b'{"messages": []}')
    fault = Exchange(0, request, end=End(3), fault=FaultMark(1, is_injected=True, is_endless=True))
    matcher = Matcher([fault, Exchange(0, request, end=End(1))])

    assert [matcher.take(request) for _ in range(4)] == [fault] * 4
    assert not matcher.is_used(1)


def test_the_same_bytes_under_another_content_type_are_another_body() -> None:
    recorded = uploading("a", FILE)
    of_one_part = Request(recorded.method, recorded.url, (("content-type", "text/plain"),), recorded.content)
    matcher = Matcher([answering(request=recorded)])

    assert matcher.take(of_one_part) is None
    assert matcher.take(recorded) is not None
