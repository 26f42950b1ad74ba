"""Child processes: a forked one tells the test what it did, and a new one finds no way to the API in a replay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_claude_latency.cassettes.mismatch import NOTHING_FITS
from pytest_claude_latency.http.guard.connection import REFUSED
from pytest_claude_latency.measurement.unmeasured_calls import ONLY_CHILDREN
from tests.plugin.suite import Suite, whole_lines
from tests.support.far_server import FarServer, far_server

FORKING = """
import multiprocessing, os, sys, urllib.request
from concurrent.futures import ProcessPoolExecutor

fork = multiprocessing.get_context("fork")


def urllib_call():
    urllib.request.urlopen(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", b"{}", timeout=10).read()


def by_executor(call):
    with ProcessPoolExecutor(2, mp_context=fork) as pool:
        list(pool.map(call, ["child"] * 2))


def by_pool(call):
    with fork.Pool(2) as pool:
        pool.map(call, ["child"] * 2)


def by_process(call):
    process = fork.Process(target=call, args=["child"])
    process.start()
    process.join()


def by_fork(call):
    child = os.fork()
    if child == 0:
        try:
            call("child")
        finally:
            os._exit(0)
    os.waitpid(child, 0)


WAYS = {"executor": by_executor, "pool": by_pool, "process": by_process, "fork": by_fork}
each = pytest.mark.parametrize("way", WAYS)
"""

CALLING = (
    FORKING
    + """
@each
def test_beside(way, claude_latency):
    ask("mine")
    WAYS[way](ask)


@each
def test_only(way, claude_latency):
    WAYS[way](ask)
"""
)

pytestmark = pytest.mark.skipif("not hasattr(os, 'fork')", reason="processes are forked on POSIX only")


@pytest.fixture(scope="module")
def far() -> Iterator[FarServer]:
    with far_server() as server:
        yield server


def test_a_run_that_records_warns_of_the_calls_of_forked_children_and_records_none(suite: Suite) -> None:
    suite.write(CALLING)

    result = suite.record("-k", "beside")

    result.assert_outcomes(passed=4, deselected=4)
    told = " ".join(result.stdout.str().split())
    for ways, calls in {"[executor] and 1 more": "2 calls", "[fork] and 1 more": "1 call"}.items():
        assert f"test_beside{ways}: {calls} of child processes: sent, but neither measured nor recorded" in told
    for way in ("executor", "pool", "process", "fork"):
        assert len(suite.calls(f"test_beside[{way}]")) == 1
    assert len(suite.recordings()) == 4


@pytest.mark.parametrize("mode", ["record", "live"])
def test_a_test_whose_children_made_all_calls_fails(suite: Suite, mode: str) -> None:
    suite.write(CALLING)

    result = suite.record("-k", "only", mode=mode)

    result.assert_outcomes(failed=4, deselected=4)
    message = ONLY_CHILDREN
    assert result.stdout.str().count(f"\n{message}\n") == 4
    assert suite.recordings() == []


def test_a_miss_of_a_forked_child_is_that_miss_in_the_test(suite: Suite) -> None:
    suite.write(CALLING)
    suite.record("-k", "beside")

    result = suite.replay("-k", "beside")

    result.assert_outcomes(failed=4, deselected=4)
    assert result.stdout.str().count("\n" + NOTHING_FITS.format(request="POST /v1/messages\n")) == 4
    assert result.stdout.str().count("a child process asked this, and what a child asks is never recorded\n") >= 4
    result.stdout.no_fnmatch_line("*Pickl*")
    result.stdout.no_fnmatch_line("*RemoteTraceback*")


def test_a_miss_of_a_forked_child_comes_before_the_deadlock_that_follows_from_it(suite: Suite) -> None:
    suite.write(
        FORKING
        + """
import threading


def test_it(claude_latency):
    fork.Process(target=ask, args=["child"]).start()
    threading.Event().wait()
"""
    )

    result = suite.replay()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*POST /v1/messages*"])
    result.stdout.no_fnmatch_line("E*deadlock*")


def test_what_a_forked_child_sends_past_the_doors_is_refused_or_told_of(suite: Suite, far: FarServer) -> None:
    suite.write(
        FORKING
        + """
@each
def test_it(way, claude_latency):
    WAYS[way](lambda_call)


def lambda_call(prompt):
    urllib_call()
"""
    )
    before = far.served

    refused = suite.run(base_url=far.url)
    assert far.served == before
    sent = suite.run("--latency-mode=live", base_url=far.url)

    refused.assert_outcomes(failed=4)
    assert refused.stdout.str().count(REFUSED.format(library="urllib.request")) >= 4
    sent.assert_outcomes(failed=4)
    assert far.served > before


def test_a_child_that_leaves_the_test_by_its_end_writes_no_recording(suite: Suite) -> None:
    suite.write(
        """
import os


def test_it(claude_latency):
    ask("mine")
    before = os.getpid()
    child = os.fork()
    if child == 0:
        ask("child")
        return
    os.waitpid(child, 0)


@pytest.fixture(autouse=True)
def leaving():
    parent = os.getpid()
    yield
    if os.getpid() != parent:
        import atexit

        atexit._clear()
        import threading

        timer = threading.Timer(1.0, os._exit, [0])
        timer.daemon = True
        timer.start()
"""
    )
    (suite.path / "conftest.py").write_text(
        """
import os

parent = os.getpid()


def pytest_runtest_logfinish():
    if os.getpid() != parent:
        os._exit(0)
"""
    )

    suite.record("-p", "no:terminal", report=None)

    (path,) = suite.recordings()
    assert (suite.path / path).read_text().count('"request": ') == 1


OLDER = (
    FORKING
    + """
def past_the_doors(prompt):
    urllib_call()


def with_simple_errors(call, prompt):
    try:
        call(prompt)
    except Exception as error:
        # older SDKs have errors that pickle cannot read again, and a pool that meets one waits for ever
        raise RuntimeError(str(error)) from None


executor = ProcessPoolExecutor(1, mp_context=fork)
executor.submit(abs, 1).result()
pool = fork.Pool(1)
OLDER = {
    "executor": lambda call: executor.submit(with_simple_errors, call, "child").result(),
    "pool": lambda call: pool.apply(with_simple_errors, [call, "child"]),
}


@pytest.fixture(params=OLDER)
def older(request):
    return OLDER[request.param]


def test_end():
    executor.shutdown()
    pool.terminate()
"""
)


@pytest.mark.parametrize("call", ["ask", "past_the_doors"])
def test_a_child_that_is_older_than_the_test_is_refused_and_fails_the_test(
    suite: Suite, far: FarServer, call: str
) -> None:
    suite.write(
        OLDER
        + """
def test_ordinary(older):
    older(past_the_doors)


def test_it(older, claude_latency):
    with pytest.raises(Exception):
        older(CALL)


def test_ordinary_again(older):
    older(past_the_doors)


test_last = test_end
del test_end
""".replace("CALL", call)
    )
    before = far.served

    result = suite.run(key="a-key", base_url=far.url)

    result.assert_outcomes(passed=5, failed=2)
    assert result.stdout.str().count(REFUSED.format(library="")) >= 2
    assert far.served == before + 4


def test_a_child_that_outlives_its_test_is_refused_in_the_next(suite: Suite, far: FarServer) -> None:
    suite.write(
        FORKING
        + """
pools = []


def past_the_doors(prompt):
    urllib_call()


def test_leaves(claude_latency):
    pools.append(ProcessPoolExecutor(1, mp_context=fork))
    assert pools[0].submit(abs, 1).result() == 1


def test_ordinary():
    with pytest.raises(pytest.fail.Exception, match="after its test had ended"):
        pools[0].submit(ask, "child").result()


@pytest.mark.parametrize("call", [ask, past_the_doors])
def test_next(call, claude_latency):
    pools[0].submit(call, "child").exception()


def test_last():
    pools[0].shutdown()
"""
    )
    before = far.served

    result = suite.run(key="a-key", base_url=far.url)

    result.assert_outcomes(passed=3, failed=2)
    whole_lines(result).fnmatch_lines(
        [
            "a child process that is older than the test asked Claude; nothing was sent",
            "*request   POST /v1/messages",
            REFUSED.format(library="urllib.request"),
        ]
    )
    assert far.served == before


def test_other_runs_warn_of_the_calls_of_older_children(suite: Suite, far: FarServer) -> None:
    suite.write(
        OLDER
        + """
def test_it(older, claude_latency):
    older(past_the_doors)


test_last = test_end
del test_end
"""
    )
    before = far.served

    result = suite.run("--latency-mode=live", "-k", "executor or last", base_url=far.url)

    result.assert_outcomes(passed=1, failed=1, deselected=1)
    result.stdout.fnmatch_lines([ONLY_CHILDREN])
    assert far.served == before + 1


SPAWNING = """
import multiprocessing, os, subprocess, sys
from unittest import mock
import child

PYTHON = [sys.executable, "-S"]  # without site-packages it starts faster
CODE = "import child; child.call()"


def by_subprocess(**more):
    return subprocess.run([*PYTHON, "-c", CODE], capture_output=True, text=True, **more)


async def by_asyncio():
    process = await asyncio.create_subprocess_exec(*PYTHON, "-c", CODE, stderr=subprocess.PIPE)
    await process.communicate()
    return process


def by_multiprocessing(method):
    process = multiprocessing.get_context(method).Process(target=child.call)
    process.start()
    process.join()
    process.returncode = process.exitcode
    return process


class Ended:
    def __init__(self, status):
        self.returncode = os.waitstatus_to_exitcode(status)


def by_system():
    return Ended(os.system(f'{sys.executable} -S -c "{CODE}" 2> {os.devnull}'))


def by_popen(command=f'{sys.executable} -S -c "{CODE}" 2> {os.devnull}'):
    return Ended(os.popen(command).close() or 0)


def by_posix_spawn(start="posix_spawn", environ=os.environ):
    return Ended(os.waitpid(getattr(os, start)(sys.executable, [*PYTHON, "-c", CODE], environ), 0)[1])


def by_bytes():
    return by_posix_spawn("posix_spawn", dict(os.environb))


def by_os_spawn():
    return Ended(os.spawnv(os.P_WAIT, sys.executable, [*PYTHON, "-c", CODE]) << 8)


def by_execve():
    process = os.fork()
    if process == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.execve(path=sys.executable, argv=[*PYTHON, "-c", CODE], env=dict(os.environ))
    return Ended(os.waitpid(process, 0)[1])


WAYS = {
    "subprocess": by_subprocess,
    "with an environment": lambda: by_subprocess(env=dict(os.environ)),
    "asyncio": lambda: asyncio.run(by_asyncio()),
    "spawn": lambda: by_multiprocessing("spawn"),
    "forkserver": lambda: by_multiprocessing("forkserver"),
    "system": by_system,
    "popen": by_popen,
    "a mock around it": lambda: mock.Mock(wraps=subprocess.run)([*PYTHON, "-c", CODE], stderr=subprocess.PIPE),
    "posix_spawn": by_posix_spawn,
    "posix_spawnp": lambda: by_posix_spawn("posix_spawnp"),
    "posix_spawn in bytes": by_bytes,
    "os.spawnv": by_os_spawn,
    "execve by names": by_execve,
}
"""


@pytest.fixture
def child(suite: Suite) -> None:
    """Write the module that new processes run. It is no test module, so they need not import the SDK."""
    (suite.path / "child.py").write_text(
        """
import os, socket

BODY = b'{"messages": [], "max_tokens": 1}'


def call():
    address, _, _ = os.environ["ANTHROPIC_BASE_URL"].removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /v1/messages HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: {len(BODY)}\\r\\n\\r\\n"
        connection.sendall(head.encode() + BODY)
        connection.recv(9)
"""
    )


@pytest.mark.usefixtures("child")
def test_in_a_replay_a_new_process_finds_no_way_to_the_api_and_a_note_says_so(suite: Suite, far: FarServer) -> None:
    suite.write(
        SPAWNING
        + """
@pytest.mark.parametrize("way", WAYS)
def test_it(way, claude_latency):
    before = dict(os.environ)
    assert WAYS[way]().returncode == 1
    assert {**os.environ, "PYTEST_CURRENT_TEST": ""} == {**before, "PYTEST_CURRENT_TEST": ""}


def test_ordinary():
    assert by_subprocess().returncode == 0
"""
    )
    before = far.served

    result = suite.run("-v", key="a-key", base_url=far.url)

    result.assert_outcomes(passed=14)
    assert far.served == before + 1
    told = " ".join(result.stdout.str().split())
    for library in ("subprocess", "asyncio.subprocess", "multiprocessing.process", "os"):
        assert f": {library} started a process at test_it.py:" in told
    assert told.count("recorded; ANTHROPIC_BASE_URL and similar variables refuse there") == 13
    assert " neither measured nor recorded " not in told


BOUND = """
import functools, os, sys
from os import posix_spawn, system as run

PYTHON = [sys.executable, "-S", "-c", "import child; child.call()"]
kept_elsewhere = functools.partial(posix_spawn, sys.executable, PYTHON, os.environ)


def test_copies(claude_latency):
    started = posix_spawn(sys.executable, PYTHON, os.environ)
    assert os.waitstatus_to_exitcode(os.waitpid(started, 0)[1]) == 1
    assert run(" ".join([*PYTHON[:3], f"'{PYTHON[3]}'"])) >> 8 == 1


def test_kept_elsewhere(claude_latency):
    assert os.waitstatus_to_exitcode(os.waitpid(kept_elsewhere(), 0)[1]) == 0
"""


@pytest.mark.usefixtures("child")
def test_a_function_that_starts_processes_is_met_where_a_module_bound_it_before_the_first_latency_test(
    suite: Suite, far: FarServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.write(BOUND)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", far.url)
    before = far.served

    result = suite.pytester.runpytest_subprocess("-p", "no:cacheprovider")  # another process, in which nothing is met

    result.assert_outcomes(passed=2)
    assert far.served == before + 1
    told = " ".join(result.stdout.str().split())
    assert told.count("recorded; ANTHROPIC_BASE_URL and similar variables refuse there") == 2
    assert "test_kept_elsewhere: os started a process at test_it.py:" in told
    assert told.count(" neither measured nor recorded") == 3


@pytest.mark.usefixtures("child")
def test_an_address_of_the_test_itself_stays_in_the_environment_of_its_processes(suite: Suite) -> None:
    suite.write(
        SPAWNING
        + """
def test_it(claude_latency):
    assert by_subprocess(env={**os.environ, "ANTHROPIC_BASE_URL": "SERVER"}).returncode == 0
""".replace("SERVER", suite.server.url)
    )

    suite.run(key="a-key").assert_outcomes(passed=1)

    assert len(suite.server.log) == 1


@pytest.mark.usefixtures("child")
def test_other_runs_note_new_processes_and_leave_them_alone(suite: Suite) -> None:
    suite.write(
        SPAWNING
        + """
def test_it(claude_latency):
    ask()
    assert by_subprocess().returncode == 0
"""
    )

    result = suite.record()

    result.assert_outcomes(passed=1)
    assert len(suite.server.log) == 2
    assert ": subprocess started a process at test_it.py:" in " ".join(result.stdout.str().split())
    result.stdout.no_fnmatch_line("*refuse there*")
