from __future__ import annotations

import json
import random
from base64 import b64encode
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_claude_latency.cassettes.secrets import Finding, conceal, find_credentials, refuse_credentials
from pytest_claude_latency.errors import CredentialError
from pytest_claude_latency.messages_api.exchange import End, Exchange, Request, Response
from tests.support.some_recording import answering, asking, recording

# Written in two halves, so that no scanner takes this file for a leak.
SECRETS = {
    "an Anthropic key": "sk-ant-" + "api03-Zm9vYmFy_0123456789-AA",
    "an OpenAI key": "sk-proj-" + "Zm9vYmFyMDEyMzQ1Njc4OWFiY2RlZg",
    "an AWS access key id": "AKIA" + "Q3EGUZ4XNB7WLKJD",
    "an AWS secret key": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYz9q8w7e6r5",
    "a GitHub token": "ghp_" + "0123456789abcdefghijklmnopqrstuvwxyz",
    "a GitLab token": "glpat-" + "0123456789abcdefghij",
    "a Slack token": "xoxb-" + "123456789012-abcdefghijkl",
    "a Slack webhook": "https://hooks.slack.com/services/" + "T02384975/B08723645/Xq3EGUZ4XNB7WLKJDaB3x7yz",
    "a Google API key": "AIza" + "SyA-0123456789abcdefghijklmnopqrstu",
    "a Google OAuth token": "ya29." + "a0AfH6SMBx0123456789abcdef",
    "a Stripe key": "sk_live_" + "0123456789abcdefghijklmn",
    "a Hugging Face token": "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "a private key": "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA",
    "a JSON web token": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "a bearer token": "Authorization: Bearer " + "0123456789abcdefghijklmnopqrst",
    "a password for basic authentication": "Authorization: Basic " + "dXNlcjpwYXNzd29yZDEyMw==",
    "an API key header": "x-api-key: " + "0123456789abcdef0123456789abcdef",
    "a URL with a password": "postgres://app:" + "hunter2@db.example.com/app",
    "a URL with a key": "https://maps.example.com/api?q=1&api_key=" + "0123456789abcdef",
}
OLDER = {
    "an OpenAI key": "sk-" + "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL",
    "a GitHub token": "github_pat_" + "11ABCDEFG0123456789_abcdefghijk",
    "a private key": "-----BEGIN " + "OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA",
    "a Slack token": "xapp-1-" + "A0123456789-0123456789",
}
EVERY = [*SECRETS.items(), *OLDER.items()]


def kinds(exchange: Exchange) -> set[str]:
    return {finding.kind for finding in find_credentials(recording(exchange))}


def saying(text: str) -> Request:
    return asking(json.dumps({"messages": [{"role": "user", "content": text}]}).encode())


def delta(block: int, text: str, kind: str = "text_delta", key: str = "text") -> bytes:
    fields = {"type": "content_block_delta", "index": block, "delta": {"type": kind, key: text}}
    return f"event: content_block_delta\ndata: {json.dumps(fields)}\n\n".encode()


@pytest.mark.parametrize(("kind", "secret"), EVERY)
def test_a_prompt_with_a_credential_is_found(kind: str, secret: str) -> None:
    findings = find_credentials(recording(answering(b"", request=saying(f"Use this:\n{secret} (keep it secret)"))))

    assert Finding("exchange 1, request body at messages[0].content", kind) in findings


@pytest.mark.parametrize(("kind", "secret"), EVERY)
@given(st.data())
def test_a_credential_split_over_any_deltas_is_found(kind: str, secret: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(secret)), max_size=6)))
    pieces = [secret[start:end] for start, end in pairwise([0, *cuts, len(secret)])]

    findings = find_credentials(recording(answering(*(delta(2, text) for text in ("It is ", *pieces, ".")))))

    assert Finding("exchange 1, answer, content block 2", kind) in findings


@given(st.sampled_from(EVERY), st.data())
def test_a_credential_cut_by_any_chunks_is_found(case: tuple[str, str], data: st.DataObject) -> None:
    kind, secret = case
    body = json.dumps({"content": [{"type": "text", "text": f"It is {secret}"}]}).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))

    findings = find_credentials(
        recording(answering(*(body[start:end] for start, end in pairwise([0, *cuts, len(body)]))))
    )

    assert Finding("exchange 1, answer, content[0].text", kind) in findings


