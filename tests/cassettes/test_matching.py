from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.cassettes.matching import (
    ABSENT,
    Difference,
    Matcher,
    Rules,
    differences,
    fits,
    miss_message,
    nearest,
)
from pytest_claude_latency.messages_api.exchange import Exchange, Request
from tests.support.some_recording import JSON_VALUES, answering, asking

MESSAGES = "https://api.anthropic.com/v1/messages"


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
def test_bodies_that_say_the_same_fit(recorded: object, sent: object) -> None:
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
def test_bodies_that_say_something_else_do_not_fit(recorded: object, sent: object) -> None:
    assert not fits(saying(recorded), saying(sent))


@given(JSON_VALUES, JSON_VALUES)
def test_requests_fit_exactly_if_they_differ_nowhere(one: Any, other: Any) -> None:
    assert fits(saying(one), saying(one))
    assert differences(saying(one), saying(one)) == []
    assert fits(saying(one), saying(other)) is (differences(saying(one), saying(other)) == [])


@pytest.mark.parametrize(
    ("url", "fit"),
    [
        ("https://gateway.example/v1/messages", True),
        ("http://127.0.0.1:8080/v1/messages", True),
        (f"{MESSAGES}?beta=true", False),
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
    found = differences(uploading("b", f"{FILE}hello"), uploading("b", *parts))

    assert [each.path for each in found] == paths


@given(st.binary(), st.binary())
def test_any_other_body_fits_only_the_same_bytes(one: bytes, other: bytes) -> None:
    recorded, sent = (Request("POST", MESSAGES, (), b"\xff" + content) for content in (one, other))

    assert fits(recorded, sent) is (one == other)


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
    whole = saying({"metadata": {"user_id": 1}, "stop": ["a", "b", "c"]})

    assert fits(whole, saying(left), Rules(ignore=(path,)))


def test_differences_name_every_place() -> None:
    recorded = saying({"model": "a", "messages": [{"role": "user", "content": "Hi"}], "stop": ["x"], "top_k": 5})
    sent = saying(
        {"model": "b", "messages": [{"role": "user", "content": "Ho"}], "stop": [], "stream": True, "top_k": 5}
    )

    assert differences(recorded, sent) == [
        Difference("model", "a", "b"),
        Difference("messages[0].content", "Hi", "Ho"),
        Difference("stop[0]", "x", ABSENT),
        Difference("stream", ABSENT, True),
    ]


@pytest.mark.parametrize(
    ("candidates", "place"),
    [
        ([{"a": 1, "b": 1}, {"a": 2, "b": 1}], 1),
        ([{"text": "Tag this ticket"}, {"text": "Label this tickets"}], 1),
        ([{"text": "Label this tickets"}, {"text": "Label this tickets"}], 0),
        ([{"text": "x" * 50, "a": 2, "b": 1}, {"text": "Label this ticket"}], 0),
    ],
)
def test_the_nearest_has_the_fewest_and_smallest_differences(candidates: list[object], place: int) -> None:
    sent = saying({"text": "Label this ticket", "a": 2, "b": 1})

    assert nearest(map(saying, candidates), sent) == place


def test_the_same_endpoint_is_nearer_than_the_same_body() -> None:
    other, same = saying({"a": 1}, f"{MESSAGES}/count_tokens"), saying({"b": 1, "c": 2})

    assert nearest([other, same], saying({"a": 1})) == 1


def test_nothing_is_nearest_to_a_request_where_nothing_was_recorded() -> None:
    assert nearest([], saying({})) is None


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
    assert {id(each) for each in matcher.unused} == {id(each) for each in exchanges} - set(given_out)
    for body in "abcd":
        served = sum(exchange is not None for asked, exchange in taken if asked == body)
        assert served == min(recorded.count(body), sent.count(body))


def test_threads_that_ask_at_once_never_get_the_same_answer() -> None:
    exchanges = answers(*[{"a": 1}] * 2_000)
    matcher = Matcher(exchanges)

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: matcher.take(saying({"a": 1})), range(2_100)))

    assert {id(each) for each in taken if each} == {id(each) for each in exchanges}
    assert taken.count(None) == 100


# ── what a miss says ──


def explained(sent: Request, matcher: Matcher | None) -> str:
    return miss_message(
        sent,
        matcher,
        recording="cassettes/test_triage/test_label.1.jsonl",
        record="pytest --latency-mode=record tests/test_triage.py::test_label",
    )


