"""Open files: who could make one ready, also while the process has children."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_claude_latency.virtual_time.watch import children, open_files, socket_pairs
from pytest_claude_latency.virtual_time.watch.open_files import Use
from pytest_claude_latency.virtual_time.watch.socket_pairs import peer_of

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")


@contextmanager
def child(*files: int) -> Iterator[None]:
    """A child process that has been given these files."""
    waits = [sys.executable, "-S", "-c", "print(flush=True); input()"]
    process = subprocess.Popen(waits, pass_fds=files, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # it runs its own program by now
    try:
        yield
    finally:
        process.communicate(b"\n")


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def test_a_child_that_was_not_given_a_socket_pair_cannot_write_to_it() -> None:
    here, there = socket.socketpair()
    with here, there, child():
        assert open_files.use(here.fileno()) is Use.INSIDE


def test_a_child_that_was_given_the_other_end_of_a_pair_may_write_to_it() -> None:
    here, there = socket.socketpair()
    with here, there:
        with child(there.fileno()):
            shared = open_files.use(here.fileno())
        alone = open_files.use(here.fileno())

    assert shared is Use.OUTSIDE
    assert alone is Use.INSIDE


def test_a_grandchild_may_write_too() -> None:
    here, there = socket.socketpair()
    starts = (
        "import subprocess, sys\n"
        "waits = [sys.executable, '-S', '-c', 'print(flush=True); input()']\n"
        "subprocess.run(waits, pass_fds=[int(sys.argv[1])])\n"
    )
    with here, there:
        os.set_inheritable(there.fileno(), True)
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", starts, str(there.fileno())],
            pass_fds=[there.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        there.close()
        shared = open_files.use(here.fileno())
        process.communicate(b"\n")

    assert shared is Use.OUTSIDE


def test_a_pipe_belongs_to_the_process_unless_a_child_has_it() -> None:
    with pipe() as (out, into):
        with child():
            beside = open_files.use(out)
        with child(into):
            shared = open_files.use(out)

    assert beside is Use.INSIDE
    assert shared is Use.OUTSIDE


def test_where_pairs_are_not_known_a_child_with_any_socket_may_have_the_other_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if children.hold("socket:"):
        pytest.skip("a child of an earlier test has a socket")
    monkeypatch.setattr(open_files, "peer_of", lambda inode: None)
    here, there = socket.socketpair()
    other, _ = socket.socketpair()
    with here, there, other, _:
        with child():
            beside = open_files.use(here.fileno())
        with child(other.fileno()):
            shared = open_files.use(here.fileno())

    assert beside is Use.INSIDE
    assert shared is Use.OUTSIDE


def test_the_kernel_names_the_other_end_of_a_pair() -> None:
    here, there = socket.socketpair()
    with here, there:
        peer = peer_of(os.fstat(here.fileno()).st_ino)

    if peer is None:
        pytest.skip("this system does not tell")
    assert peer != os.getpid()
    assert socket_pairs.peer_of(0) is None


def test_files_are_looked_at_where_a_tool_forbids_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = socket.socketpair()

    class Forbidden:
        def __new__(cls, *_: object, **__: object) -> Forbidden:
            raise RuntimeError("no sockets in unit tests")

    with here, there:
        monkeypatch.setattr(socket, "socket", Forbidden)
        use = open_files.use(here.fileno())
        monkeypatch.undo()

    assert use is Use.INSIDE
