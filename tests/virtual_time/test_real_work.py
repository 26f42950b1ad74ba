"""Real work in a virtual world: the clock does not jump past it, and it is no deadlock.

Time-outs here only say how long to wait for what must happen.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import anyio
import pytest

from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.virtual_time import RealWait, World
from pytest_claude_latency.virtual_time.clock import VirtualClock
from pytest_claude_latency.virtual_time.patches import threads
from pytest_claude_latency.virtual_time.scheduling import real_clock
from pytest_claude_latency.virtual_time.scheduling.table import MEMBERS
from pytest_claude_latency.virtual_time.watch import open_files, thread_state

CHILD = [sys.executable, "-S", "-c", "import time; time.sleep(0.3)"]


class Handler(BaseHTTPRequestHandler):
    """Answers after a moment of real work, or after two seconds of virtual time."""

    def do_GET(self) -> None:
        import time

        if self.path == "/slow":
            time.sleep(2)
        else:
            real_clock.sleep(0.03)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives it
        pass


def serve() -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def old_server() -> Iterator[ThreadingHTTPServer]:
    server = serve()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def later_world(old_server: ThreadingHTTPServer) -> Iterator[World]:
    """A world that begins after the server."""
    world = World(VirtualClock(), name="later")
    world.enter()
    yield world
    world.leave()


def get(server: ThreadingHTTPServer, path: str) -> bytes:
    with urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=60) as answer:
        return bytes(answer.read())


@pytest.fixture
def _frames_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test run as on a system without `/proc`, where only the frame of a thread can be seen."""
    monkeypatch.setattr(thread_state, "_CALLS", {})


@pytest.fixture(params=["with /proc", "frames only"])
def _seen(request: pytest.FixtureRequest) -> None:
    """Let the test run twice, once as on a system without `/proc`."""
    if request.param == "frames only":
        request.getfixturevalue("_frames_only")


@pytest.mark.usefixtures("_seen")
def test_a_process_in_a_thread_is_not_jumped_past(world: World) -> None:
    done = threading.Event()

    def work() -> None:
        subprocess.run(CHILD, check=True)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    was_set = done.wait(60)
    thread.join()

    assert was_set
    assert world.clock.now() == 0


def _poll(child: subprocess.Popen[bytes]) -> bool:
    return child.poll() is None


def _wait_without_blocking(child: subprocess.Popen[bytes]) -> bool:
    return os.waitpid(child.pid, os.WNOHANG)[0] == 0


@pytest.mark.parametrize("runs", [_poll, _wait_without_blocking])
def test_a_process_that_is_looked_for_between_sleeps_takes_its_real_time(
    world: World, runs: Callable[[subprocess.Popen[bytes]], bool]
) -> None:
    before = real_clock.monotonic_ns()
    with subprocess.Popen(CHILD) as child:
        while runs(child):
            time.sleep(0.01)

    # The sleep in which the process ends passes at once.
    assert 0 < world.clock.now() <= real_clock.monotonic_ns() - before + SECOND // 100


def test_a_process_that_a_task_looks_for_takes_its_real_time(world: World) -> None:
    async def main() -> None:
        with subprocess.Popen(CHILD) as child:
            while child.poll() is None:
                await asyncio.sleep(0.01)

    before = real_clock.monotonic_ns()
    asyncio.run(main())

    # The sleep in which the process ends passes at once.
    assert 0 < world.clock.now() <= real_clock.monotonic_ns() - before + SECOND // 100


def test_a_process_that_was_seen_to_run_does_not_slow_down_answers(world: World) -> None:
    before = real_clock.monotonic_ns()
    with subprocess.Popen(CHILD) as child:
        assert child.poll() is None
        world.sleep_until(3600 * SECOND)

    assert real_clock.monotonic_ns() - before < 600 * SECOND


