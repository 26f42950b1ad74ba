from __future__ import annotations

import json
from textwrap import dedent

import pytest

from pytest_claude_latency.cassettes.matching import Matcher
from pytest_claude_latency.cassettes.mismatch import ABSENT, Difference, differences, explanation, nearest
from pytest_claude_latency.messages_api.exchange import Request
from tests.support.some_recording import answering, asking

MESSAGES = "https://api.anthropic.com/v1/messages"


def saying(body: object, url: str = MESSAGES) -> Request:
    return asking(json.dumps(body).encode(), url)


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


# ── what a miss says ──


def explained(sent: Request, matcher: Matcher | None, **more: str) -> str:
    found = explanation(sent, matcher, recording="cassettes/test_triage/test_label.1.jsonl", **more)
    return found.text("pytest --latency-mode=record tests/test_triage.py::test_label")


def ticket(text: str, **more: object) -> Request:
    return saying({"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": text}], **more})


def recorded(*requests: Request) -> Matcher:
    return Matcher([answering(b"", request=request) for request in requests])


def test_a_changed_prompt_is_shown_next_to_the_recorded_one() -> None:
    matcher = recorded(ticket("Label this ticket: …"), saying({}))

    assert explained(ticket("Tag this ticket: …"), matcher) == dedent("""\
        no recorded answer fits this POST /v1/messages
          nearest   exchange 1 of cassettes/test_triage/test_label.1.jsonl differs in one place:
                    messages[0].content   recorded  "Label this ticket: …"
                                          sent      "Tag this ticket: …"
          record    pytest --latency-mode=record tests/test_triage.py::test_label
                    if this was not meant: undo the change""")


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

    assert lines[1] == "  changed   `stream` is new: the answer will come piece by piece"
    assert lines[3:5] == [
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
def test_a_request_too_many_is_distinguished_from_a_changed_one(times: int, said: str) -> None:
    matcher = recorded(saying({}), *[ticket("Hi")] * times)
    for _ in range(times):
        matcher.take(ticket("Hi"))

    assert explained(ticket("Hi"), matcher).splitlines()[:2] == [
        "this POST /v1/messages was sent more often than it was recorded",
        f"  recorded  {said} of cassettes/test_triage/test_label.1.jsonl, already used",
    ]


def test_a_miss_says_where_it_is_made_and_what_let_a_call_too_many_happen() -> None:
    matcher = recorded(ticket("Hi"))
    matcher.take(ticket("Hi"))

    told = explained(ticket("Hi"), matcher, line="app/llm.py:56 in ask", let_by="time.sleep at store.py:18")

    assert told == dedent("""\
        this POST /v1/messages was sent more often than it was recorded
          made at   app/llm.py:56 in ask
          recorded  once, as exchange 1 of cassettes/test_triage/test_label.1.jsonl, already used
          let by    time.sleep at store.py:18
          do        find out why the call is made again
                    if this was meant: pytest --latency-mode=record tests/test_triage.py::test_label""")


def test_misses_of_one_change_in_one_line_have_one_cause_whatever_else_the_prompts_hold() -> None:
    def cause(prompt: str, *, line: str = "app.py:5 in ask", model: str = "claude-opus-4-8") -> str:
        before = saying({"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": prompt}]})
        after = saying({"model": model, "messages": [{"role": "user", "content": prompt}]})
        return explanation(after, Matcher([answering(b"", request=before)]), recording="r", line=line).cause

    assert cause("one") == cause("two")
    assert cause("one") != cause("one", line="app.py:9 in ask")
    assert cause("one") != explanation(ticket("Hi"), None, recording="r", line="app.py:5 in ask").cause


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
