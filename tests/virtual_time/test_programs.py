from __future__ import annotations

import pytest

from tests.support.virtual_time_programs import PROGRAMS, Program


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_ends_when_it_would_end(program: Program) -> None:
    assert [program.run() for _ in range(5)] == [program.ends] * 5