def _seen_to_end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _ended_unseen(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize("end", [_seen_to_end, _ended_unseen])
def test_a_process_that_has_ended_holds_no_sleep_up(
    world: World, end: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    with subprocess.Popen(["sleep", "3600"]) as child:
        assert child.poll() is None
        end(child)
        time.sleep(3600)

    assert world.clock.now() == 3600 * SECOND


def test_a_process_that_ends_while_a_thread_sleeps_that_looked_for_it_holds_nothing_up(world: World) -> None:
    def look() -> None:
        assert child.poll() is None
        time.sleep(3600)

    with subprocess.Popen(["sleep", "3600"]) as child:
        thread = threading.Thread(target=look)
        thread.start()
        time.sleep(0.01)
        _seen_to_end(child)
        thread.join()

    assert world.clock.now() == 3600 * SECOND


def test_a_process_that_only_an_ended_thread_has_looked_for_holds_nothing_up(world: World) -> None:
    with subprocess.Popen(["sleep", "3600"]) as child:
        thread = threading.Thread(target=child.poll)
        thread.start()
        thread.join()
        time.sleep(3600)
        child.kill()

    assert world.clock.now() == 3600 * SECOND


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_process_of_a_task_is_not_jumped_past(world: World, backend: str) -> None:
    async def main() -> None:
        with anyio.fail_after(60):
            await anyio.run_process(CHILD)

    anyio.run(main, backend=backend)

    assert world.clock.now() == 0


def test_a_limit_shorter_than_the_work_ends_at_its_instant(world: World) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*CHILD)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.wait(), timeout=0.05)
        ended = world.clock.now()
        await process.wait()

        assert ended == SECOND // 20

    asyncio.run(main())


def test_a_server_of_the_test_takes_its_own_time(world: World) -> None:
    server = serve()
    answers = [get(server, "/")]
    at_once = world.clock.now()
    answers.append(get(server, "/slow"))
    server.shutdown()
    server.server_close()

    assert answers == [b"ok", b"ok"]
    assert at_once == 0
    assert world.clock.now() == 2 * SECOND


def test_a_thread_that_asks_an_old_server_is_not_jumped_past(
    old_server: ThreadingHTTPServer, later_world: World
) -> None:
    answers: list[bytes] = []
    thread = threading.Thread(target=lambda: answers.append(get(old_server, "/")))
    thread.start()
    thread.join(60)

    assert answers == [b"ok"]
    assert later_world.clock.now() == 0


def test_a_task_that_asks_an_old_server_is_not_jumped_past(old_server: ThreadingHTTPServer, later_world: World) -> None:
    async def main() -> bytes:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", old_server.server_port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer

    answer = asyncio.run(main())

    assert answer.endswith(b"ok")
    assert later_world.clock.now() == 0


def test_files_and_host_names_take_no_virtual_time(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
            await asyncio.to_thread((tmp_path / "file").write_bytes, b"x" * 5_000_000)

    asyncio.run(main())

    assert world.clock.now() == 0


def test_a_computation_is_not_jumped_past(world: World) -> None:
    async def main() -> None:
        timer = asyncio.create_task(asyncio.sleep(1))
        end = real_clock.monotonic() + 0.1
        while real_clock.monotonic() < end:
            pass
        computed = world.clock.now()
        await timer

        assert computed == 0

    asyncio.run(main())


def test_a_lock_in_c_code_is_waited_for_in_virtual_time(world: World) -> None:
    lock, ends = real_clock.allocate_lock(), []

    def work() -> None:
        with lock:
            world.sleep_until(world.clock.now() + SECOND)
            ends.append(world.clock.now())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ends == [SECOND, 2 * SECOND, 3 * SECOND]


def test_a_thread_stuck_on_a_lock_in_c_code_does_not_stop_the_world(world: World) -> None:
    lock = real_clock.allocate_lock()
    lock.acquire()
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    world.sleep_until(3600 * SECOND)
    lock.release()
    thread.join()

    assert world.clock.now() == 3600 * SECOND


def test_a_thread_that_polls_a_socket_does_not_stop_the_world(world: World) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.001)
    stopped: list[bool] = []

    def poll() -> None:
        while not stopped:
            try:
                listener.accept()
            except TimeoutError:
                continue

    thread = threading.Thread(target=poll)
    thread.start()
    world.sleep_until(3600 * SECOND)
    stopped.append(True)
    thread.join()
    listener.close()

    assert world.clock.now() == 3600 * SECOND


