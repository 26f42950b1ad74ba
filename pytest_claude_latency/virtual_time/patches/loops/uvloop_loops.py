"""uvloop's loops cannot follow virtual time, so members get asyncio's own instead.

The loop type of uvloop is written in C and cannot be changed. Where a member asks uvloop for a loop (`run`,
`new_event_loop`, the policy, the settings of anyio and pytest-asyncio) it gets a selector loop. Everybody else gets
uvloop's.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from pytest_claude_latency.virtual_time.scheduling.table import scheduled


def install(module: Any) -> None:
    """Patch the module `uvloop`."""
    new_event_loop, run = module.new_event_loop, module.run

    @functools.wraps(new_event_loop)
    def new_loop() -> Any:
        return new_event_loop() if scheduled() is None else asyncio.SelectorEventLoop()

    @functools.wraps(run)
    def run_on_new_loop(main: Any, **options: Any) -> Any:
        if scheduled() is None:
            return run(main, **options)
        # `uvloop.run` insists on a loop of its own type, so asyncio's runner takes its place.
        if options.get("loop_factory") in {None, new_event_loop}:
            options["loop_factory"] = new_loop
        with asyncio.Runner(debug=options.get("debug"), loop_factory=options["loop_factory"]) as runner:
            return runner.run(main)

    module.new_event_loop, module.run = new_loop, run_on_new_loop
