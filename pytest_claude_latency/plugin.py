"""The pytest plugin: hooks that look up state, decide, and hand over.

The machinery is imported when the first latency test is set up, so that a run
without any pays next to nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

# This comes first: looking it up finds the modules again that pytester has made Python forget.
from pytest_claude_latency import found_again  # noqa: F401 - it is looked up, not used
from pytest_claude_latency.collection import selection
from pytest_claude_latency.http.guard import names
from pytest_claude_latency.options import declaring
from pytest_claude_latency.options.table import MARKERS
from pytest_claude_latency.run import beginning
from pytest_claude_latency.run.fixtures import async_claude_client, claude_client, claude_latency
from pytest_claude_latency.run.reporting.reporter import Reporter, WorkerReporter
from pytest_claude_latency.run.stash_keys import IN_WORLD, LACKS_ANSWERS, MEASURED_ITEM, SESSION, SETTLED
from pytest_claude_latency.virtual_time.patches import stand_ins

if TYPE_CHECKING:
    from pytest_claude_latency.run.scoped_fixtures import ScopedFixtures

__all__ = ["async_claude_client", "claude_client", "claude_latency"]

SCOPED: pytest.StashKey[ScopedFixtures] = pytest.StashKey()
SETUP: pytest.StashKey[ExitStack] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options, and patch time before any code under test can bind its functions."""
    declaring.declare(parser)
    # `from time import sleep` in a conftest or an application must bind what follows a virtual clock.
    stand_ins.install()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Set the placeholder key, where the ini file asks for it, before conftests read the environment."""
    if declaring.wants_placeholder_key(early_config):
        from pytest_claude_latency.http.changes import sdk

        sdk.set_placeholder_key()
        early_config.add_cleanup(sdk.drop_placeholder_key)


def pytest_configure(config: pytest.Config) -> None:
    """Begin the run, if the user asks for something; else its first latency test does.

    A value that is not understood ends the run here.
    """
    names.install()
    # The controller of xdist collects nothing, so it does not know what its workers find.
    is_distributed = hasattr(config, "workerinput") or config.getoption("dist", "no") != "no"
    if is_distributed or config.getoption("htmlpath", None) or declaring.is_anything_given(config):
        session = beginning.session_of(config)
        if session.settings.pytest_html and not session.is_worker:
            from pytest_claude_latency.run.reporting.pytest_html import PytestHtml

            config.pluginmanager.register(PytestHtml(session), "claude-latency-pytest-html")
    else:
        beginning.begin_before_a_fork(config)
    # Now, whatever the run has: its hooks have their places among those of other plugins.
    reporter = WorkerReporter(config) if hasattr(config, "workerinput") else Reporter(config)
    config.pluginmanager.register(reporter, "claude-latency-reporter")
    for line in MARKERS:
        config.addinivalue_line("markers", line)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say where answers come from, unless the run replays in virtual time."""
    if SESSION not in config.stash:
        return None
    settings = config.stash[SESSION].settings
    if settings.simulate is not None:
        return f"claude latency: {settings.simulate:,} simulated worlds of each test, seed {settings.seed}"
    return None if settings.is_usual else f"claude latency: mode {settings.mode}, clock {settings.clock}"


# Trylast puts it inside the wrapper by which --lf selects, so that samples are there to be selected.
@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, Any]:
    """Put the variants and samples of a latency test in its place."""
    report = yield
    has_latency_tests = any(
        isinstance(node, pytest.Function) and selection.is_latency_test(node) for node in report.result
    )
    # A run that began later would not know what could not be collected.
    if not (has_latency_tests or report.failed or SESSION in collector.config.stash):
        return report
    session = beginning.session_of(collector.config)
    if session.collected_tests is not None:
        session.collected_tests.add(collector, report)
    if has_latency_tests:
        from pytest_claude_latency.collection import sampling

        sampling.expand(report, collector, session.settings)
    call = getattr(report, "call", None)
    if report.failed and call is not None and call.excinfo is not None:
        _lead_with_own_words(report, call.excinfo.value)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark latency tests before `-m` selects."""
    selection.note_misspelt(items, config.getini("markers"))
    if any(map(selection.is_latency_test, items)):
        from pytest_claude_latency.collection import markers, sampling

        session = beginning.session_of(config)
        sampling.settle(items, session.settings)
        config.stash[markers.OWNERS] = markers.owners(selection.mark(items))


# Tryfirst: a worker of xdist tells the order of its items in this hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Watch the higher-scoped fixtures that the selected latency tests request, and order what is recorded."""
    selected = [item for item in session.items if selection.is_marked(item)]
    if (counts := session.config.stash.get(selection.FAULT_COUNTS, None)) is not None:
        from pytest_claude_latency.collection.identity import identity_of

        identities = map(identity_of, selected)
        counts.keep({identity.original_nodeid or identity.nodeid for identity in identities})
    if selected:
        from pytest_claude_latency.collection import markers, sampling
        from pytest_claude_latency.run.scoped_fixtures import ScopedFixtures

        if session.config.stash[SESSION].settings.mode.records:
            # only now: plugins that shuffle or order tests have done so
            markers.let_owners_go_first(session.items)
            sampling.let_faults_follow(session.items)
        session.config.stash[SCOPED] = ScopedFixtures(session.config.stash[SESSION], selected)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
    """Measure a watched fixture by itself."""
    __tracebackhide__ = True
    scoped = request.config.stash.get(SCOPED, None)
    if scoped is None or not scoped.watches(fixturedef, request):
        return (yield)
    with scoped.setting_up(fixturedef, request):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """In a run that records, run an item with a fault: in a replay, and with the API only if that is not enough."""
    if not selection.is_marked(item) or not item.config.stash[SESSION].settings.mode.records:
        return None
    from pytest_claude_latency.run import fault_recording

    return fault_recording.run(item, nextitem)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin the test's world before its first fixture, and after the marks that skip a test."""
    if selection.MISSPELT in item.stash:
        from pytest_claude_latency.run.session import Failure

        raise Failure(item.stash[selection.MISSPELT])
    if selection.is_marked(item):
        from pytest_claude_latency.run.measured_item import MeasuredItem

        # In a simulated world the item is measured as that.
        if not item.stash.get(IN_WORLD, False):
            item.stash[MEASURED_ITEM] = MeasuredItem.begun(item.config.stash[SESSION], item)
        item.stash[SETUP].enter_context(item.stash[MEASURED_ITEM].setting_up())


