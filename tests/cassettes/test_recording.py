from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_claude_latency.cassettes.recording import Recording, dumps, loads, timestamp
from pytest_claude_latency.errors import CassetteError, CredentialError
from pytest_claude_latency.messages_api.exchange import Chunk, Connect, End, Exchange, Request, Response
from tests.support.some_recording import HEADER, LINES, TEXT, answering, asking, recording, recordings

HERE = Path("tests/cassettes/test_summary/test_summary_is_prompt.1.jsonl")
VERSION_1 = TEXT.replace('"version": 2', '"version": 1').replace(
    '"client": "anthropic 2.12.0"', '"anthropic": "2.12.0"'
)
WRITTEN_DOWN = recording(
    Exchange(
        sent=0,
        request=Request(
            "POST",
            "https://api.anthropic.com/v1/messages",
            (("anthropic-version", "2023-06-01"),),
            '{"model":"claude-haiku-4-5","stream":true,"messages":[{"role":"user","content":"Grüße…"}]}'.encode(),
        ),
        connect=Connect(400_000, 61_200_000),
        response=Response(310_221_000, 200, (("content-type", "text/event-stream; charset=utf-8"),)),
        chunks=(Chunk(310_902_000, b"event: message_start\ndata: {}\n\n"), Chunk(412_034_000, b"\xff")),
        end=End(2_875_002_000),
    )
)


def test_a_recording_is_read_as_the_facts_its_lines_state() -> None:
    assert loads(TEXT, HERE) == WRITTEN_DOWN


def test_version_1_is_read_as_the_same() -> None:
    assert loads(VERSION_1, HERE) == WRITTEN_DOWN


def test_a_value_may_name_the_version_of_the_sdk_alone() -> None:
    old = Recording(test="t", recorded="2026-11-22T11:30:00.000Z", anthropic="2.14.0")

    assert old == Recording(test="t", recorded="2026-11-22T11:30:00.000Z", client="anthropic 2.14.0")
    assert replace(old, anthropic="2.15.0").client == "anthropic 2.15.0"
    assert replace(old, client="boto3 1.42.0").client == "boto3 1.42.0"
    assert replace(old, sample=2).client == "anthropic 2.14.0"


def test_the_text_of_an_error_is_kept_also_if_it_is_empty() -> None:
    for message in ("peer closed connection", ""):
        broken = recording(replace(answering(b"x"), end=End(3_000_000, "RemoteProtocolError", message=message)))

        assert loads(dumps(broken), HERE) == broken


def test_a_recording_is_written_one_fact_a_line() -> None:
    assert dumps(WRITTEN_DOWN) == TEXT


@given(recordings())
@example(recording(answering(b"", request=asking(b'"\\ud800"'))))  # half a surrogate pair
@example(recording(answering(b"a\xe2", b"\x80\xa8b", request=asking('"\u2028\\u0000"'.encode()))))
@example(recording(answering(b"", request=asking(b"NaN"))))
@example(recording(answering(b"", request=asking(b"[1e999]"))))
@example(recording(answering(b"", request=asking(b"[1.0, 1, true, -0.0]"))))
@example(recording(answering(b"", request=asking(b"[" * 900 + b"]" * 900))))
def test_any_recording_survives_save_and_load(recorded: Recording) -> None:
    assert loads(dumps(recorded), HERE) == recorded


@given(st.integers(0, 10**15))
@example(10**15)
@example(999_999_999_999_999)
def test_any_whole_number_of_microseconds_survives(microseconds: int) -> None:
    instant = microseconds * 1000
    recorded = recording(Exchange(instant, asking(b""), end=End(instant)))

    (read,) = loads(dumps(recorded), HERE).exchanges

    assert (read.sent, read.end) == (instant, End(instant))


@given(st.integers(0, 10**15 - 1), st.integers(-499, 500))
def test_any_instant_is_rounded_to_its_microsecond(microseconds: int, rest: int) -> None:
    instant = max(microseconds * 1000 + rest, 0)
    recorded = recording(Exchange(instant, asking(b""), end=End(0)))

    (read,) = loads(dumps(recorded), HERE).exchanges

    assert abs(read.sent - instant) <= 500
    assert read.sent % 1000 == 0


def test_a_file_is_read_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "cassettes" / "test_summary" / "test_summary_is_prompt.1.jsonl"

    WRITTEN_DOWN.save(path)

    assert path.read_bytes() == TEXT.encode()
    assert Recording.load(path) == WRITTEN_DOWN


