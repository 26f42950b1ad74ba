"""gevent and eventlet: their greenlets wait in a hub, which virtual time cannot move. The first wait there is refused.

A hub is a loop of C code, or of its own kind, that switches between the greenlets of one thread. To this package they
are one thread: if a greenlet waits and others go on, the clock stands still, and a wait until some instant never ends.
A program whose hub has nothing to do in a test is followed as any other.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any

from pytest_claude_latency.virtual_time.scheduling.errors import UnsupportedLoop
from pytest_claude_latency.virtual_time.scheduling.table import scheduled

_REFUSED = """\
{library} waits for its greenlets, and virtual time cannot follow it
  test      {test}
  why       greenlets share one thread, and {library}'s hub waits for them by the machine's clock
  fix       pass --latency-clock=real, or do without {library} in this test"""


def _error(library: str) -> UnsupportedLoop | None:
    """Return what a hub of the calling thread is to raise; None if the thread lives in no world of virtual time."""
    member = scheduled()
    return None if member is None else UnsupportedLoop(_REFUSED.format(library=library, test=member.world.name))


def patched_by() -> str | None:
    """Return the library of greenlets that has patched the sockets of this process; None if none has."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("socket"):
        return "gevent"
    return "eventlet" if eventlet is not None and eventlet.is_monkey_patched("socket") else None


def refuse_greenlet() -> None:
    """Raise if a greenlet calls that is not its thread's first, in a process that a library has patched.

    Raises:
        UnsupportedLoop: it is such a one, and lives in a world of virtual time.
    """
    # Others would go on while it waits for a socket. Without the patch its whole thread stops, as it does in a replay.
    library = patched_by()
    if library is not None and sys.modules["greenlet"].getcurrent().parent is not None:
        error = _error(library)
        if error is not None:
            raise error


def refuse_threads() -> None:
    """Let no thread be started in a world of virtual time, once the process is patched: it would be a greenlet."""
    # Who started it would wait for it on a lock of ours, and stop the thread that both share.
    machine: Callable[[threading.Thread], None] = threading.Thread.start
    if machine.__module__ == __name__:
        return

    def start(thread: threading.Thread) -> None:
        """Start the thread's activity."""
        error = _error(patched_by() or "")
        if error is not None:
            raise error
        machine(thread)

    threading.Thread.start = start  # type: ignore[method-assign,assignment] # on purpose


def install_gevent(module: Any) -> None:
    """Patch the module `gevent.hub`."""
    machine = module.Hub.__init__

    @functools.wraps(machine)
    def init(hub: Any, *args: Any, **kwargs: Any) -> None:
        machine(hub, *args, **kwargs)
        if scheduled() is not None:
            _watch(hub)

    module.Hub.__init__ = init


def watch_hub() -> None:
    """Watch the hub of gevent that the calling thread has, if it has one: it begins to live in a world."""
    module = sys.modules.get("gevent.hub")
    hub = None if module is None else module._get_hub()
    if hub is not None:
        _watch(hub)


def _watch(hub: Any) -> None:
    # libev and libuv call it each time before they wait. It keeps no hub alive that has nothing else to do.
    watcher = hub.loop.prepare(ref=False)

    def refuse() -> None:
        error = _error("gevent")
        if error is None:  # the world has ended
            watcher.stop()
            watcher.close()
        else:
            hub.parent.throw(error)

    watcher.start(refuse)


def install_eventlet(module: Any) -> None:
    """Patch a module that has a hub of eventlet."""
    machine = module.Hub.wait

    @functools.wraps(machine)
    def wait(hub: Any, seconds: float | None = None) -> Any:
        error = None if seconds == 0 else _error("eventlet")
        if error is not None:
            raise error  # it ends the hub, and reaches the thread's main greenlet; the next wait makes another hub
        return machine(hub, seconds)

    module.Hub.wait = wait