def test_a_credential_in_the_input_of_a_tool_is_found_through_its_escapes() -> None:
    pieces = ['{"cmd": "export K=\\u0073k-a', "nt-api03-abc", 'defgh123"}']
    events = (delta(1, text, "input_json_delta", "partial_json") for text in pieces)

    findings = find_credentials(recording(answering(*events)))

    assert findings == [Finding("exchange 1, answer, content block 1", "an Anthropic key")]


def test_thinking_is_read_as_well() -> None:
    events = (delta(0, text, "thinking_delta", "thinking") for text in ("the key sk-ant-", "api03-abcdefgh123"))

    assert kinds(answering(*events)) == {"an Anthropic key"}


def test_blocks_that_follow_each_other_are_not_read_as_one() -> None:
    assert kinds(answering(delta(0, "sk-ant-"), delta(1, "api03-abcdefgh123"))) == set()


SECRET = SECRETS["an Anthropic key"]


@pytest.mark.parametrize(
    ("exchange", "where"),
    [
        (answering(b"", request=asking(json.dumps({SECRET: 1}).encode())), "exchange 1, request body"),
        (answering(b"", request=asking(f"--b\r\n\r\n{SECRET}\r\n--b--".encode())), "exchange 1, request body"),
        (answering(b"", request=asking(b"\xff " + SECRET.encode())), "exchange 1, request body"),
        (answering(f": {SECRET}\n\n".encode()), "exchange 1, answer"),
        (answering(f"<h1>{SECRET}</h1>".encode()), "exchange 1, answer"),
        (answering(b"", request=asking(b"", headers=(("x-mine", SECRET),))), "exchange 1, request header x-mine"),
        (replace(answering(b""), response=Response(0, 307, (("location", f"/{SECRET}"),))), "response header location"),
        (answering(b"", request=asking(b"", f"https://host/{SECRET}/v1/messages")), "exchange 1, request URL"),
    ],
    ids=["key", "multipart", "bytes", "comment", "text", "header", "location", "path"],
)
def test_a_credential_is_found_wherever_it_stands(exchange: Exchange, where: str) -> None:
    (finding,) = find_credentials(recording(exchange))

    assert finding.where.endswith(where)
    assert finding.kind == "an Anthropic key"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://me:pw@host/v1/messages", "a user name or password"),
        ("https://me@host/v1/messages", "a user name or password"),
        ("https://host/v1/messages?beta=true&key=abc", "the parameter key"),
        ("https://host/v1/messages?API_KEY=abc", "the parameter API_KEY"),
        ("https://host/v1/messages?access_token=abc", "the parameter access_token"),
        ("https://host/model/invoke?X-Amz-Signature=abc", "the parameter X-Amz-Signature"),
    ],
)
def test_a_url_that_carries_a_credential_is_found(url: str, kind: str) -> None:
    assert kinds(answering(b"", request=asking(b"", url))) == {kind}


@pytest.mark.parametrize(
    "text",
    [
        "Please summarize this ticket: the customer asks for a refund of the task-ant-farm-construction-kit order.",
        "How do I set ANTHROPIC_API_KEY? My .env says sk-ant-... and the docs say sk-ant-xxx.",
        "Send the header `Authorization: Bearer YOUR_API_TOKEN_GOES_HERE_PLEASE` with each request.",
        "The bearer of unextraordinarilycomplicated news arrived; bearer bonds are risk-antagonistic-instruments.",
        "Use postgres://user:password@localhost/db or redis://:secret@cache, or https://host:8080/path@2x.png",
        "See https://example.com/search?q=monkey&key=value&token=next and ?page=2",
        "It begins with -----BEGIN CERTIFICATE-----\nMIIBIjANBg and ends with -----END PUBLIC KEY-----",
        "toolu_01A09q90qw90lq917835lq9 msg_013Zva2CMHLNnXjNJJKqJ2EF req_018EeWyXxfu5pfWkrYcMdjWG",
        "file_011CNha8iCJcU1wXNR6q4V8w container_011CPR5CNjB747bTd36fQLFk srvtoolu_01WYG3ziw53XMcoyKL4XcZmE",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8, sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934c",
        "uuid 123e4567-e89b-12d3-a456-426614174000, call +49 30 901820, IBAN DE89370400440532013000",
        "sk-learn, sk-toolkits, xoxo-kisses-and-hugs, ghp_short, AKIA, AIzaMotion, hf_transfer, k_live_",
        "secret access keys are kept in the vault; the password is not written down: ask Anna.",
    ],
)
def test_prose_and_ids_are_no_credentials(text: str) -> None:
    assert kinds(answering(delta(0, text), request=saying(text))) == set()


