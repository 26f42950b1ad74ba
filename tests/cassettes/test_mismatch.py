from __future__ import annotations

import json
import re
from textwrap import dedent

import pytest

from pytest_claude_latency.cassettes.matching import Matcher
from pytest_claude_latency.cassettes.mismatch import ABSENT, Difference, Origin, differences, explanation, nearest
from pytest_claude_latency.messages_api.exchange import Request
from pytest_claude_latency.printable import columns_of
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


def explained(sent: Request, matcher: Matcher | None, **more: Origin) -> str:
    found = explanation(sent, matcher, recording="cassettes/test_label.1.jsonl", **more)
    return found.text("pytest --latency-mode=record tests/test_it.py::test_label")


def ticket(text: str, **more: object) -> Request:
    return saying({"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": text}], **more})


def recorded(*requests: Request) -> Matcher:
    return Matcher([answering(b"", request=request) for request in requests])


def test_a_changed_prompt_is_shown_next_to_the_recorded_one() -> None:
    matcher = recorded(ticket("Label this ticket: …"), saying({}))

    assert explained(ticket("Tag this ticket: …"), matcher) == dedent("""\
        no recorded answer fits this POST /v1/messages
          nearest   exchange 1 of cassettes/test_label.1.jsonl differs in one place:
                    messages[0].content   recorded  "Label this ticket: …"
                                          sent      "Tag this ticket: …"
          record    pytest --latency-mode=record tests/test_it.py::test_label
                    if this was not meant: undo the change""")


def test_long_prompts_are_shown_around_the_first_character_that_differs() -> None:
    prompt = "word " * 100 + "{} " + "more " * 100

    lines = explained(ticket(prompt.format("one")), recorded(ticket(prompt.format("other")))).splitlines()

    assert lines[2].endswith('recorded  "…ord word word word other more m…"')
    assert lines[3].endswith('sent      "…ord word word word one more mor…"')


