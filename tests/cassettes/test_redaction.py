from __future__ import annotations

import json
import re
import struct
from base64 import b64encode
from dataclasses import replace
from itertools import pairwise
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cassettes.redaction import (
    keep_headers,
    redact,
    redact_json,
    redact_request,
    redact_text,
    stretches,
)
from pytest_claude_latency.messages_api import aws_event_stream, sse
from pytest_claude_latency.messages_api.exchange import Request
from tests.support.some_recording import answering, asking, recording

DIGITS = [re.compile(r"\d{3,}")]
MAIL = [re.compile(r"[\w.]+@[\w.]+\w")]


# ── headers ──


def test_headers_are_kept_by_name() -> None:
    headers = [
        ("Content-Type", "text/event-stream"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "a,b"),
        ("Request-Id", "req_1"),
        ("retry-after", "2"),
        ("Retry-After-Ms", "1500"),
        ("x-should-retry", "true"),
        ("anthropic-ratelimit-requests-remaining", "999"),
        ("server-timing", "x-originResponse;dur=310"),
        ("server-timing", "cfEdge;dur=4"),
    ]
    further = [
        ("date", "today"),
        ("user-agent", "me"),
        ("x-stainless-lang", "python"),
        ("location", "https://x/?key=k"),
    ]

    assert keep_headers([*headers, *further], status=200) == tuple((name.lower(), value) for name, value in headers)


def test_headers_may_be_added_by_name() -> None:
    headers = [("X-Trace", "1"), ("cf-ray", "2"), ("x-other", "3")]

    assert keep_headers(headers, also=["x-trace", "CF-Ray"]) == (("x-trace", "1"), ("cf-ray", "2"))


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "proxy-authorization",
        "x-api-key",
        "X-Api-Key",
        "api-key",
        "cookie",
        "set-cookie",
        "anthropic-organization-id",
        "anthropic-workspace-id",
        "x-organization",
        "anthropic-ratelimit-organization",
        "openai-organization",
        "content-encoding",
        "content-length",
        "transfer-encoding",
    ],
)
def test_some_headers_are_never_kept_even_if_named(name: str) -> None:
    assert keep_headers([(name, "value")], also=[name]) == ()


@pytest.mark.parametrize(("status", "kept"), [(307, True), (301, True), (200, False), (429, False), (None, False)])
def test_where_a_redirection_points_is_kept(status: int | None, kept: bool) -> None:
    location = ("location", "https://host/v1/messages")

    assert keep_headers([location], status=status) == ((location,) if kept else ())


# ── texts and JSON values ──


@pytest.mark.parametrize(
    ("text", "patterns", "redacted"),
    [
        ("call 12345 now", [r"\d{3,}"], "call [redacted] now"),
        ("12345678", [r"\d{4}"], "[redacted][redacted]"),
        ("nothing", [r"\d"], "nothing"),
        ("abcde", ["abc", "cde"], "[redacted]"),
        ("ab", ["x*"], "ab"),
        ("[redacted] and redacted", ["redacted"], "[redacted] and [redacted]"),
        ("a b c d", [r"\S+ \S+"], "[redacted]"),
        ("Anna and Bob", ["Anna", "Bob"], "[redacted] and [redacted]"),
        ("key-ab" * 10 + ".", [r"(?<!\w)key-ab"], "[redacted]" * 10 + "."),
        ("key-ab" * 10_000 + ".", [r"(?<!\w)key-ab"], "[redacted]"),  # one by one would take minutes
    ],
)
def test_what_a_pattern_matches_becomes_redacted(text: str, patterns: list[str], redacted: str) -> None:
    assert redact_text(text, [re.compile(pattern) for pattern in patterns]) == redacted


_PATTERNS = st.lists(
    st.sampled_from(
        ["a", "a+", "b.", "[ab]{2}", r"\w+", ".", ".+", "^a", "a$", r"\b", "ab|ba", "(?<=a)b", r"\]", "ted"]
    ),
    min_size=1,
    max_size=3,
).map(lambda patterns: [re.compile(pattern) for pattern in patterns])
_TEXTS = st.lists(st.sampled_from(["a", "b", "c", " ", "\n", "[redacted]", "]"]), max_size=12).map("".join)