def test_a_lock_in_c_code_with_a_limit_waits_no_faster_than_the_machine(world: World) -> None:
    lock = real_clock.allocate_lock()
    lock.acquire()

    def free() -> None:
        world.sleep_until(SECOND // 5)
        lock.release()

    thread = threading.Thread(target=free)
    thread.start()
    got = lock.acquire(timeout=60)
    thread.join()

    assert got
    assert world.clock.now() == SECOND // 5


def test_a_real_wait_names_its_thread_and_line(world: World) -> None:
    subprocess.run(CHILD, check=True)

    (wait,) = world.real_waits()

    assert isinstance(wait, RealWait)
    assert wait.thread == threading.current_thread().name
    assert Path(__file__).name in wait.place
    assert wait.place.endswith("in test_a_real_wait_names_its_thread_and_line")
    assert wait.seconds >= 0.1


def test_virtual_waits_cost_no_real_seconds(world: World) -> None:
    world.sleep_until(3600 * SECOND)

    assert world.real_waits() == []


def test_an_outsider_that_notifies_is_waited_for(world: World) -> None:

    event = threading.Event()

    def notify() -> None:
        real_clock.sleep(0.05)
        event.set()

    real_clock.start_new_thread(notify, ())
    event.wait()

    assert world.clock.now() == 0


def test_who_waits_for_the_interpreter_keeps_its_turn(world: World) -> None:
    order: list[str] = []
    wanted, started = threading.Event(), real_clock.allocate_lock()

    def work() -> None:
        wanted.wait()
        order.append("who was woken")

    thread = threading.Thread(target=work)
    thread.start()
    started.acquire()
    wanted.set()
    with threads.wait_for_interpreter(MEMBERS[real_clock.get_ident()]):
        started.acquire(timeout=0.4)  # as where a worker takes its time to start
    order.append("who waited")
    thread.join()

    assert order == ["who waited", "who was woken"]


@pytest.mark.usefixtures("_frames_only")
def test_without_proc_a_lock_in_c_code_is_waited_for_at_the_pace_of_the_machine(world: World) -> None:
    lock = real_clock.allocate_lock()

    def work() -> None:
        with lock:
            world.sleep_until(world.clock.now() + SECOND // 10)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert world.clock.now() == SECOND // 5


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_what_the_kernel_has_yet_to_send_comes_from_outside() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
    with sender, receiver:
        before = open_files.use(receiver.fileno())
        sender.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                sender.send(bytes(65536))

        assert before is open_files.Use.INSIDE
        assert open_files.use(receiver.fileno()) is open_files.Use.OUTSIDE


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked on POSIX only")
def test_a_worker_process_that_dies_in_a_job_ends_the_wait_for_it_as_it_does_without_the_plugin() -> None:
    program = textwrap.dedent("""
        import multiprocessing, os, time
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool
        from pytest_claude_latency import virtual_time
        from pytest_claude_latency.virtual_time.clock import VirtualClock
        virtual_time.install()
        context = multiprocessing.get_context("fork")
        world = virtual_time.World(VirtualClock(), name="test_it")
        world.enter()
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            try:
                executor.submit(os._exit, 3).result(60)
            except BrokenProcessPool:
                print("broken", world.clock.now())
        began = world.clock.now()
        with context.Pool(1) as pool:
            try:
                pool.apply_async(os._exit, (3,)).get(0.5)  # nobody tells a pool that a job is lost
            except multiprocessing.TimeoutError:
                print("lost", round((world.clock.now() - began) / 10**9, 1))
            print("replaced", pool.apply_async(abs, (-2,)).get(60))
    """)

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], check=False, capture_output=True, text=True, timeout=60
    )

    assert done.stdout.splitlines() == ["broken 0", "lost 0.5", "replaced 2"], done.stderr
