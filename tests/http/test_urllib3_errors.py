"""Because of a proxy, or of an answer that is no HTTP, clients raise in a replay what they raise live."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from importlib.metadata import version
from socket import create_server, socket
from threading import Thread
from typing import Any, TypeAlias

import pytest
import requests
import urllib3
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session

from tests.http.test_urllib3_door import HEADERS, PROMPT, recorded, replayed

Ask: TypeAlias = Callable[[str, str | None], object]
"""Sends a prompt to a URL, through a proxy if one is given."""

BODY = json.dumps(PROMPT)


@contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """Yield a port where whoever connects gets this answer and no more; with `None` nobody listens there."""
    with create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        if answer is not None:
            Thread(target=_serve, args=(listener, answer), daemon=True).start()
            yield port
            HTTPConnection("127.0.0.1", port).connect()  # so that the thread looks whether it is to go on
            return
    yield port


def _serve(listener: socket, answer: bytes) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            if not connection.recv(65536):
                return
            connection.sendall(answer)


def by_urllib3(url: str, proxy: str | None, retries: Any = False) -> None:
    pool = urllib3.PoolManager() if proxy is None else urllib3.ProxyManager(proxy)
    pool.request("POST", url, body=BODY, headers=HEADERS, retries=retries)


def by_urllib3_again(url: str, proxy: str | None) -> None:
    by_urllib3(url, proxy, urllib3.Retry(1, backoff_factor=0, allowed_methods=None))


def by_requests(url: str, proxy: str | None) -> None:
    proxies = {} if proxy is None else {"http": proxy, "https": proxy}
    requests.post(url, data=BODY, headers=HEADERS, proxies=proxies)


def by_botocore(url: str, proxy: str | None) -> None:
    proxies = {} if proxy is None else {"http": proxy, "https": proxy}
    URLLib3Session(proxies=proxies).send(AWSRequest("POST", url, HEADERS, BODY).prepare())


WAYS = [by_urllib3, by_urllib3_again, by_requests, by_botocore]


def errors_of(ask: Ask, url: str, proxy: str | None) -> list[str]:
    """Return the classes and texts of the error that the program meets, and of what caused it, without addresses."""
    try:
        ask(url, proxy)
    except Exception as raised:
        told: list[str] = []
        error: BaseException | None = raised
        while error is not None:
            told.append(re.sub(r"0x[0-9a-f]+", "…", f"{type(error).__name__}: {error}"))
            # where urllib3, requests and botocore put what was wrong
            held = [*error.args, getattr(error, "reason", None), getattr(error, "kwargs", {}).get("error")]
            error = next((value for value in held if isinstance(value, BaseException)), None)
        return told
    raise AssertionError("nothing was raised")


def seen(ask: Ask, url: str, proxy: str | None) -> list[list[str]]:
    """Return what is raised live, and then in a replay."""
    told: list[list[str]] = []

    def program(_: str) -> None:
        told.append(errors_of(ask, url, proxy))

    exchanges = recorded(program)
    (call,) = replayed(program, exchanges)
    end = exchanges[-1].end
    assert end is not None
    assert end.error == call.error is not None
    return told


PROXIES: dict[str, tuple[str, bytes | None]] = {
    "refused": ("http", None),
    "bad gateway": ("http", b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"),
    "login required": ("http", b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"),
    "closed": ("http", b""),
    "no HTTP": ("http", b"hello\r\n\r\n"),
    "no TLS": ("https", b"hello\r\n\r\n"),
}


@pytest.mark.parametrize("ask", WAYS)
@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("kind", PROXIES)
def test_a_proxy_that_fails_is_told_in_the_same_words(kind: str, scheme: str, ask: Ask) -> None:
    proxy, answer = PROXIES[kind]
    if scheme == "http" and kind in ("bad gateway", "login required"):
        pytest.skip("without a tunnel it is an answer, and no error")

    with answering(answer) as port:
        live, again = seen(ask, f"{scheme}://api.anthropic.com/v1/messages", f"{proxy}://127.0.0.1:{port}")

    assert again == live
    assert any("roxy" in error for error in live) or kind in ("closed", "no HTTP")


def test_a_proxy_that_a_replay_does_not_know_fails_too() -> None:
    told: list[BaseException] = []

    def program(proxy: str | None) -> Callable[[str], None]:
        def run(_: str) -> None:
            with pytest.raises(urllib3.exceptions.ProxyError) as caught:
                by_urllib3("https://api.anthropic.com/v1/messages", proxy)
            told.append(caught.value)

        return run

    with answering(PROXIES["bad gateway"][1]) as port:
        exchanges = recorded(program(f"http://127.0.0.1:{port}"))
    (call,) = replayed(program(None), exchanges)

    assert call.error == "ProxyError"
    assert str(told[1]) == str(told[0])


def test_each_attempt_at_a_tunnel_is_recorded() -> None:
    def program(_: str) -> None:
        with answering(PROXIES["bad gateway"][1]) as port, pytest.raises(urllib3.exceptions.MaxRetryError):
            by_urllib3_again("https://api.anthropic.com/v1/messages", f"http://127.0.0.1:{port}")

    exchanges = recorded(program)
    (call,) = replayed(program, exchanges)

    assert [exchange.end and exchange.end.error for exchange in exchanges] == ["ProxyError"] * 2
    assert call.attempts == 2


def test_a_certificate_that_fails_behind_a_proxy_is_no_error_of_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://api.anthropic.com/v1/messages"
    reason = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise reason

    monkeypatch.setattr("urllib3.connection.ssl_wrap_socket", fail)
    with answering(b"HTTP/1.1 200 Connection established\r\n\r\n") as port:
        live, again = seen(by_requests, url, f"http://127.0.0.1:{port}")

    assert again == live
    assert live[0].startswith("SSLError: ")


HEADS = {
    "no HTTP": b"hello\r\n\r\n",
    "no end of a line": b"hello",
    "no number": b"HTTP/1.1 two OK\r\n\r\n",
    "no known version": b"FTP/7 200 OK\r\n\r\n",
    "a long line": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
    "many lines": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("ask", WAYS)
@pytest.mark.parametrize("head", HEADS)
def test_an_answer_that_is_not_understood_is_told_in_the_same_words(head: str, ask: Ask) -> None:
    with answering(HEADS[head]) as port:
        live, again = seen(ask, f"http://127.0.0.1:{port}/v1/messages", None)

    assert again == live


def test_the_versions_of_urllib3_say_it_in_their_own_words() -> None:
    with answering(None) as port:
        live, again = seen(by_urllib3, "https://api.anthropic.com/v1/messages", f"http://127.0.0.1:{port}")

    assert again == live
    begin = "('Cannot connect to proxy.'" if version("urllib3").startswith("1.") else "('Unable to connect to proxy'"
    assert live[0].startswith(f"ProxyError: {begin}, NewConnectionError(")