@given(_TEXTS, _PATTERNS)
@example("a b c d", [re.compile(r"\S+ \S+")])
def test_redacting_again_changes_nothing(text: str, patterns: list[re.Pattern[str]]) -> None:
    redacted = redact_text(text, patterns)

    assert redact_text(redacted, patterns) == redacted


@given(_TEXTS, _PATTERNS)
def test_everything_a_pattern_matches_is_inside_a_redacted_stretch(text: str, patterns: list[re.Pattern[str]]) -> None:
    redacted = stretches(text, patterns)

    matches = [match.span() for pattern in patterns for match in pattern.finditer(text) if match[0]]
    assert all(any(start <= begin and end <= stop for start, stop in redacted) for begin, end in matches)
    assert all(first[1] <= second[0] for first, second in pairwise(redacted))


def test_strings_of_json_are_redacted_and_keys_and_numbers_are_not() -> None:
    value = {"12345": [12345, "12345", {"text": "no. 12345"}], "ok": True, "none": None}

    assert redact_json(value, DIGITS) == {
        "12345": [12345, "[redacted]", {"text": "no. [redacted]"}],
        "ok": True,
        "none": None,
    }


def test_the_api_s_own_words_stay_except_in_the_input_of_a_tool() -> None:
    everything = [re.compile(".+")]
    block = {"type": "tool_use", "name": "book", "input": {"type": "flight", "role": "pilot"}}

    redacted = redact_json({"model": "claude", "messages": [{"role": "user", "content": [block]}]}, everything)

    assert redacted == {
        "model": "claude",
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_use",
                        "name": "[redacted]",
                        "input": {"type": "[redacted]", "role": "[redacted]"},
                    }
                ],
            }
        ],
    }


# ── requests ──


def test_a_request_is_redacted_inside_its_json() -> None:
    request = asking(b'{"messages": [{"role": "user", "content": "I am \\u0061nna@example.com"}], "max_tokens": 12345}')

    redacted = redact_request(request, MAIL)

    assert redacted.content == b'{"messages":[{"role":"user","content":"I am [redacted]"}],"max_tokens":12345}'


@pytest.mark.parametrize("content", [b"name=anna@example.com&x=\xff", b"--b\r\n\r\nanna@example.com\r\n--b--"])
def test_any_other_request_body_is_redacted_as_text(content: bytes) -> None:
    redacted = redact_request(Request("POST", "https://host/", (), content), MAIL)

    assert redacted.content == content.replace(b"anna@example.com", b"[redacted]")


def test_a_request_that_says_nothing_of_it_stays_as_it_is() -> None:
    request = Request("POST", "https://host/", (), b'{ "spaces":   true }')

    assert redact_request(request, MAIL) == replace(request, content=b'{"spaces":true}')
    assert redact_request(replace(request, content=b"\xff"), MAIL) == replace(request, content=b"\xff")


# ── answers ──


def event(name: str, **fields: object) -> bytes:
    data = json.dumps({"type": name, **fields}, ensure_ascii=False)
    return f"event: {name}\ndata: {data}\n\n".encode()


def delta(block: int, text: str, kind: str = "text_delta", key: str = "text") -> bytes:
    return event("content_block_delta", index=block, delta={"type": kind, key: text})


def partial(block: int, text: str) -> bytes:
    return delta(block, text, "input_json_delta", "partial_json")


def streamed(*events: bytes) -> Recording:
    """A stream that came in one chunk for each event."""
    return recording(answering(*events))


def chunks(recorded: Recording) -> list[bytes]:
    return [chunk.data for chunk in recorded.exchanges[0].chunks]


def deltas(recorded: Recording) -> list[str]:
    """The content of each delta of the stream."""
    events = sse.Decoder().feed(b"".join(chunks(recorded)))
    contents = [json.loads(sent.data)["delta"] for sent in events if sent.name == "content_block_delta"]
    return [str(content.get("text", content.get("partial_json"))) for content in contents]


def test_a_match_within_one_delta_is_replaced_there() -> None:
    redacted = redact(streamed(delta(0, "I am "), delta(0, "anna@example.com, hi")), MAIL)

    assert deltas(redacted) == ["I am ", "[redacted], hi"]


