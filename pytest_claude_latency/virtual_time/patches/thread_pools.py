"""Thread pools, those of the test and older ones: a worker is a member only while it runs a job of the world.

Between `submit` and the start of a job no running thread stands for the job: the worker that will take it still sleeps,
and a pool may have more jobs than workers. So a pool makes reservations with the schedule, one for each job that a free
worker is about to take: the first min(queued, workers - busy). They are counted again, under the one lock, whenever a
job is submitted, begins or ends.
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable
from inspect import signature
from typing import TYPE_CHECKING, Any, final

from pytest_claude_latency.virtual_time.patches.patching import Patches
from pytest_claude_latency.virtual_time.scheduling.lead import LEADS
from pytest_claude_latency.virtual_time.scheduling.lock import TRACKED_LOCK
from pytest_claude_latency.virtual_time.scheduling.members import arrive, dismiss
from pytest_claude_latency.virtual_time.scheduling.outsiders import OUTSIDERS
from pytest_claude_latency.virtual_time.scheduling.real_clock import get_ident
from pytest_claude_latency.virtual_time.scheduling.scheduler import Schedule
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS
from pytest_claude_latency.virtual_time.scheduling.wait import Wait

if TYPE_CHECKING:
    from pytest_claude_latency.virtual_time.scheduling.world import WorldState

_PATCHES = Patches()
_POOL = "_claude_latency_pool"
_JOB = "_claude_latency_job"


@final
class PoolState:
    """The workers of one executor, its queue, and what is reserved for the jobs in it.

    The caller of each method must hold LOCK.
    """

    def __init__(self, workers: set[Any], *, is_of_interpreters: bool) -> None:
        self._workers = workers  # the executor's own set, so it grows as the executor does
        self.is_of_interpreters = is_of_interpreters
        """Whether its jobs run in interpreters of their own: nothing of this package can be handed to them."""
        self._world: WorldState | None = None
        self._queue: list[Job] = []  # those of `_world`; jobs of other worlds need no reservation any more
        self._of_outsiders: set[Job] = set()  # that wait in the same queue
        self._busy: dict[int, Job] = {}  # by the identifier of the worker
        self.joiners: list[Wait] = []  # of threads that join a worker
        self.closing = False

    @property
    def world(self) -> WorldState | None:
        """The active world whose members submit to the pool; None if there is none."""
        return None if self._world is None or self._world.ended else self._world

    def expect(self, job: Job) -> None:
        """Queue a job that the calling thread is submitting."""
        if job.world is None or job.world.ended:
            self._of_outsiders.add(job)
            return  # before the pool has it, which may start a thread for it, nobody waits for it
        if self._world is not job.world:
            self._world, self._queue = job.world, []
        self._queue.append(job)
        self.recount()

    def forget(self, job: Job) -> None:
        """Take a job that will never begin out of the queue."""
        if job in self._queue:
            self._queue.remove(job)
            self._withdraw(job)
        self._of_outsiders.discard(job)
        self.recount()

    def begin(self, job: Job) -> Wait | None:
        """Note that the calling thread begins the job, and return the job's reservation.

        None if the thread stays what it is: an outsider in a job of an outsider, or a thread that is a member already.
        """
        self._busy[get_ident()] = job
        OUTSIDERS.busy_workers.add(get_ident())
        OUTSIDERS.changed()
        LEADS.catch_up(get_ident())
        if job in self._queue:
            self._queue.remove(job)
        self._of_outsiders.discard(job)
        becomes_member = job.world is not None and get_ident() not in MEMBERS
        if not becomes_member:
            self._withdraw(job)
        elif job.reservation is None:
            self._reserve(job)  # a new worker may begin before the executor adds it to its set of workers
        self.recount()
        return job.reservation

    def end(self) -> None:
        """Note that the calling thread has ended its job, and has woken everybody who waited for the result."""
        self._busy.pop(get_ident(), None)
        OUTSIDERS.busy_workers.discard(get_ident())
        OUTSIDERS.changed()
        self.recount()
        for joiner in self.joiners:
            joiner.unpark()

    def abandon(self) -> None:
        """Forget all queued jobs: the pool is broken."""
        for job in (*self._queue, *self._of_outsiders):
            self.forget(job)

    def occupies(self, ident: int | None) -> bool:
        """Return whether that worker has a job, or may still get one."""
        return ident in self._busy or bool(self._queue)

    def recount(self) -> None:
        """Reserve for the jobs that free workers are about to take, in their order, and for no others."""
        # With one reservation too few the clock could move although a worker is about to begin. With one too many it
        # would stand still for ever.
        free = len(self._workers) - sum(job.occupies_worker for job in self._busy.values())
        OUTSIDERS.expect(self, comes=bool(self._of_outsiders) and free > 0)
        if _schedule_of(self._world) is None:
            return
        for place, job in enumerate(self._queue):
            if place >= free:
                self._withdraw(job)
            elif job.reservation is None:
                self._reserve(job)

    def _reserve(self, job: Job) -> None:
        schedule = _schedule_of(job.world)
        job.reservation = Wait()
        if schedule is not None:
            schedule.reserve(job.reservation)

    def _withdraw(self, job: Job) -> None:
        schedule = _schedule_of(job.world)
        if job.reservation is not None and schedule is not None:
            schedule.withdraw(job.reservation)
        job.reservation = None


def _schedule_of(world: WorldState | None) -> Schedule | None:
    return None if world is None or world.ended else world.schedule


@final
class Job:
    """One work item: its pool, and the world of the member that submitted it. None if an outsider did."""

    def __init__(self, pool: PoolState, world: WorldState | None) -> None:
        self.pool = pool
        self.world = world
        self.reservation: Wait | None = None
        self.returned = False

    @property
    def occupies_worker(self) -> bool:
        """Whether it keeps its worker from the next job."""
        # A job of an older world, or of an outsider, may have returned while its worker still hands the result over.
        # Nobody in this world waits for that result, and the worker takes the next job at once.
        return not (self.returned and (self.world is None or self.world.ended))

    def marking_return(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return the job's function, changed so that it sets `returned` at its end."""

        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return fn(*args, **kwargs)
            finally:
                self.returned = True

        return run


