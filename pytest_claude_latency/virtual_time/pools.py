"""Thread pools, old and new: a worker is a member only while it runs a job of the world.

Between `submit` and the start of a job nobody would count: the worker that will
take it sleeps where it cannot be seen. So a pool gives its world credit for the
jobs that free workers are about to take, min(queued, workers - busy), counted
anew, under the one lock, whenever a job is submitted, begins or ends.
"""

from __future__ import annotations

import functools
import queue
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.virtual_time.lock import DOOR
from pytest_claude_latency.virtual_time.machine import get_ident
from pytest_claude_latency.virtual_time.members import MEMBERS, admit, dismiss
from pytest_claude_latency.virtual_time.schedule import Schedule, Wait

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.world import World

_POOL = "_claude_latency_pool"
_JOB = "_claude_latency_job"


@final
class Pool:
    """The accounts of one executor. Every method wants the lock."""

    def __init__(self, workers: set[Any]) -> None:
        self._workers = workers  # the executor's own set
        self._world: World | None = None
        self._queued = 0  # jobs of that world
        self._credit = 0
        self._busy: dict[int, Job] = {}
        self.joiners: list[Wait] = []
        self.closing = False

    def expect(self, job: Job) -> None:
        """A job of a member is being submitted."""
        if self._world is not job.world:
            self._world, self._queued, self._credit = job.world, 0, 0
        job.queued = True
        self._queued += 1
        self.recount()

    def forget(self, job: Job) -> None:
        """The job waits no longer: it begins, or never will."""
        if job.queued and job.world is self._world:
            self._queued -= 1
        job.queued = False
        self.recount()

    def begin(self, job: Job) -> None:
        """The calling thread starts on the job, as a member of the job's world."""
        ident = get_ident()
        self._busy[ident] = job
        if job.world is not None and ident not in MEMBERS:
            admit(job.world, ident)
        self.forget(job)

    def end(self) -> None:
        """The calling thread is done with its job, to the last waiter woken."""
        ident = get_ident()
        self._busy.pop(ident, None)
        self.recount()
        for joiner in self.joiners:
            if joiner.member is not None and joiner.member.schedule is not None:
                joiner.member.schedule.unpark(joiner)
        dismiss(ident)

    def abandon(self) -> None:
        """The pool is broken: what is queued will never begin."""
        self._queued = 0
        self.recount()

    def occupies(self, ident: int | None) -> bool:
        """Whether that worker has a job, or may yet get one."""
        return ident in self._busy or self._queued > 0

    def recount(self) -> None:
        """Bring the world's credit up to date."""
        schedule = self._schedule()
        if schedule is not None:
            busy = sum(job.occupies for job in self._busy.values())
            credit = min(self._queued, max(0, len(self._workers) - busy))
            schedule.credit += credit - self._credit
            self._credit = credit
            schedule.advance()

    def _schedule(self) -> Schedule | None:
        if self._world is None or self._world.ended or self._world.virtual is None:
            return None
        return self._world.virtual.schedule


@final
class Job:
    """One work item: its pool, and the world of the member that submitted it (None: an outsider did)."""

    def __init__(self, pool: Pool, world: World | None) -> None:
        self.pool = pool
        self.world = world
        self.queued = False
        self.returned = False

    @property
    def occupies(self) -> bool:
        """Whether it keeps its worker from the next job, and not only until its result is told to another world."""
        return not (self.returned and (self.world is None or self.world.ended))

    def returning(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """The job's function, which says when it is done."""

        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return fn(*args, **kwargs)
            finally:
                self.returned = True

        return run


# What each thread is submitting just now: the executor makes the work item, and perhaps a worker, on the way.
_SUBMITTING: dict[int, Job] = {}


def submitted_to() -> Pool | None:
    """The pool that the calling thread is submitting to."""
    job = _SUBMITTING.get(get_ident())
    return None if job is None else job.pool


def pool_of(executor: Any) -> Pool:
    """The accounts of the executor."""
    pool: Pool | None = executor.__dict__.get(_POOL)
    if pool is None:
        pool = executor.__dict__[_POOL] = Pool(executor._threads)
    return pool


def _submit(original: Callable[..., Any], executor: Any, /, *args: Any, **kwargs: Any) -> Any:
    ident = get_ident()
    member = MEMBERS.get(ident)
    job = _SUBMITTING[ident] = Job(pool_of(executor), None if member is None else member.world)
    try:
        if member is not None:
            with DOOR:
                job.pool.expect(job)
        return original(executor, *args, **kwargs)
    except BaseException:
        with DOOR:
            job.pool.forget(job)
        raise
    finally:
        _SUBMITTING.pop(ident, None)
        with DOOR:
            job.pool.recount()  # there may be a worker more


def _new_item(original: Callable[..., None], item: Any, /, *args: Any, **kwargs: Any) -> None:
    original(item, *args, **kwargs)
    job = _SUBMITTING.get(get_ident())
    if job is not None:
        item.__dict__[_JOB] = job
        if hasattr(item, "fn"):
            item.fn = job.returning(item.fn)


def _run(original: Callable[..., None], item: Any, /, *args: Any, **kwargs: Any) -> None:
    """A work item's run, which ends with its result set and whoever waits for it woken."""
    job: Job | None = item.__dict__.get(_JOB)
    if job is None:
        original(item, *args, **kwargs)
        return
    with DOOR:
        job.pool.begin(job)
    try:
        original(item, *args, **kwargs)
    finally:
        with DOOR:
            job.pool.end()


def _shutdown(
    original: Callable[..., None], executor: Any, /, wait: bool = True, *, cancel_futures: bool = False
) -> None:
    pool_of(executor).closing = True
    if cancel_futures:
        with executor._shutdown_lock:
            executor._shutdown = True
            _cancel_queued(executor)
    original(executor, wait)


def _cancel_queued(executor: Any) -> None:
    """What `shutdown(cancel_futures=True)` does, with the cancelled jobs forgotten."""
    while True:
        try:
            item = executor._work_queue.get_nowait()
        except queue.Empty:
            return
        if item is not None:
            item.future.cancel()
            _forget(item)


def _initializer_failed(original: Callable[..., None], executor: Any, /) -> None:
    """A pool whose initializer failed runs nothing any more."""
    original(executor)
    with DOOR:
        pool_of(executor).abandon()


def _forget(item: Any) -> None:
    job: Job | None = item.__dict__.get(_JOB)
    if job is not None:
        with DOOR:
            job.pool.forget(job)


def install(module: Any) -> None:
    """Patch `concurrent.futures.thread`."""
    for owner, name, wrapper in (
        (module.ThreadPoolExecutor, "submit", _submit),
        (module.ThreadPoolExecutor, "shutdown", _shutdown),
        (module.ThreadPoolExecutor, "_initializer_failed", _initializer_failed),
        (module._WorkItem, "__init__", _new_item),
        (module._WorkItem, "run", _run),
    ):
        _wrap(owner, name, wrapper)


def _wrap(owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return wrapper(original, self, *args, **kwargs)

    setattr(owner, name, wrapped)
