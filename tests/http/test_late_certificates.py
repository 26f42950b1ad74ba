"""Certificates that a replay leaves unloaded until a program uses them."""

from __future__ import annotations

import _ssl
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from pytest_claude_latency import play
from pytest_claude_latency.http.changes.certificates import LateCertificates

AUTHORITY = """
-----BEGIN CERTIFICATE-----
MIIBnzCCAUWgAwIBAgIUKBiEhIQiM7fyFWbj+bCzej+1sAAwCgYIKoZIzj0EAwIw
JDEiMCAGA1UEAwwZYW4gYXV0aG9yaXR5IG9mIHRoZSB0ZXN0czAgFw0yNjExMzAw
NzEzMTdaGA8yMTI2MTEwNjA3MTMxN1owJDEiMCAGA1UEAwwZYW4gYXV0aG9yaXR5
IG9mIHRoZSB0ZXN0czBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMCcByGj9yPr
lo9gIG6zeaPq0Oncy2rm1k1YIS05AD8JD/CcxfiOwcXyruyRqe2l6v3nzfaFCnwN
0SRqGDG4WfGjUzBRMB0GA1UdDgQWBBQ7FdOu41YO9zjpvJ7WDFtZLisS4jAfBgNV
HSMEGDAWgBQ7FdOu41YO9zjpvJ7WDFtZLisS4jAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIQCNGQtkwugGWOj/6pSjzWXuE5aIUdu7Q80D+s2Q6vMd
vQIgDE13ZmJXEzRyZUHwNEBiHHrOKovFwwIr7AmMNJsaVaA=
-----END CERTIFICATE-----
"""


@pytest.fixture
def authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a file of authorities that lies among the installed ones, and not among those a program writes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    file = tmp_path / "authorities.pem"
    file.write_text(AUTHORITY)
    return str(file)


@pytest.fixture
def replaying() -> Iterator[list[bool]]:
    answers = [True]
    change = LateCertificates(lambda: answers[0])
    change.start()
    yield answers
    change.stop()


def context_with(file: str, protocol: int = ssl.PROTOCOL_TLS_CLIENT) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.load_verify_locations(file)
    return context


def _connected(context: ssl.SSLContext) -> ssl.SSLSocket:
    ours, theirs = socket.socketpair()
    with theirs:
        return context.wrap_socket(ours, do_handshake_on_connect=False, server_hostname="localhost")


def loaded_in(context: ssl.SSLContext) -> int:
    """Return how many certificates are loaded, asked of OpenSSL and not of the patched method."""
    stats: dict[str, int] = _ssl._SSLContext.cert_store_stats(context)
    return stats["x509"]


@pytest.mark.usefixtures("replaying")
def test_a_file_is_loaded_once_and_then_only_by_who_uses_it(authorities: str) -> None:
    assert [loaded_in(context_with(authorities)) for _ in range(3)] == [1, 0, 0]


@pytest.mark.usefixtures("replaying")
@pytest.mark.parametrize(
    "use",
    [
        lambda context: context.cert_store_stats(),
        lambda context: context.get_ca_certs(),
        lambda context: context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost"),
        lambda context: _connected(context).close(),
    ],
    ids=["cert_store_stats", "get_ca_certs", "wrap_bio", "wrap_socket"],
)
def test_who_uses_a_context_finds_all_that_was_loaded(authorities: str, use: Callable[[Any], object]) -> None:
    first, late = context_with(authorities), context_with(authorities)

    use(late)

    assert loaded_in(late) == 1
    assert late.get_ca_certs() == first.get_ca_certs()


def test_a_context_that_is_used_after_the_replay_is_whole(authorities: str) -> None:
    change = LateCertificates(lambda: True)
    change.start()
    context_with(authorities)
    late = context_with(authorities)
    change.stop()

    assert late.cert_store_stats()["x509"] == 1


def test_outside_a_replay_all_is_loaded_at_once(authorities: str, replaying: list[bool]) -> None:
    context_with(authorities)
    replaying[0] = False

    assert loaded_in(context_with(authorities)) == 1


@pytest.mark.usefixtures("replaying")
def test_a_file_that_changed_is_loaded_at_once(authorities: str) -> None:
    context_with(authorities)
    Path(authorities).write_text("no certificate")

    with pytest.raises(ssl.SSLError):
        context_with(authorities)


@pytest.mark.usefixtures("replaying")
def test_a_file_that_is_gone_raises_where_it_is_loaded(authorities: str) -> None:
    context_with(authorities)
    Path(authorities).unlink()

    with pytest.raises(FileNotFoundError):
        context_with(authorities)


@pytest.mark.usefixtures("replaying")
def test_a_file_that_a_program_may_delete_is_loaded_at_once(authorities: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(Path(authorities).parent))
    context_with(authorities)

    assert loaded_in(context_with(authorities)) == 1


@pytest.mark.usefixtures("replaying")
def test_a_servers_context_is_loaded_at_once(authorities: str) -> None:
    context_with(authorities)

    assert loaded_in(context_with(authorities, ssl.PROTOCOL_TLS_SERVER)) == 1


def test_a_client_that_a_replayed_program_makes_loads_no_certificates(
    authorities: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", authorities)

    with play(["Hello."]) as measured:
        first, second = (anthropic.Anthropic(api_key="none") for _ in range(2))
        second.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])

    assert [loaded_in(_context_of(client)) for client in (first, second)] == [1, 0]
    assert len(measured.calls) == 1


def _context_of(client: anthropic.Anthropic) -> ssl.SSLContext:
    pool: Any = vars(client._client._transport)["_pool"]
    context: ssl.SSLContext = pool._ssl_context
    return context