def test_a_match_spread_over_deltas_leaves_none_of_them_empty() -> None:
    redacted = redact(streamed(delta(0, "I am an"), delta(0, "na@exam"), delta(0, "ple."), delta(0, "com, hi")), MAIL)

    assert "".join(deltas(redacted)) == "I am [redacted], hi"
    assert all(deltas(redacted))
    assert deltas(redacted)[3] == ", hi"


def test_a_match_over_more_deltas_than_its_replacement_has_letters_keeps_first_and_last() -> None:
    redacted = redact(streamed(*(delta(0, letter) for letter in "anna@example.com")), MAIL)

    assert "".join(deltas(redacted)) == "[redacted]"
    assert deltas(redacted)[0] == "["
    assert deltas(redacted)[-1] == "]"


def test_each_block_is_read_by_itself() -> None:
    redacted = redact(
        streamed(delta(0, "anna@"), delta(1, "12"), delta(0, "example.com"), delta(1, "3")), MAIL + DIGITS
    )

    assert deltas(redacted) == ["[reda", "[reda", "cted]", "cted]"]


def test_what_a_block_starts_with_belongs_to_its_text() -> None:
    start = event("content_block_start", index=0, content_block={"type": "text", "text": "anna@"})

    body = b"".join(chunks(redact(streamed(start, delta(0, "example.com")), MAIL)))

    assert b"anna" not in body
    assert b"example" not in body


def test_the_input_of_a_tool_is_redacted_as_the_strings_it_will_be() -> None:
    redacted = redact(
        streamed(partial(0, '{"to": "Ann\\u006'), partial(0, '1@example.com\\n"'), partial(0, ', "n": 5}')), MAIL
    )

    assert json.loads("".join(deltas(redacted))) == {"to": "[redacted]\n", "n": 5}
    assert all(deltas(redacted))


def test_the_keys_of_a_tool_s_input_stay() -> None:
    redacted = redact(streamed(partial(0, '{"12345" : "12345", "x": ["12345"]}')), DIGITS)

    assert json.loads("".join(deltas(redacted))) == {"12345": "[redacted]", "x": ["[redacted]"]}


def test_the_input_of_a_tool_that_was_cut_off_is_redacted_up_to_its_end() -> None:
    redacted = redact(streamed(partial(0, '{"to": "anna@exa'), partial(0, "mple.com, \\u00")), MAIL)

    assert "".join(deltas(redacted)) == '{"to": "[redacted], \\u00'


def test_thinking_and_errors_are_redacted() -> None:
    thinking = delta(0, "of anna@example.com", "thinking_delta", "thinking")
    error = event("error", error={"type": "overloaded_error", "message": "for anna@example.com"})

    body = b"".join(chunks(redact(streamed(thinking, error), MAIL)))

    assert body.count(b"[redacted]") == 2
    assert b"anna" not in body
    assert b"overloaded_error" in body


def test_an_answer_that_does_not_stream_is_redacted_in_its_strings() -> None:
    body = json.dumps({"content": [{"type": "text", "text": "Ü anna@example.com 12"}], "usage": {"n": 345}}).encode()

    redacted = redact(recording(answering(body[:40], body[40:50], body[50:])), MAIL + DIGITS)

    assert json.loads(b"".join(chunks(redacted))) == {
        "content": [{"type": "text", "text": "Ü [redacted] 12"}],
        "usage": {"n": 345},
    }


def test_an_answer_that_is_not_json_is_redacted_as_text() -> None:
    redacted = redact(recording(answering(b"<h1>for anna@exam", b"ple.com\xff</h1>")), MAIL)

    assert chunks(redacted) == [b"", b"<h1>for [redacted]\xff</h1>"]


def test_a_changed_event_is_written_anew_where_its_last_byte_lay() -> None:
    said = delta(0, "to anna@example.com")

    redacted = redact(recording(answering(said[:90], said[90:-2], said[-2:])), MAIL)

    head, changed, blank_line = chunks(redacted)
    assert (head, blank_line) == (said[: said.index(b"{")], b"\n\n")
    assert json.loads(changed)["delta"]["text"] == "to [redacted]"