# The job that each thread is submitting just now, by the identifier of the thread. `submit` calls the constructor of
# the work item, and perhaps `Thread.start`: what we do there finds the job here. One table for the process, since any
# thread may submit to any pool.
_SUBMITTING: dict[int, Job] = {}


def submitted_to() -> PoolState | None:
    """Return the pool that the calling thread is submitting to; None if it is not submitting."""
    job = _SUBMITTING.get(get_ident())
    return None if job is None else job.pool


def _state_of(executor: Any) -> PoolState:
    pool: PoolState | None = executor.__dict__.get(_POOL)
    if pool is None:
        pool = executor.__dict__[_POOL] = PoolState(executor._threads, is_of_interpreters=_is_of_interpreters(executor))
    return pool


def _is_of_interpreters(executor: Any) -> bool:
    module: Any = sys.modules.get("concurrent.futures.interpreter")  # since Python 3.14
    return module is not None and isinstance(executor, module.InterpreterPoolExecutor)


@_PATCHES.wraps("ThreadPoolExecutor.submit")
def _submit(original: Callable[..., Any], executor: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Do what `ThreadPoolExecutor.submit` does; a member's job is reserved for before a worker can take it."""
    ident = get_ident()
    member = MEMBERS.get(ident)
    job = _SUBMITTING[ident] = Job(_state_of(executor), None if member is None else member.world)
    try:
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
            job.pool.recount()  # the pool may have started one more worker


@_PATCHES.wraps("_WorkItem.__init__")
def _new_item(original: Callable[..., None], item: Any, /, *args: Any, **kwargs: Any) -> None:
    """Do what the constructor of a work item does, and attach the job that the calling thread is submitting."""
    original(item, *args, **kwargs)
    job = _SUBMITTING.get(get_ident())
    if job is not None:
        item.__dict__[_JOB] = job
        if hasattr(item, "fn"):
            item.fn = job.marking_return(item.fn)
        elif not job.pool.is_of_interpreters:  # Python 3.14 keeps the function with its arguments
            item.task = (job.marking_return(item.task[0]), *item.task[1:])


@_PATCHES.wraps("_WorkItem.run")
def _run(original: Callable[..., None], item: Any, /, *args: Any, **kwargs: Any) -> None:
    """Do what a work item does in its worker: run, set its result, and wake whoever waits for that."""
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
        # In one step: the next job gets its reservation before this worker stops counting as running. Else the clock
        # could move in between.
        with TRACKED_LOCK:
            job.pool.end()
            if reservation is not None:
                dismiss(get_ident())


@_PATCHES.wraps("ThreadPoolExecutor.shutdown")
def _shutdown(
    original: Callable[..., None], executor: Any, /, wait: bool = True, *, cancel_futures: bool = False
) -> None:
    """Do what `ThreadPoolExecutor.shutdown` does; jobs that it cancels are forgotten."""
    _state_of(executor).closing = True
    if cancel_futures:
        with executor._shutdown_lock:
            executor._shutdown = True
            _cancel_queued(executor)
    original(executor, wait)


def _cancel_queued(executor: Any) -> None:
    # The original does the same in its `shutdown`, but leaves nobody a way to learn which items it has cancelled.
    while True:
        try:
            item = executor._work_queue.get_nowait()
        except queue.Empty:
            return
        if item is not None:
            item.future.cancel()
            job: Job | None = item.__dict__.get(_JOB)
            if job is not None:
                with TRACKED_LOCK:
                    job.pool.forget(job)


@_PATCHES.wraps("ThreadPoolExecutor.__init__")
def _new_pool(original: Callable[..., None], executor: Any, /, *args: Any, **kwargs: Any) -> None:
    """Do what the constructor of a pool does; its initializer runs in the time of whoever submits."""
    parameters = signature(original).bind(executor, *args, **kwargs).arguments
    initializer = parameters.get("initializer")
    if not callable(initializer) or _is_of_interpreters(executor):
        original(executor, *args, **kwargs)
        return
    started = _Initializer(initializer)
    if "initializer" in kwargs:
        kwargs["initializer"] = started
    else:
        args = tuple(started if argument is initializer else argument for argument in args)
    original(executor, *args, **kwargs)
    started.pool = _state_of(executor)


@final
class _Initializer:
    """The initializer of a pool: each worker runs it before its first job, and is occupied by it as by a job."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        self.pool: PoolState | None = None  # and not the executor, which must be freed when the program drops it

    def __call__(self, *args: Any) -> None:
        assert self.pool is not None
        with TRACKED_LOCK:
            job = Job(self.pool, self.pool.world)
            reservation = self.pool.begin(job)
        try:
            if job.world is not None and reservation is not None:
                arrive(job.world, reservation)
            self._function(*args)
        finally:
            with TRACKED_LOCK:
                self.pool.end()
                if reservation is not None:
                    dismiss(get_ident())


@_PATCHES.wraps("ThreadPoolExecutor._initializer_failed")
def _initializer_failed(original: Callable[..., None], executor: Any, /) -> None:
    """Do what a pool does when its initializer fails; it runs no job any more."""
    original(executor)
    with TRACKED_LOCK:
        _state_of(executor).abandon()


def install(module: Any) -> None:
    """Patch the module `concurrent.futures.thread`."""
    _PATCHES.install(module)
