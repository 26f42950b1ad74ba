"""CPython's tests that pass on the machine's clock and need not pass in a world, each with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Exempt:
    """Tests of `suite` whose id matches `pattern`, both shell patterns. If one hangs, it is not `tried`."""

    suite: str
    pattern: str
    reason: str
    tried: bool = True


EXCEPTIONS: tuple[Exempt, ...] = (
    Exempt(
        "test.test_queue",
        "*CSimpleQueueTest::test_many_threads*",
        "fifty threads wait in a type of C that the test imports afresh: each of 10,000 waits is seen after 5 ms only",
        tried=False,
    ),
)


def exempt(suite: str, test: str) -> Exempt | None:
    """Return why this test need not pass in a world; None if it must."""
    fitting = (entry for entry in EXCEPTIONS if fnmatchcase(suite, entry.suite) and fnmatchcase(test, entry.pattern))
    return next(fitting, None)