def test_a_stream_with_other_line_ends_and_a_byte_order_mark_is_redacted() -> None:
    body = b"\xef\xbb\xbf" + (delta(0, "anna@") + delta(0, "example.com")).replace(b"\n", b"\r\n")

    redacted = redact(recording(answering(body)), MAIL)

    assert "".join(deltas(redacted)) == "[redacted]"
    assert chunks(redacted)[0].startswith(b"\xef\xbb\xbfevent: content_block_delta\r\ndata: {")


def test_an_answer_that_a_program_quotes_still_fits_its_request() -> None:
    said = ["Write to an", "na@exam", "ple.com!"]
    answer = redact(streamed(*(delta(0, text) for text in said)), MAIL)
    asked = redact_json({"messages": [{"role": "assistant", "content": "".join(said)}]}, MAIL)

    quoting = redact_json({"messages": [{"role": "assistant", "content": "".join(deltas(answer))}]}, MAIL)

    assert quoting == asked


@st.composite
def _cut(draw: st.DrawFn, body: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=12)))
    return [body[start:end] for start, end in pairwise([0, *cuts, len(body)])]


_SAID = st.lists(st.text('12a é"\\\n😀', max_size=4), max_size=8)


@given(st.data(), _SAID)
def test_any_stream_in_any_chunks_keeps_its_chunks_its_events_and_its_deltas(
    data: st.DataObject, said: list[str]
) -> None:
    body = b"".join([event("ping"), *(delta(0, text) for text in said), event("message_stop")])
    before = recording(answering(*data.draw(_cut(body))))

    after = redact(before, DIGITS)

    joined = "".join(said)
    assert "".join(deltas(after)) == re.sub(r"[12]{3,}", "[redacted]", joined)
    assert [bool(text) for text in deltas(after)] == [bool(text) for text in said]
    assert len(deltas(after)) == len(said)
    assert [chunk.at for chunk in after.exchanges[0].chunks] == [chunk.at for chunk in before.exchanges[0].chunks]
    assert redact(after, DIGITS) == after
    if not re.search(r"[12]{3}", joined):
        assert after == before


@given(st.data(), _SAID)
def test_each_event_ends_in_the_same_chunk_as_before(data: st.DataObject, said: list[str]) -> None:
    body = b"".join(delta(0, text) for text in said)
    before = recording(answering(*data.draw(_cut(body))))

    after = redact(before, DIGITS)

    def counts(recorded: Recording) -> list[int]:
        decoder = sse.Decoder()
        return [len(list(decoder.feed(chunk))) for chunk in chunks(recorded)]

    assert counts(after) == counts(before)


def frame(fields: object) -> bytes:
    """A frame of an AWS event stream, as its documentation has it."""
    headers = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
        for name, value in [(b":event-type", b"chunk"), (b":message-type", b"event")]
    )
    payload = json.dumps({"bytes": b64encode(json.dumps(fields).encode()).decode(), "p": "abc"}).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return message + struct.pack(">I", crc32(message))


def test_an_aws_event_stream_is_redacted_inside_its_frames() -> None:
    said = ["I am an", "na@example.com", " 12345"]
    contents = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in said
    ]
    body = b"".join(map(frame, contents))

    redacted = redact(recording(answering(body[:100], body[100:400], body[400:])), MAIL)

    events = [json.loads(sent.data) for sent in aws_event_stream.Decoder().feed(b"".join(chunks(redacted)))]
    assert [sent["delta"]["text"] for sent in events] == ["I am [reda", "cted]", " 12345"]


def test_a_frame_whose_event_is_not_an_object_stays_a_frame() -> None:
    body = frame("for anna@example.com")

    redacted = redact(recording(answering(body)), MAIL)

    assert b"".join(chunks(redacted)) == frame("for [redacted]")


def test_half_a_surrogate_pair_next_to_a_match_is_kept() -> None:
    body = json.dumps({"content": [{"text": "\ud83d anna@example.com"}]}).encode()

    redacted = redact(recording(answering(body)), MAIL)

    assert json.loads(b"".join(chunks(redacted))) == {"content": [{"text": "\ud83d [redacted]"}]}


def test_without_patterns_nothing_is_looked_at() -> None:
    recorded = streamed(delta(0, "anna@example.com"))

    assert redact(recorded, []) is recorded