def ticket(text: str, **more: object) -> Request:
    return saying({"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": text}], **more})


def recorded(*requests: Request) -> Matcher:
    return Matcher([answering(b"", request=request) for request in requests])


def test_a_changed_prompt_is_shown_beside_the_recorded_one() -> None:
    matcher = recorded(ticket("Label this ticket: …"), saying({}))

    assert explained(ticket("Tag this ticket: …"), matcher) == dedent("""\
        no recorded answer fits this POST /v1/messages
          nearest   exchange 1 of cassettes/test_triage/test_label.1.jsonl differs in one place:
                    messages[0].content   recorded  "Label this ticket: …"
                                          sent      "Tag this ticket: …"
          record    pytest --latency-mode=record tests/test_triage.py::test_label""")


def test_long_prompts_are_shown_around_the_first_character_that_differs() -> None:
    prompt = "word " * 100 + "{} " + "more " * 100

    lines = explained(ticket(prompt.format("one")), recorded(ticket(prompt.format("other")))).splitlines()

    assert lines[2].endswith('recorded  "…ord word word word other more more more more more more more …"')
    assert lines[3].endswith('sent      "…ord word word word one more more more more more more more mo…"')


def test_several_differences_are_counted_and_the_first_shown() -> None:
    before: dict[str, object] = {**dict.fromkeys("abcdefg", 1)}
    after: dict[str, object] = {**dict.fromkeys("abcdefg", "no")}

    lines = explained(saying(after), recorded(saying(before))).splitlines()

    assert lines[1].endswith("differs in 7 places:")
    assert lines[2:4] == [
        "            a   recorded  1",
        '                sent      "no"',
    ]
    assert lines[12] == "            … and 2 more"


def test_a_field_that_only_one_side_has_is_called_absent() -> None:
    lines = explained(ticket("Hi", stream=True), recorded(ticket("Hi"))).splitlines()

    assert lines[2:4] == [
        "            stream   recorded  (absent)",
        "                     sent      true",
    ]


def test_a_request_for_another_endpoint_shows_the_recorded_one() -> None:
    sent = saying({"a": 1}, f"{MESSAGES}/count_tokens")

    lines = explained(sent, recorded(saying({"a": 1}))).splitlines()

    assert lines[0] == "no recorded answer fits this POST /v1/messages/count_tokens"
    assert lines[2:4] == [
        '            path   recorded  "/v1/messages"',
        '                   sent      "/v1/messages/count_tokens"',
    ]


def test_without_a_recording_the_missing_file_is_named() -> None:
    assert explained(ticket("Hi"), None) == dedent("""\
        nothing is recorded that could answer this POST /v1/messages
          missing   cassettes/test_triage/test_label.1.jsonl
          record    pytest --latency-mode=record tests/test_triage.py::test_label""")


@pytest.mark.parametrize(("times", "said"), [(1, "once, as exchange 2"), (3, "3 times, as exchanges 2, 3 and 4")])
def test_a_request_too_many_is_told_from_one_that_was_changed(times: int, said: str) -> None:
    matcher = recorded(saying({}), *[ticket("Hi")] * times)
    for _ in range(times):
        matcher.take(ticket("Hi"))

    assert explained(ticket("Hi"), matcher).splitlines()[:2] == [
        "this POST /v1/messages was sent more often than it was recorded",
        f"  recorded  {said} of cassettes/test_triage/test_label.1.jsonl, already used",
    ]


def test_a_nearest_answer_that_is_used_is_called_so() -> None:
    matcher = recorded(ticket("Hi"))
    matcher.take(ticket("Hi"))

    assert "test_label.1.jsonl (already used) differs" in explained(ticket("Ho"), matcher)


def test_an_empty_recording_is_called_so() -> None:
    assert "test_label.1.jsonl holds no exchange" in explained(ticket("Hi"), Matcher([]))


def test_no_credential_is_shown() -> None:
    sent = saying({"a": "sk-ant-api03-hunter2-1", "b": ["AKIAHUNTER2222222222"]}, f"{MESSAGES}?key=hunter2&beta=true")

    text = explained(sent, recorded(saying({"a": "sk-ant-api03-hunter2-2"})))

    assert "hunter2" not in text.lower()
    assert 'sent      "key=[credential]&beta=true"' in text
