"""freezegun: it freezes what stands in `time`, and puts back what stood there when it was imported."""

from __future__ import annotations

from typing import Any

from pytest_claude_latency.virtual_time.patches.time_functions import FUNCTIONS, replace_copies


def install(module: Any) -> None:
    """Patch the module `freezegun.api`."""
    # If it was imported first, it has copies of the machine's functions too. It looks for the functions in other
    # modules by their identities, and keeps what it has found.
    replace_copies()
    module._real_time_object_ids.update(map(id, FUNCTIONS.values()))
    module._GLOBAL_MODULES_CACHE.clear()
