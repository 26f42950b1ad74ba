from __future__ import annotations

import mmap
import os
import pickle
from pathlib import Path
from unittest import mock

import pytest

from pytest_claude_latency.measurement.miss import Miss, is_made_of_misses
from pytest_claude_latency.measurement.processes import children as children_module
from pytest_claude_latency.measurement.processes.children import Children, Told


@pytest.mark.skipif("not hasattr(os, 'fork')", reason="processes are forked on POSIX only")
def test_what_a_forked_child_tells_is_heard_once() -> None:
    children = Children()
    assert children.news() == []
    child = os.fork()
    if child == 0:
        children.tell(Told.CALL, "POST /v1/messages")
        children.tell(Told.MISS, "nothing\nis recorded: “ü”")
        os._exit(0 if children.is_child else 1)
    _, status = os.waitpid(child, 0)

    assert status == 0
    assert not children.is_child
    assert children.news() == [(Told.CALL, "POST /v1/messages"), (Told.MISS, "nothing\nis recorded: “ü”")]
    assert children.news() == []
    children.forget()
    children.forget()
    assert children.news() == []


@pytest.mark.skipif("not hasattr(os, 'fork')", reason="processes are forked on POSIX only")
def test_a_grandchild_is_heard_and_no_file_is_looked_for_before_somebody_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = mmap.mmap(-1, 1)
    monkeypatch.setattr(children_module, "TOLD", told)
    children = Children()
    with mock.patch.object(Path, "read_bytes") as look:
        assert children.news() == []
    look.assert_not_called()
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        if grandchild == 0:
            children.tell(Told.CALL, "POST /v1/messages")
            os._exit(0)
        os._exit(os.waitpid(grandchild, 0)[1])
    _, status = os.waitpid(child, 0)

    assert status == 0
    assert children.news() == [(Told.CALL, "POST /v1/messages")]
    children.forget()


def test_a_miss_can_be_pickled_and_reads_as_a_failure_of_pytest() -> None:
    miss = pickle.loads(pickle.dumps(Miss("nothing is recorded")))

    assert isinstance(miss, Miss)
    assert isinstance(miss, pytest.fail.Exception)
    assert not isinstance(miss, Exception)
    assert str(miss) == "nothing is recorded"
    assert not miss.pytrace
    assert type(miss).__name__ == "Failed"


def test_a_group_is_made_of_misses_if_it_holds_nothing_else() -> None:
    miss: BaseException = Miss("x")

    assert is_made_of_misses(BaseExceptionGroup("", [miss, BaseExceptionGroup("", [miss])]))
    assert not is_made_of_misses(BaseExceptionGroup("", [miss, ValueError()]))
    assert not is_made_of_misses(ValueError())