@pytest.mark.parametrize("text", ["退款请求" * 40, "a\n" * 200, "\x1b[31m" * 50, 'say "no" ' * 60])
@pytest.mark.parametrize("at", [0, 30, 100])
def test_any_value_fits_into_80_columns_and_shows_what_differs(text: str, at: int) -> None:
    changed = f"{text[:at]}§{text[at:]}"

    lines = explained(ticket(changed, metadata={"user_id": text}), recorded(ticket(text))).splitlines()

    values = [line for line in lines if re.search("recorded  |sent      ", line)]
    assert len(values) == 4
    assert max(map(columns_of, values)) <= 80
    assert "§" in values[1]


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
          missing   cassettes/test_label.1.jsonl
          record    pytest --latency-mode=record tests/test_it.py::test_label
          no key?   @latency_answers makes answers up; see it: claude-latency demo""")


@pytest.mark.parametrize(("times", "said"), [(1, "once, as exchange 2"), (3, "3 times, as exchanges 2, 3 and 4")])
def test_a_request_too_many_is_distinguished_from_a_changed_one(times: int, said: str) -> None:
    matcher = recorded(saying({}), *[ticket("Hi")] * times)
    for _ in range(times):
        matcher.take(ticket("Hi"))

    text = " ".join(explained(ticket("Hi"), matcher).split())

    assert text.startswith("this POST /v1/messages was sent more often than it was recorded")
    assert f"recorded {said} of cassettes/test_label.1.jsonl, already used" in text


def test_a_miss_says_where_it_is_made_and_what_let_a_call_too_many_happen() -> None:
    matcher = recorded(ticket("Hi"))
    matcher.take(ticket("Hi"))

    told = explained(
        ticket("Hi"),
        matcher,
        origin=Origin("app/llm.py:56 in ask", "app/api.py:9 in chat", "time.sleep at store.py:18"),
    )

    assert told == dedent("""\
        this POST /v1/messages was sent more often than it was recorded
          made at   app/llm.py:56 in ask
          called by app/api.py:9 in chat
          recorded  once, as exchange 1 of cassettes/test_label.1.jsonl, already used
          let by    time.sleep at store.py:18
          do        find out why the call is made again
                    if this was meant:
                    pytest --latency-mode=record tests/test_it.py::test_label""")


def test_a_call_too_many_that_asks_for_something_else_says_what_let_it_happen() -> None:
    matcher, origin = recorded(ticket("Hi")), Origin("app/llm.py:56 in ask", let_by="time.sleep at store.py:18")
    before = explained(ticket("Ho"), matcher, origin=origin)
    matcher.take(ticket("Hi"))

    told = explained(ticket("Ho"), matcher, origin=origin).splitlines()

    # as long as the recorded call was not made, it is this one that changed
    assert before.startswith("no recorded answer fits this")
    assert "let by" not in before
    assert told[0] == "this POST /v1/messages is a call that was not recorded"
    assert "  let by    time.sleep at store.py:18" in told
    assert "  do        find out why the call is made again" in told


def test_misses_of_one_change_have_one_cause_whatever_else_the_prompts_hold() -> None:
    def cause(prompt: str, *, line: str = "app.py:5 in ask", model: str = "claude-opus-4-8") -> str:
        before = saying({"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": prompt}]})
        after = saying({"model": model, "messages": [{"role": "user", "content": prompt}]})
        return explanation(after, Matcher([answering(b"", request=before)]), recording="r", origin=Origin(line)).cause

    assert cause("one") == cause("two")
    # a model is most often named in one place, for all lines that ask it
    assert cause("one") == cause("one", line="app.py:9 in ask")
    assert cause("one") != cause("one", model="claude-opus-5")
    assert cause("one") != explanation(ticket("Hi"), None, recording="r", origin=Origin("app.py:5 in ask")).cause


def test_a_nearest_answer_that_is_used_is_called_so() -> None:
    matcher = recorded(ticket("Hi"))
    matcher.take(ticket("Hi"))

    assert "test_label.1.jsonl (already used) differs" in " ".join(explained(ticket("Ho"), matcher).split())


def test_an_empty_recording_is_called_so() -> None:
    assert "test_label.1.jsonl holds no exchange" in explained(ticket("Hi"), Matcher([]))


def test_no_credential_is_shown() -> None:
    sent = saying({"a": "sk-ant-api03-hunter2-1", "b": ["AKIAHUNTER2222222222"]}, f"{MESSAGES}?key=hunter2&limit=5")

    text = explained(sent, recorded(saying({"a": "sk-ant-api03-hunter2-2"})))

    assert "hunter2" not in text.lower()
    assert 'sent      "key=[credential]&limit=5"' in text


def test_a_call_with_other_work_and_other_settings_is_told_as_a_new_one() -> None:
    matcher = recorded(ticket("Hi", system="Write a long and warm letter to this customer.", max_tokens=400))
    sent = ticket("Hi", system="Answer with one word: billing or shipping.", max_tokens=10)

    told = explained(sent, matcher, origin=Origin("app/llm.py:56 in label", "app/api.py:9 in draft"))

    assert told.splitlines()[:3] == [
        "this POST /v1/messages is a call that was not recorded",
        "  made at   app/llm.py:56 in label",
        "  called by app/api.py:9 in draft",
    ]
    assert told.endswith("if this was not meant: take the call out of app/api.py:9 in draft")


def test_two_short_prompts_are_not_alike_because_of_the_form_of_a_message() -> None:
    told = explained(ticket("hello fallback"), recorded(ticket("letter four", stream=True)))

    assert told.startswith("this POST /v1/messages is a call that was not recorded\n")


@pytest.mark.parametrize(
    "changed",
    [
        {"system": "Answer with one word: billing or shipping."},  # rewritten, with the settings of before
        {"model": "claude-sonnet-4-6", "max_tokens": 10},
        {"system": "Write a long and very warm letter to each customer.", "max_tokens": 10},
    ],
)
def test_a_call_that_was_changed_is_not_taken_for_a_new_one(changed: dict[str, object]) -> None:
    before = {"system": "Write a long and warm letter to this customer.", "max_tokens": 400}

    told = explained(ticket("Hi", **{**before, **changed}), recorded(ticket("Hi", **before)))

    assert told.startswith("no recorded answer fits this")


@pytest.mark.parametrize("adds", [True, False])
def test_a_system_prompt_that_comes_or_goes_makes_no_other_call_of_the_same_question(adds: bool) -> None:
    requests = [ticket("Hi", max_tokens=50), ticket("Hi", system="Be kind.", max_tokens=51)]
    before, now = requests if adds else reversed(requests)

    assert explained(now, recorded(before)).startswith("no recorded answer fits this")


def test_a_change_that_slows_is_to_be_undone_first_and_recorded_only_if_it_was_meant() -> None:
    told = explained(ticket("Hi"), recorded(ticket("Hi", stream=True)))

    assert told.splitlines()[-3:] == [
        "  do        stream the answer again",
        "            if this was meant:",
        "            pytest --latency-mode=record tests/test_it.py::test_label",
    ]


def test_a_miss_fits_into_80_columns_as_far_as_its_paths_do() -> None:
    matcher, sent = recorded(ticket("word " * 100)), ticket("word " * 90, metadata={"user_id": "u" * 100})
    found = explanation(sent, matcher, recording="cassettes/test_triage/test_label.1.jsonl")
    ids = [f"tests/test_triage.py::test_label[{name}]" for name in ("billing", "shipping", "returns")]

    lines = found.text(f"pytest --latency-mode=record {' '.join(map(repr, ids))}", tests=3).splitlines()

    assert max(map(len, lines)) <= 80
    start = next(place for place, line in enumerate(lines) if line.startswith("  record"))
    assert [line.strip() for line in lines[start : start + 4]] == [
        "record    pytest --latency-mode=record \\",
        *(f"{nodeid!r} \\" for nodeid in ids[:2]),
        f"{ids[2]!r}",
    ]