def test_what_was_taken_late_survives_save_and_load() -> None:
    exchange = WRITTEN_DOWN.exchanges[0]
    first, *others = exchange.chunks
    late = replace(WRITTEN_DOWN, exchanges=(replace(exchange, chunks=(replace(first, late=1_500_000), *others)),))

    assert '"late": 1.5, ' in dumps(late)
    assert loads(dumps(late), HERE) == late
    with pytest.raises(CassetteError, match=r'"late" is 99999\.0, expected at most '):
        loads(dumps(late).replace('"late": 1.5', '"late": 99999.0'), HERE)


def test_a_header_that_repeats_keeps_all_its_values_in_order() -> None:
    headers = (("server-timing", "edge"), ("request-id", "req_1"), ("server-timing", "origin"))
    recorded = recording(replace(answering(b""), response=Response(0, 200, headers)))

    response = json.loads(dumps(recorded).splitlines()[2])

    assert response["headers"] == [["server-timing", "edge"], ["request-id", "req_1"], ["server-timing", "origin"]]


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b'{"b": 1, "a": 1.0}', {"json": {"b": 1, "a": 1.0}}),
        (b"null", {"json": None}),
        (b"--b\r\n\r\nx\r\n--b--", {"body": "--b\r\n\r\nx\r\n--b--"}),
        (b"\xff\xfe\xfd", {"base64": "//79"}),
        (b"NaN", {"body": "NaN"}),
        (b"", {}),
    ],
)
def test_a_request_body_is_written_as_what_it_is(content: bytes, fact: dict[str, object]) -> None:
    text = dumps(recording(Exchange(0, Request("POST", "https://host/", (), content), end=End(0))))

    request = json.loads(text.splitlines()[1])

    assert {key: request[key] for key in request.keys() & {"json", "body", "base64"}} == fact


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda text: text.removesuffix("\n"), id="the last line end left out"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="line ends of another system"),
        pytest.param(lambda text: text.replace('"at": 0.4, "ms": 61.2', '"ms": 61.200, "at": 400e-3'), id="spelling"),
        pytest.param(lambda text: text.replace('"at": 0.0', '"at": 0'), id="a whole number"),
    ],
)
def test_what_a_careful_hand_edits_is_read_as_the_same(edit: Callable[[str], str]) -> None:
    edited = edit(TEXT)

    assert edited != TEXT
    assert loads(edited, HERE) == WRITTEN_DOWN


def test_headers_may_be_left_out() -> None:
    edited = TEXT.replace('"headers": {"anthropic-version": "2023-06-01"}, ', "")

    assert loads(edited, HERE).exchanges[0].request.headers == ()


def test_exchanges_stand_one_behind_the_other() -> None:
    first, second = loads(TEXT + SECOND, HERE).exchanges

    assert first == second


