"""uvloop's loops cannot follow virtual time, so members are given asyncio's own instead.

Its loop type is immutable C. Wherever a member asks uvloop for a loop (`run`,
`new_event_loop`, the policy, anyio's and pytest-asyncio's settings) it gets a
selector loop; everybody else gets uvloop's.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from pytest_claude_latency.virtual_time.scheduling.members import scheduled


def install(module: Any) -> None:
    """Patch `uvloop`."""
    new_event_loop, run = module.new_event_loop, module.run

    @functools.wraps(new_event_loop)
    def make() -> Any:
        return new_event_loop() if scheduled() is None else asyncio.SelectorEventLoop()

    @functools.wraps(run)
    def run_on_it(main: Any, **options: Any) -> Any:
        if scheduled() is None:
            return run(main, **options)
        if options.get("loop_factory") in {None, new_event_loop}:
            options["loop_factory"] = make
        with asyncio.Runner(debug=options.get("debug"), loop_factory=options["loop_factory"]) as runner:
            return runner.run(main)

    module.new_event_loop, module.run = make, run_on_it