@given(st.integers(0, 2**32))
def test_images_and_signatures_are_no_credentials(seed: int) -> None:
    data = b64encode(random.Random(seed).randbytes(30_000)).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    body = {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}
    signature = delta(0, data[:2_000], "signature_delta", "signature")

    assert kinds(answering(signature, request=asking(json.dumps(body).encode()))) == set()


@pytest.mark.parametrize("near", ["AIzaSyA+0123456789abcdefghijklmnopqrstu", "AKIAIOSFODNN7EXAMPLE"])
def test_what_looks_like_a_key_inside_base64_is_none(near: str) -> None:
    data = f"iVBORw0KGgo{near}AAAANSUhEUg"

    assert kinds(answering(b"", request=saying(data))) == set()


def test_findings_appear_once_and_in_the_order_of_the_exchanges() -> None:
    exchange = answering(delta(0, f"{SECRET} and {SECRET}"), request=saying(SECRET))

    findings = find_credentials(recording(answering(b"{}"), exchange))

    assert [finding.where for finding in findings] == [
        "exchange 2, request body at messages[0].content",
        "exchange 2, answer, content block 0",
    ]


def test_a_refusal_says_where_and_never_what() -> None:
    with pytest.raises(CredentialError) as caught:
        refuse_credentials(recording(answering(delta(0, SECRET))), "tests/test_x.py::test_a")

    assert str(caught.value).splitlines()[:2] == [
        "the recording of tests/test_x.py::test_a was not written: something in it looks like a credential",
        "  where     exchange 1, answer, content block 0: an Anthropic key",
    ]
    assert "Zm9v" not in str(caught.value)


def test_a_recording_without_credentials_passes() -> None:
    refuse_credentials(recording(answering(delta(0, "Hello"), request=saying("Hi"))), "tests/test_x.py::test_a")


@pytest.mark.parametrize(("kind", "secret"), EVERY)
def test_nothing_that_is_found_is_shown(kind: str, secret: str) -> None:
    shown = conceal(f"before {secret} after")

    assert shown.startswith("before ")
    assert kinds(answering(b"", request=saying(shown))) == set()


def test_a_credential_in_the_text_of_an_error_is_found() -> None:
    broken = replace(answering(b""), end=End(3_000_000, "ConnectError", message="sk-ant-api03-Zm9vYmFy01234567"))

    assert [str(finding) for finding in find_credentials(recording(broken))] == [
        "exchange 1, error message: an Anthropic key"
    ]


DRAWN = "q7Rk2mZx9Lw4Tn8Vb3Hc"
NAMED_BY_TOOLS = {
    "a secret of AWS by a name of its own": f"aws_secret = '{DRAWN * 2}'",
    "a key of ssh.com": "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",
    "a path of SoftLayer": "https://api.softlayer.com/soap/v3/" + (DRAWN * 4)[:64].lower(),
    "a key of IBM": f"ibm-cos-secret-key: {DRAWN}",
    "a header of Django": f"Authorization: Token {DRAWN}",
    "a header in Python": f"""headers = {{"Authorization": "Token {DRAWN}"}}""",
    "a user of curl": f"curl -s -u 'jane:{DRAWN}' https://host/",
}
WORDS = {
    "a name of AWS": "aws_secret = os.environ['AWS_SECRET_ACCESS_KEY']",
    "a hash next to AWS": "aws checks sum 0123456789abcdef0123456789abcdef01234567",
    "a public key": "---- BEGIN SSH2 PUBLIC KEY ----",
    "a word as a token": "Authorization: Token YOUR_TOKEN_GOES_HERE",
    "a variable of curl": "curl -u $NAME:$PASSWORD https://host/",
    "a word for curl": "curl -u user:password https://host/",
    "a prompt of curl": "curl -u jane https://host:8443/v1/items",
}


@pytest.mark.parametrize("text", NAMED_BY_TOOLS.values(), ids=NAMED_BY_TOOLS)
def test_what_tools_call_a_secret_is_one(text: str) -> None:
    assert "[credential]" in conceal(f"see: {text} thanks")


@pytest.mark.parametrize("text", WORDS.values(), ids=WORDS)
def test_a_word_in_the_place_of_a_secret_is_none(text: str) -> None:
    assert conceal(text) == text