SECOND = re.sub(r'(?m)^(\{"\w+": )1,', r"\g<1>2,", "".join(f"{line}\n" for line in LINES[1:]))
NOT_READ = {
    "empty": ("", None, "the file is empty"),
    "only white space": ("\n \n", None, "the file is empty"),
    "no JSON": ("hello\n", 1, "it is not JSON"),
    "a byte order mark": (
        "\ufeff" + TEXT,
        None,
        "the file begins with a byte order mark (BOM): save it as UTF-8 without one",
    ),
    "no object": ("[]\n", 1, "it is not a JSON object"),
    "foreign": ('{"log": {"version": "1.2"}}\n', 1, "it is not a recording of this plugin"),
    "a newer version": (TEXT.replace('"version": 2', '"version": 3', 1), 1, "version 3, this plugin reads up to 2"),
    "a version that is none": (TEXT.replace('"version": 2', '"version": "1"', 1), 1, '"version" is "1"'),
    "a version that is a truth": (TEXT.replace('"version": 2', '"version": true', 1), 1, '"version" is true'),
    "no test": (TEXT.replace('"test":', '"tset":', 1), 1, 'it has the unknown key "tset"'),
    "a test that is no text": (TEXT.replace('"anthropic 2.12.0"', "2"), 1, '"client" is 2, expected a text'),
    "sample 0": (TEXT.replace('"sample": 1', '"sample": 0'), 1, '"sample" is 0, expected a whole number from 1'),
    "no moment": (TEXT.replace("2026-11-22T", "22.11.2026 "), 1, '"recorded" is'),
    "a day that is none": (TEXT.replace("2026-11-22T", "2026-11-31T"), 1, '"recorded" is'),
    "cut off in a line": (TEXT[:-10], 7, "the file is cut off in this line"),
    "cut off between lines": ("".join(f"{line}\n" for line in LINES[:4]), 4, 'exchange 1 has no line "end"'),
    "a merge conflict": (
        TEXT.replace("\n", "\n<<<<<<< HEAD\n", 1),
        2,
        "the line marks a merge conflict: keep the lines of one side only",
    ),
    "an empty line": (TEXT.replace("\n", "\n\n", 1), 2, "the line is empty"),
    "a line twice": (f"{TEXT}{LINES[-1]}\n", 8, 'a line "end" cannot follow a line "end"'),
    "two answers": (TEXT.replace(LINES[3], f"{LINES[3]}\n{LINES[3]}"), 5, '"response" cannot follow'),
    "a chunk before the answer": (TEXT.replace(f"{LINES[3]}\n", ""), 4, '"chunk" cannot follow a line "connect"'),
    "an answer to nothing": (f"{HEADER}\n{LINES[3]}\n", 2, '"response" cannot follow the first line'),
    "exchanges mixed up": (TEXT.replace('{"chunk": 1', '{"chunk": 2', 1), 5, '"chunk" is 2, expected 1'),
    "an exchange left out": (f"{HEADER}\n{SECOND}", 2, '"request" is 2, expected 1'),
    "an exchange that begins before the one above": (
        TEXT.replace('"at": 0.0', '"at": 5.0') + SECOND,
        8,
        "its exchange was sent before the one above",
    ),
    "a key that is misspelt": (TEXT.replace('"status"', '"stauts"'), 4, 'it has the unknown key "stauts"'),
    "a key too many": (TEXT.replace('"status": 200', '"status": 200, "ok": true'), 4, 'it has the unknown key "ok"'),
    "a key twice": (TEXT.replace('"status": 200', '"status": 200, "status": 404'), 4, 'the key "status" appears twice'),
    "a key of the body twice": (
        TEXT.replace('"stream": true', '"stream": 1, "stream": 2'),
        2,
        '"stream" appears twice',
    ),
    "an unknown kind": (TEXT.replace('{"end": 1', '{"fin": 1'), 7, "expected exactly one of the keys"),
    "two kinds at once": (TEXT.replace('{"end": 1', '{"end": 1, "chunk": 1'), 7, "expected exactly one of the keys"),
    "time backwards": (TEXT.replace("412.034", "310.901"), 6, "time never runs backwards"),
    "an end before the rest": (TEXT.replace("2875.002", "1"), 7, "time never runs backwards"),
    "a negative time": (TEXT.replace("310.221", "-1"), 4, '"at" is -1'),
    "a time that is none": (TEXT.replace("310.221", '"310"'), 4, '"at" is "310", expected milliseconds'),
    "a time that is a truth": (TEXT.replace("310.221", "true"), 4, '"at" is true, expected milliseconds'),
    "NaN": (TEXT.replace("310.221", "NaN"), 4, "NaN is not a JSON number"),
    "an infinite time": (TEXT.replace("2875.002", "1e999"), 7, '"at" is Infinity'),
    "a URL that is none": (
        TEXT.replace("api.anthropic.com", "[api"),
        2,
        '"url" is "https://[api/v1/messages", expected',
    ),
    "a port that is none": (TEXT.replace("anthropic.com", "anthropic.com:http"), 2, "expected a URL"),
    "a key that is no Unicode": (TEXT.replace('"ms"', '"\\ud800"'), 3, "a key in it holds half a surrogate pair"),
    "finer than a microsecond": (TEXT.replace("310.221", "310.2215"), 4, "at most three decimals"),
    "a status that is none": (TEXT.replace("200", "20"), 4, '"status" is 20, expected a whole number from 100 to 999'),
    "a status with decimals": (TEXT.replace("200", "200.0"), 4, '"status" is 200.0, expected a whole number'),
    "headers that are none": (TEXT.replace('{"anthropic-version": "2023-06-01"}', '["a"]'), 2, '"headers" is'),
    "a header that is a number": (TEXT.replace('"2023-06-01"', "2023"), 2, '"headers" is'),
    "two bodies": (TEXT.replace('"json":', '"body": "", "json":'), 2, 'a request has one body, it has "json", "body"'),
    "a number too large": (TEXT.replace('"stream": true', '"stream": 1e999'), 2, '"json" holds a number'),
    "a chunk of nothing": (TEXT.replace(', "base64": "/w=="', ""), 6, 'a chunk has either "text" or "base64"'),
    "a chunk of both": (TEXT.replace('"base64"', '"text": "", "base64"'), 6, 'a chunk has either "text" or "base64"'),
    "no base64": (TEXT.replace("/w==", "/w="), 6, '"base64" is not base64'),
    "half a character": (TEXT.replace('"event:', '"\\ud800event:'), 5, '"text" holds half a surrogate pair'),
    "an end of both kinds": (TEXT.replace("2875.002", '2875.002, "error": "E", "closed": "client"'), 7, "not both"),
    "closed by no client": (TEXT.replace("2875.002", '2875.002, "closed": true'), 7, '"closed" is true'),
    "an error without name": (TEXT.replace("2875.002", '2875.002, "error": ""'), 7, '"error" is empty'),
    "an error that is none": (TEXT.replace("2875.002", '2875.002, "error": null'), 7, '"error" is null'),
    "a text of no error": (TEXT.replace("2875.002", '2875.002, "message": "x"'), 7, 'an end has "message" only where'),
    "samples in version 1": (
        VERSION_1.replace('"sample": 1', '"sample": 1, "samples": 1'),
        1,
        'it has the unknown key "samples"',
    ),
    "a client in version 1": (TEXT.replace('"version": 2', '"version": 1'), 1, '"client"'),
    "an error's text in version 1": (
        VERSION_1.replace("2875.002", '2875.002, "error": "ReadError", "message": "x"'),
        7,
        'it has the unknown key "message"',
    ),
    "a set of no samples": (TEXT.replace('"sample": 1', '"sample": 1, "samples": 0'), 1, '"samples" is 0'),
    "nested without end": (f"{HEADER}\n{'[' * 200_000}\n", 2, "it is nested too deeply"),
    "a status left out": (TEXT.replace('"status": 200, ', ""), 4, 'it lacks "status"'),
}


