"""CPython's tests that pass on the machine's clock and need not pass in a world, each with the reason."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Exempt:
    """Tests of `suite` whose id matches `pattern`, both shell patterns, on Pythons below `until`.

    One that hangs is not `tried`.
    """

    suite: str
    pattern: str
    reason: str
    tried: bool = True
    until: tuple[int, int] = (99, 0)


EXCEPTIONS: tuple[Exempt, ...] = (
    Exempt(
        "test.test_queue",
        "*CSimpleQueueTest::test_many_threads*",
        "fifty threads wait in a type of C that the test imports afresh: each of 10,000 waits is only seen after 5 ms",
        tried=False,
    ),
    Exempt(
        "test.test_asyncio.test_subprocess",
        "*::Subprocess[SF]a[fs][et]WatcherTests::*",
        "deprecated watchers, gone in 3.14, that only hear of the end of a child by a signal: nothing shows it before",
    ),
    Exempt(
        "test.test_select",
        "*::test_disallow_instantiation",
        "the type of what select.poll() returns is ours, and its error has other words",
    ),
    Exempt(
        "test.test_select",
        "*::test_select_mutated",
        "counts how often the interpreter asks a file for its number while it walks the list; it is asked before, too",
    ),
    Exempt(
        "test.test_thread",
        "*::test_unraisable_exception",
        "up to Python 3.12 the interpreter hands on what the thread runs, which is ours around the program's function",
        until=(3, 13),
    ),
    Exempt(
        "test.test_threading",
        "*::ThreadTests::test_disallow_instantiation",
        "the type of a lock is threading.Lock itself, as it is since Python 3.13, and so it may be called",
    ),
    Exempt(
        "test.test_threading",
        "*::ThreadTests::test_tstate_lock",
        "takes the interpreter's lock Thread._tstate_lock, and expects a thread that has ended to be alive meanwhile",
    ),
)


def exempt(suite: str, test: str) -> Exempt | None:
    """Return why this test need not pass in a world; None if it must."""
    valid = [entry for entry in EXCEPTIONS if sys.version_info < entry.until]
    fitting = (entry for entry in valid if fnmatchcase(suite, entry.suite) and fnmatchcase(test, entry.pattern))
    return next(fitting, None)
