from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from pytest_claude_latency.http.guard import judging, listening, open_connections
from pytest_claude_latency.http.guard.open_connections import OpenConnections


def test_a_port_is_listened_on_from_listen_to_close() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert not listening.listens_here(port)
        server.listen()

        assert listening.listens_here(port)
    assert not listening.listens_here(port)


def test_it_is_found_where_the_system_lists_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_there(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", not_there)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert listening.listens_here(port)
        assert server.fileno() >= 0


def test_the_other_end_of_a_connection_does_not_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert not listening.listens_here(client.getsockname()[1])


@pytest.mark.parametrize("kind", [getattr(socket, "SOCK_NONBLOCK", 0), 0])
def test_looking_at_a_socket_leaves_it_blocking(monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    monkeypatch.setattr(socket, "SOCK_NONBLOCK", kind, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.setdefaulttimeout(5)
        try:
            assert listening.listens_here(server.getsockname()[1])
        finally:
            socket.setdefaulttimeout(None)

        assert os.get_blocking(server.fileno())


def test_sockets_are_listed_unless_they_are_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listening.are_listed()

    monkeypatch.setattr(listening, "_open_files", list)

    assert not listening.are_listed()


@pytest.mark.parametrize("family", ["AF_NETLINK", "AF_UNIX"])
def test_sockets_that_know_no_host_are_left_alone(family: str) -> None:
    if not hasattr(socket, family):
        pytest.skip(f"this system has no {family}")
    kind = socket.SOCK_RAW if family == "AF_NETLINK" else socket.SOCK_STREAM
    with socket.socket(getattr(socket, family), kind) as opened:
        if family == "AF_NETLINK":
            opened.bind((0, 0))  # as looking up a name does for a moment: its other end is the pair (0, 0)
            assert opened.getpeername() == (0, 0)

        assert opened.fileno() not in {file for file, _ in listening.internet_sockets()}
        assert not listening.listens_here(0)
        assert not OpenConnections().news()


def test_a_connection_that_is_closed_while_it_is_listed_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed_at_once() -> Iterator[tuple[int, socket.socket]]:
        with socket.create_connection(server.getsockname()) as client:
            file, copy = client.fileno(), listening.copy_of(client.fileno())
        with copy:
            yield file, copy

    monkeypatch.setattr(open_connections, "sockets", closed_at_once)
    monkeypatch.setattr(open_connections, "_watch_sends", lambda: None)
    monkeypatch.setattr(judging, "claudes_at", lambda *_: "api.anthropic.com")
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = OpenConnections()
        connections.look(replays=False)

        assert [connection.name for connection in connections.news()] == ["api.anthropic.com"]
