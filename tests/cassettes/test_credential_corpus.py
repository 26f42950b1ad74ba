"""How many credentials are found in which spelling, how many false alarms there are, and what a message offers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_claude_latency.cassettes.credential_forms import FORMS, SERVICES, Form
from pytest_claude_latency.cassettes.linear_patterns import linear
from pytest_claude_latency.cassettes.redaction import redact
from pytest_claude_latency.cassettes.secrets import find_credentials, refuse_credentials
from pytest_claude_latency.errors import CredentialError
from tests.support.credential_corpus import HARMLESS, NAMED, PLACEHOLDERS, SPELLINGS, TOKENS
from tests.support.some_recording import answering, asking, recording

CASES = [("", token) for token in TOKENS.values()] + list(NAMED.items())
KINDS = [*TOKENS, *NAMED]
OFFERED = [form for form in FORMS if form.hints[0] not in SERVICES[1:]]
"""The forms, with one of those that differ in the name of a service only."""


def _asked(text: str) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text}]}).encode()


def _is_found(text: str) -> bool:
    return bool(find_credentials(recording(answering(b"", request=asking(_asked(text))))))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_kind_is_found_in_each_spelling(spelling: str) -> None:
    write = SPELLINGS[spelling]

    missed = [kind for kind, case in zip(KINDS, CASES, strict=True) if not _is_found(f"see: {write(*case)} thanks")]

    assert missed == []


@pytest.mark.parametrize("of", ["text", "thinking", "partial_json"])
def test_each_kind_is_found_where_it_is_split_over_deltas(of: str) -> None:
    missed = []

    for kind, case in zip(KINDS, CASES, strict=True):
        text = f"see: {SPELLINGS['environment'](*case)}\n"
        events = [
            {"type": "content_block_delta", "index": 0, "delta": {of: text[at : at + 9]}}
            for at in range(0, len(text), 9)
        ]
        data = [f"event: content_block_delta\ndata: {json.dumps(event)}\n\n".encode() for event in events]
        missed += [] if find_credentials(recording(answering(*data))) else [kind]

    assert missed == []


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_what_documentation_writes_in_place_of_a_secret_stops_no_recording(text: str) -> None:
    assert not _is_found(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_credential_stops_no_recording(text: str) -> None:
    assert not _is_found(text)


def test_the_documentation_tells_the_figures_of_this_corpus() -> None:
    page = (Path(__file__).parents[2] / "docs" / "recording.md").read_text("utf-8")

    total, harmless = len(CASES) * len(SPELLINGS), len(PLACEHOLDERS) + len(HARMLESS)  # the tests above find no other
    figures = f"{total} of {total} are found, and 0 of {harmless} texts that hold none raise a false alarm"

    assert figures in " ".join(page.split())


def test_a_message_offers_the_line_that_helps() -> None:
    spoken = recording(answering(b"", request=asking(_asked(f"my key is {TOKENS['GitHub']}, keep it"))))

    with pytest.raises(CredentialError) as refused:
        refuse_credentials(spoken, "test_it.py::test_it")

    *_, key, pattern = str(refused.value).splitlines()
    assert key.strip() == "latency_redact ="
    assert find_credentials(redact(spoken, [linear(pattern.strip())])) == []


def test_no_line_is_offered_where_redaction_does_not_reach() -> None:
    in_url = recording(answering(b"", request=asking(b"", f"https://host/{TOKENS['GitHub']}/v1/messages")))

    with pytest.raises(CredentialError) as refused:
        refuse_credentials(in_url, "test_it.py::test_it")

    assert "latency_redact =" not in str(refused.value)


@pytest.mark.parametrize("form", OFFERED, ids=[f"{place}-{form.kind}" for place, form in enumerate(OFFERED)])
def test_what_is_offered_is_accepted(form: Form) -> None:
    assert linear(form.pattern.pattern)
