"""Thread pools, old and new: a worker is a member only while it runs a job of the world.

Between `submit` and the start of a job nobody would count: the worker that will
take it sleeps where it cannot be seen. So a pool promises its world the jobs that free
workers are about to take, the first min(queued, workers - busy), counted anew,
under the one lock, whenever a job is submitted, begins or ends.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.virtual_time.patches.patching import wrap
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import MEMBERS, arrive, dismiss
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule, Wait

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_POOL = "_claude_latency_pool"
_JOB = "_claude_latency_job"


@final
class Pool:
    """The accounts of one executor. Every method wants the lock."""

    def __init__(self, workers: set[Any]) -> None:
        self._workers = workers  # the executor's own set
        self._world: WorldState | None = None
        self._queue: list[Job] = []  # of that world
        self._busy: dict[int, Job] = {}
        self.joiners: list[Wait] = []
        self.closing = False

    def expect(self, job: Job) -> None:
        """A job of a member is being submitted."""
        if self._world is not job.world:
            self._world, self._queue = job.world, []
        self._queue.append(job)
        self.recount()

    def forget(self, job: Job) -> None:
        """The job will never begin."""
        if job in self._queue:
            self._queue.remove(job)
            self._take_back(job)
        self.recount()

    def begin(self, job: Job) -> Wait | None:
        """The calling thread starts on the job: what it was promised as. None if it is to stay what it is."""
        self._busy[get_ident()] = job
        if job in self._queue:
            self._queue.remove(job)
        hired = job.world is not None and get_ident() not in MEMBERS
        if not hired:
            self._take_back(job)
        elif job.reservation is None:
            self._reserve(job)
        self.recount()
        return job.reservation

    def end(self) -> None:
        """The calling thread is done with its job, to the last waiter woken."""
        self._busy.pop(get_ident(), None)
        self.recount()
        for joiner in self.joiners:
            if joiner.member is not None and joiner.member.schedule is not None:
                joiner.member.schedule.unpark(joiner)

    def abandon(self) -> None:
        """The pool is broken: what is queued will never begin."""
        for job in tuple(self._queue):
            self.forget(job)

    def occupies(self, ident: int | None) -> bool:
        """Whether that worker has a job, or may yet get one."""
        return ident in self._busy or bool(self._queue)

    def recount(self) -> None:
        """Promise the jobs that free workers are about to take, in their order, and no others."""
        schedule = _schedule_of(self._world)
        if schedule is None:
            return
        free = len(self._workers) - sum(job.occupies for job in self._busy.values())
        for place, job in enumerate(self._queue):
            if place >= free:
                self._take_back(job)
            elif job.reservation is None:
                self._reserve(job)

    def _reserve(self, job: Job) -> None:
        schedule = _schedule_of(job.world)
        job.reservation = Wait()
        if schedule is not None:
            schedule.reserve(job.reservation)

    def _take_back(self, job: Job) -> None:
        schedule = _schedule_of(job.world)
        if job.reservation is not None and schedule is not None:
            schedule.withdraw(job.reservation)
        job.reservation = None


def _schedule_of(world: WorldState | None) -> Schedule | None:
    return None if world is None or world.ended else world.schedule


@final
class Job:
    """One work item: its pool, and the world of the member that submitted it (None: an outsider did)."""

    def __init__(self, pool: Pool, world: WorldState | None) -> None:
        self.pool = pool
        self.world = world
        self.reservation: Wait | None = None
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
            with TRACKED_LOCK:
                job.pool.expect(job)
        return original(executor, *args, **kwargs)
    except BaseException:
        with TRACKED_LOCK:
            job.pool.forget(job)
        raise
    finally:
        _SUBMITTING.pop(ident, None)
        with TRACKED_LOCK:
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
    with TRACKED_LOCK:
        reservation = job.pool.begin(job)
    try:
        if job.world is not None and reservation is not None:
            arrive(job.world, reservation)
        original(item, *args, **kwargs)
    finally:
        with TRACKED_LOCK:
            job.pool.end()
            if reservation is not None:
                dismiss(get_ident())


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
    with TRACKED_LOCK:
        pool_of(executor).abandon()


def _forget(item: Any) -> None:
    job: Job | None = item.__dict__.get(_JOB)
    if job is not None:
        with TRACKED_LOCK:
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
        wrap(owner, name, wrapper)
