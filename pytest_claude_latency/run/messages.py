"""The messages of this folder that users read: warnings, failures, and what they say to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pytest_claude_latency import duration
from pytest_claude_latency.cassettes.mismatch import WITHOUT_KEY, Explanation
from pytest_claude_latency.collection.selection import ANSWERS, BUDGET, FAULT
from pytest_claude_latency.duration import Nanoseconds
from pytest_claude_latency.plurals import number_of

STRICTLY = "--latency-strict"

ON_GIVEN = "a @given test cannot have {names}: its examples would share one set of calls"
_PLAY_BUDGET = (
    "  do        measure each example by itself:\n"
    "            with play(recording) as measured, measured.budget(ttft=...):\n"
    "            with play from pytest_claude_latency, and recording drawn from\n"
    "            pytest_claude_latency.strategies.recordings()"
)
_PLAY_FAULT = (
    "  do        give each example a fault of its own: with play(fault(recording)):\n"
    "            with play from pytest_claude_latency, and recording and fault drawn\n"
    "            from recordings() and faults() of pytest_claude_latency.strategies"
)
NO_KEY = (
    "a client had no API key to call the API with\n"
    "  do        set ANTHROPIC_API_KEY or pass api_key=; a replay needs none\n"
    f"  no key?   {WITHOUT_KEY}"
)
NOT_MEASURED = (
    "this test called Claude without an API key; it is no latency test, so that it is\n"
    "neither recorded nor replayed\n"
    f'  do        mark it, for example with @pytest.mark.{BUDGET}(ttft="2s"): recorded '
    "once with a key, it runs without one\n"
    f"  no key?   {WITHOUT_KEY}"
)
ANOTHER_LOOP = (
    "an async client was used on another event loop than the one that its connection belongs to, which fails with or "
    "without this plugin; the failed attempt is part of the numbers: let each test make its client, or use one loop"
)
NOTHING_VARIED = (
    "the variant changed no call: its when= fits none, or its values were there already; the numbers are those of "
    "the test as it is written"
)
FAULT_WITHOUT_RECORDING = "a fault is put into the recording of its test, and none was written"
VARIANT_FAILED = "a variant's failure is a finding, not a failure of the run"
VARIANT_REFUSED = "the API refused the variant's request, which says nothing of its quality: {}"
ELSEWHERE = "came from a mock, a cache or another tool"
STRAY = "a thread called the API after its test had ended; nothing was sent"
NOTHING_TO_SIMULATE = "not simulated: it has no recording whose times could be redrawn or changed"
NOT_SIMULATED = "not simulated: it did not run to its end with the times that were recorded"
INTERRUPTED = "the run was interrupted"


def on_given(names: Sequence[str]) -> str:
    """Return why a property test is no latency test, by the `names` of the markers and fixtures that make it one."""
    return f"{ON_GIVEN.format(names=' and '.join(names))}\n{_PLAY_FAULT if list(names) == [FAULT] else _PLAY_BUDGET}"


def stray_call(thread: str, test: str, request: str) -> str:
    """Return the message about a thread that called the API after its test had ended."""
    return (
        f"{STRAY}\n"
        f"  thread    {thread}\n"
        f"  test      {test}\n"
        f"  request   {request}\n"
        f"  do        join the thread, or shut its pool down, before the test returns"
    )


def late_fixture(name: str) -> str:
    """Return the message about a fixture of this plugin that was asked for while the test ran."""
    return (
        f"{name} makes its test a latency test, which must be known before the test begins\n"
        f"  do        name it among the test's arguments or in @pytest.mark.usefixtures, not in\n"
        f"            getfixturevalue"
    )


def failing_strictly(warning: str) -> str:
    """Return a warning as what fails a strict run: its last line may be a command, which nothing may follow."""
    return f"{warning}\n  why       with {STRICTLY} this warning fails"


def bare_marker(nodeid: str) -> str:
    """Return the message about a marker without limits, where no limit comes from anywhere else."""
    return (
        f"the budget has no limits, and no class, module or option adds any\n"
        f"  marker    @{BUDGET} on {nodeid}\n"
        f'  accepted  limits by name, such as {BUDGET}(ttft="800ms")'
    )


def unused_exchanges(unused: int, total: int, recording: str, command: str) -> str:
    """Return the message about recorded exchanges that no request of the test asked for."""
    return f"{unused} of {total} recorded exchanges were not used: {recording}; record them again: {command}"


def simulated_strictly(command: str) -> str:
    """Return what fails a test whose budget was judged on made-up answers, in a strict run."""
    return f"its budget is judged on made-up answers, which no API gave ({STRICTLY})\n  record    {command}"


def answers_not_needed(recording: str) -> str:
    """Return the message about a marker with answers on a test that was recorded since."""
    return f"@{ANSWERS} is not needed any more, since there is a recording, which was replayed: {recording}"


def missing_fallback(failed: int, reason: str, following: int, asked: str, recording: str) -> str:
    """Return what is said of a program that gave up after a failure, where the recorded one sent another request."""
    return (
        f"a request that followed a failure while recording was not sent\n"
        f"  recorded  exchange {failed} ended with {reason}, and the program went on with "
        f"exchange {following}: {asked}\n"
        f"  now       the program gave up after the failure\n"
        f"  recording {recording}\n"
        f"  do        put the fallback or the retry back"
    )


def separate_clients(calls: int, line: str, were_open: int, command: str) -> str:
    """Return what is said of calls that each got a client, and were recorded by one for all."""
    return (
        f"each of {calls} calls was sent by a client of its own\n"
        f"  made at   {line}\n"
        f"  recorded  {were_open} of them used a connection that was open already, so what opening one takes is not "
        f"in this recording\n"
        f"  do        share one client between the calls\n"
        f"            if this was meant:\n"
        f"            {command}"
    )


def hangs_on_speed(number: int, given_up: Nanoseconds, computing: Nanoseconds) -> str:
    """Return what is said of a recording whose time-out fired since the program computed for so long."""
    return (
        f"its recording may not replay: request {number} was given up after {duration.show(given_up)}, when the "
        f"program's own computing had held the event loop for {duration.show(computing)}. Computing takes no time in a "
        "replay, so the time-out may not fire there: compute in a thread (asyncio.to_thread), or give the time-out "
        "more room, and record again"
    )


def mixed_set(recorded: int, found: int, command: str) -> str:
    """Return the message about a recording whose set has another size than it says."""
    return (
        f"its recordings are a mixed or incomplete set: one of a set of {recorded} is among them, and there are "
        f"{found}; record them again: {command} --latency-samples={recorded}"
    )


def two_sets(samples: int, command: str) -> str:
    """Return the message about recordings that have the size of their set, and are of more than one."""
    return (
        "its recordings are a mixed set: their number is right, but they were not recorded together; record them "
        f"again: {command} --latency-samples={samples}"
    )


def end_of_recording(request: str, stopped: str, recording: str, line: str | None) -> Explanation:
    """Return the message about a program that reads on where the recorded program stopped."""
    head = f"the program waits for more of this {request} than was recorded"
    return Explanation(
        f"{head}\n"
        f"{_made_at(line)}"
        f"  recorded  the recorded program stopped reading {stopped};\n"
        f"            what the API would have sent next is not known\n"
        f"  recording {recording}",
        f"{head} {line}",
        "stop reading where the recorded program did",
        is_fault=True,
    )


def time_out_gone(
    request: str,
    recording: str,
    line: str | None,
    *,
    gave_up: tuple[Nanoseconds, Nanoseconds],
    now: tuple[Nanoseconds, Nanoseconds | None],
) -> Explanation:
    """Return the message about a program that still waits where the recorded one gave up: its time-out did not fire.

    The recorded program `gave_up` so long after the request was sent, and after the last thing that came. This one has
    waited for so long `now`, and its time-out is as given, if that is known.
    """
    (stopped, silent), (waited, time_out) = gave_up, now
    its = "longer, or gone" if time_out is None else duration.show(time_out)
    nothing = "nothing had come" if silent == stopped else f"nothing had come for {duration.show(silent)}"
    head = f"the time-out that ended this {request} while recording did not fire"
    return Explanation(
        f"{head}\n"
        f"{_made_at(line)}"
        f"  recorded  the program gave up after {duration.show(stopped)}, when {nothing}\n"
        f"  now       it still waits after {duration.show(waited)}: its time-out is {its}\n"
        f"  recording {recording}",
        f"{head} {line}",
        "give the call its time-out again",
        is_fault=True,
    )


def hedge_gone(
    request: str, recording: str, line: str | None, *, number: int, after: Nanoseconds, waited: Nanoseconds
) -> Explanation:
    """Return the message about a program that waits for a call which the recorded one asked for once more meanwhile.

    That was the exchange of this `number`, sent `after` so long. This program has `waited` until now.
    """
    head = f"the second request that beat this {request} while recording is not sent"
    return Explanation(
        f"{head}\n"
        f"{_made_at(line)}"
        f"  recorded  the program asked the same again after {duration.show(after)} (exchange {number}), took that "
        f"answer, and closed this request, to which nothing had come\n"
        f"  now       it still waits after {duration.show(waited)}, for this one alone\n"
        f"  recording {recording}",
        f"{head} {line}",
        f"ask a second time again after {duration.show(after)} without an answer (a hedge)",
        is_fault=True,
    )


def _made_at(line: str | None) -> str:
    return "" if line is None else f"  made at   {line}\n"


def answered_elsewhere(requests: Sequence[str]) -> str:
    """Return the message about answers that did not come from the network, in a run that calls the API."""
    what = Counter(requests)
    listed = ", ".join(f"{request} ({count} times)" if count > 1 else request for request, count in what.items())
    return (
        f"{number_of(len(requests), 'answer')} {ELSEWHERE} (respx, VCR, pytest-httpx, a transport of the program's "
        f"own), not straight from the network: {listed}; neither recorded nor judged"
    )


def mocks_above(names: Sequence[str]) -> str:
    """Return the line about loaded mocks that may have answered the calls which a test seems not to have made."""
    verb = "is" if len(names) == 1 else "are"
    return f"  mocks     {', '.join(names)} {verb} loaded: what a mock above the HTTP library answers is not seen here"


def nothing_was_seen(names: Sequence[str]) -> str:
    """Return the message about a test without a call in a run that calls the API, where mocks are loaded."""
    verb = "is" if len(names) == 1 else "are"
    return (
        f"no call was seen, so nothing was recorded or measured; {', '.join(names)} {verb} loaded, and what a mock "
        "above the HTTP library answers is not seen here"
    )


def kept_unseen(names: Sequence[str]) -> str:
    """Return why the previous recording stays where a test made no call, and mocks are loaded."""
    verb = "is" if len(names) == 1 else "are"
    return (
        f"no call was seen, and {', '.join(names)} {verb} loaded, which may have answered; the previous recording "
        "stays: delete it if no call is to be made"
    )


def recording_removed(recording: str) -> str:
    """Return the message about a recording that goes, since what it was made of sent nothing when recorded again."""
    return f"no call was made, so its previous recording was removed: {recording}"


def fewer_calls(now: int, before: int, names: Sequence[str]) -> str:
    """Return the message about a recording that has fewer calls than the one that it replaces."""
    text = f"its recording has {number_of(now, 'call')} now, and had {before} before"
    if not names:
        return text
    verb = "is" if len(names) == 1 else "are"
    return f"{text}; {', '.join(names)} {verb} loaded, and what a mock above the HTTP library answers is not recorded"


def not_one_owner(name: str, owners: Sequence[str]) -> str:
    """Return the message about a shared recording that no test, or more than one test, owns."""
    claim = f"{len(owners)} tests own it: {', '.join(owners)}" if owners else "no test that was collected owns it"
    return (
        f'@latency_cassette(name="{name}"): {claim}; expected one test with owner=True, which records it for the others'
    )


def incomplete_set(nodeid: str, done: int, total: int) -> str:
    """Return the message about a test some of whose samples failed while they were recorded."""
    return f"{nodeid}: {done} of {total} samples succeeded, so its recordings are as they were before"


def staging_gone(folder: Path, nodeids: Sequence[str]) -> str:
    """Return the message about the folder of waiting samples, which somebody removed while the run needed it."""
    return (
        f"{folder}, where samples wait for the rest of their set, was removed during the run: the recordings of "
        f"{', '.join(nodeids)} are as they were before; keep clean-ups away from that folder"
    )


def live_under_workers(mode: str) -> str:
    """Return the message about a live run on several workers."""
    return f"mode {mode} under -n: workers load each other, so times are longer than a user's; use -n 0"


def reruns_over_budget(nodeids: Sequence[str]) -> str:
    """Return the message about tests whose broken budget was measured again by a plugin that reruns failures."""
    return f"reruns measured broken budgets again, which chance may have let pass: {', '.join(nodeids)}"


def baseline_saved(count: int, name: str) -> str:
    """Return the message about a baseline that was written with `count` tests of the run."""
    return f"claude latency: {number_of(count, 'test')} saved as baseline {name}"


def baseline_not_saved(failure: str) -> str:
    """Return why a failed run does not become a baseline; `failure` is the name of its first failure."""
    return f"it is not saved, since the run failed: {failure}"
