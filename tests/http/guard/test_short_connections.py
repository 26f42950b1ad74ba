"""Connections that no event tells of: what the system's table shows of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pytest_claude_latency.http.guard import listening, seen_sockets, short_connections
from pytest_claude_latency.http.guard.short_connections import ShortConnections

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/net/tcp").exists(), reason="only Linux shows a process its connections"
)

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
LINE = "   0: 0100007F:BA27 {remote} 01 00000000:00000000 00:00000000 00000000     0        0 {number} 1 0 100 0 0 10 0"
ANTHROPIC_4, ANTHROPIC_6 = "0A684FA0:01BB", "C06B0726000000000000000010000000:01BB"
ELSEWHERE, LISTENING = "05020A0A:01BB", "00000000:0000"


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    with ExitStack() as opened:
        yield [opened.enter_context(socket.socket()) for _ in range(4)]


def look(monkeypatch: pytest.MonkeyPatch, folder: Path, lines: dict[str, int]) -> ShortConnections:
    """Return what is found in a table of these remote ends, each with the number of its socket."""
    table = folder / "tcp"
    table.write_text("\n".join([HEAD, *(LINE.format(remote=remote, number=lines[remote]) for remote in lines)]))
    monkeypatch.setattr(short_connections, "_TABLES", (table,))
    connections = ShortConnections(frozenset())
    connections.look()
    return connections


def test_anthropics_addresses_are_known_without_a_name_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sockets: list[socket.socket]
) -> None:
    numbers = [seen_sockets.number_of(opened.fileno()) for opened in sockets]

    found = look(
        monkeypatch, tmp_path, dict(zip([ANTHROPIC_4, ANTHROPIC_6, ELSEWHERE, LISTENING], numbers, strict=True))
    )

    assert [(remote.host, remote.name) for remote in found.take()] == [
        ("160.79.104.10:443", "160.79.104.10"),
        ("[2607:6bc0::10]:443", "2607:6bc0::10"),
        ("10.10.2.5:443", None),
    ]
    assert found.take() == []


def test_what_an_event_told_of_and_what_others_opened_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sockets: list[socket.socket]
) -> None:
    seen_sockets.note_connecting(sockets[0].fileno())
    numbers = [seen_sockets.number_of(sockets[0].fileno()), 1]  # the second is a socket of another process

    found = look(monkeypatch, tmp_path, dict(zip([ANTHROPIC_4, ANTHROPIC_6], numbers, strict=True)))

    assert found.take() == []


def test_code_in_c_that_was_judged_is_given_time_to_tell_its_socket(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sockets: list[socket.socket]
) -> None:
    number = seen_sockets.number_of(sockets[0].fileno())

    with seen_sockets.connecting_in_c():
        found = look(monkeypatch, tmp_path, {ANTHROPIC_4: number})

    assert found.take() == []


def test_sockets_of_other_families_have_no_table_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    def connections_of_system() -> Iterator[tuple[int, str, int]]:
        reads.append(1)
        yield from ()

    monkeypatch.setattr(short_connections, "_connections", connections_of_system)
    connections = ShortConnections(frozenset(seen_sockets.number_of(file) for file, _ in listening.sockets()))
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        connections.look()
        assert not reads

        with socket.socket():
            connections._next = 0
            connections.look()
    assert len(reads) == 1