# The hook above has its turn among the others, so it cannot surround them; this one does, and closes what that one
# opened. It needs a name of its own, and pytest takes only names with its prefix.
@pytest.hookimpl(specname="pytest_runtest_setup", wrapper=True)
def pytest_runtest_setup_of_latency_test(item: pytest.Item) -> Generator[None, Any, Any]:
    """Close what the set-up of a latency test opened."""
    __tracebackhide__ = True
    with ExitStack() as item.stash[SETUP]:
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Measure the test body, and judge it when it is over.

    Raising from here fails sync, async and `TestCase` tests alike, under every plugin that runs them.
    """
    __tracebackhide__ = True
    current = item.stash.get(MEASURED_ITEM, None)
    if current is None:
        return (yield)
    with current.running():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
    """End the test's world after its last fixture, and keep what was recorded.

    A test that is simulated runs in its other worlds between its own teardown and that of wider scopes.
    """
    __tracebackhide__ = True
    current = item.stash.get(MEASURED_ITEM, None)
    if current is None:
        return (yield)
    if current.worlds is None or nextitem is current.worlds.sibling:
        # Outermost: fixtures of all plugins are torn down inside the world of the test.
        with current.tearing_down():
            return (yield)
    failure: BaseException | None = None
    # Plugins keep things of a test in its stash until the teardown, which comes once more below.
    kept = dict(item.stash._storage)
    try:
        item.ihook.pytest_runtest_teardown(item=item, nextitem=current.worlds.sibling)
        current.run_worlds()
    except BaseException as error:  # wider scopes are torn down all the same
        failure = error
    item.stash._storage.update(kept)
    result = yield
    if failure is not None:
        raise failure
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send what was measured along with the report of the teardown, from a worker too.

    It travels as one plain dict. In `user_properties` it would end up in JUnit, and grow with every rerun.
    """
    report = yield
    current = item.stash.get(MEASURED_ITEM, None)
    if call.excinfo is not None:
        _lead_with_own_words(report, call.excinfo.value)
    if current is not None:
        current.note(report, call.excinfo)
        if report.when == "teardown":
            from pytest_claude_latency.run.session import REPORTED

            setattr(report, REPORTED, current.result().as_dict())
            if current.lacks_answers and item.config.stash[SESSION].settings.mode.records:
                item.stash[LACKS_ANSWERS] = current.ran_for
            del item.stash[MEASURED_ITEM]
    elif call.excinfo is not None and selection.lacks_key(item, call.excinfo.value):
        from pytest_claude_latency.printable import fitted
        from pytest_claude_latency.run import messages

        report.sections.append(("claude latency", fitted(messages.NOT_MEASURED)))
    elif report.when == "setup" and not report.passed and selection.is_marked(item) and SETTLED not in item.stash:
        from pytest_claude_latency.run import item_result
        from pytest_claude_latency.run.session import REPORTED

        setattr(report, REPORTED, item_result.result_of_unmeasured(item, report).as_dict())
    return report


def _lead_with_own_words(report: pytest.TestReport | pytest.CollectReport, error: BaseException) -> None:
    """Let the report of an error of this package begin with the error's text."""
    from pytest_claude_latency.errors import is_ours

    if is_ours(error):
        from pytest_claude_latency.report import failures

        failures.lead_with(report.longrepr, getattr(error, "text", str(error)))
        failures.fit(report.longrepr, error)