@pytest.mark.parametrize(("text", "line", "reason"), NOT_READ.values(), ids=NOT_READ.keys())
def test_what_cannot_be_read_is_an_error_with_file_line_and_reason(text: str, line: int | None, reason: str) -> None:
    with pytest.raises(CassetteError) as caught:
        loads(text, HERE)

    assert (caught.value.path, caught.value.line) == (HERE, line)
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"{CassetteError.what} {HERE}")


@given(st.integers(0, len(TEXT) - 2))
def test_a_file_cut_off_anywhere_is_not_read_as_something_else(length: int) -> None:
    header_length = len(HEADER)

    if length in (header_length, header_length + 1):
        assert loads(TEXT[:length], HERE).exchanges == ()
    else:
        with pytest.raises(CassetteError):
            loads(TEXT[:length], HERE)


def test_a_file_that_is_not_utf_8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes(TEXT.encode("latin-1", errors="ignore"))

    with pytest.raises(CassetteError, match=r"latin\.jsonl, line 2: it is not UTF-8"):
        Recording.load(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match=r"absent\.jsonl: there is no such file"):
        Recording.load(tmp_path / "absent.jsonl")


def test_a_folder_is_not_read_as_a_recording(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match="folder"):
        Recording.load(tmp_path)


@pytest.mark.parametrize(
    ("impossible", "reason"),
    [
        (replace(answering(b"x"), end=None), "exchange 1 has no end"),
        (replace(answering(b"x"), response=None), "exchange 1 has a body and no response"),
        (replace(answering(b"x"), end=End(0)), "never run backwards"),
        (replace(answering(), sent=-1000), "not a time that a recording can hold"),
    ],
)
def test_what_no_test_can_have_recorded_is_not_written(impossible: Exchange, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        dumps(recording(impossible))


def test_exchanges_out_of_order_are_not_written() -> None:
    with pytest.raises(ValueError, match="never run backwards"):
        dumps(recording(replace(answering(), sent=1000), answering()))


def test_a_recording_that_holds_a_credential_is_not_written_and_the_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    WRITTEN_DOWN.save(path)

    with pytest.raises(CredentialError) as caught:
        recording(answering(b"my key is sk-ant-api03-", b"Zm9vYmFy0123456789")).save(path)

    assert "exchange 1, answer: an Anthropic key" in str(caught.value)
    assert "Zm9v" not in str(caught.value)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [TEXT.encode()]


def test_a_moment_is_kept_in_utc_to_the_millisecond() -> None:
    paris = timezone(timedelta(hours=1))

    assert timestamp(datetime(2026, 11, 22, 12, 30, 0, 1_999, paris)) == "2026-11-22T11:30:00.001Z"


def test_the_documented_example_is_a_recording_as_it_would_be_written() -> None:
    page = Path(__file__).parents[2] / "docs" / "cassette-format.md"
    (shown,) = re.findall(r"(?s)```jsonl\n(.*?)```", page.read_text(encoding="utf-8"))

    read = loads(shown, page)

    assert dumps(read) == shown
    assert [(exchange.end and exchange.end.closed) for exchange in read.exchanges] == [None, "client"]
