"""pytest-html's page in a real browser: our column, and the drawing of each test."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import CHROMIUM, NO_CHROMIUM, NO_PLAYWRIGHT
from tests.plugin.suite import Suite
from tests.support.claude_server import ClaudeServer

pytest.importorskip("pytest_html", reason="no pytest-html: its page is not tested")

TESTS = """
@pytest.mark.latency_variants(max_tokens=[50])
@pytest.mark.latency_budget(ttft="5s")
def test_is_in_time(claude_latency):
    stream("a <b>secret</b> question")


@pytest.mark.latency_budget(ttft="1ms")
def test_is_late(claude_latency):
    ask()


def test_is_none_of_ours():
    pass
"""


@pytest.fixture
def recorded(pytester: pytest.Pytester, claude_server: ClaudeServer, monkeypatch: pytest.MonkeyPatch) -> Suite:
    suite = Suite(pytester, claude_server, monkeypatch)
    suite.write(TESTS)
    suite.record("-p", "no:html", "--latency-variants").assert_outcomes(passed=4)
    return suite


def rows(path: Path) -> dict[str, Any]:
    """What pytest-html's page has of each test."""
    blob = re.search(r'data-jsonblob="([^"]*)"', path.read_text("utf-8"))
    assert blob is not None
    tests: dict[str, Any] = json.loads(unescape(blob[1]))["tests"]
    return {nodeid.partition("::")[2]: found[0] for nodeid, found in tests.items()}


@pytest.mark.parametrize("workers", [(), pytest.param(("-n2",), marks=pytest.mark.slow)])
def test_each_latency_test_has_its_figures_and_its_drawing(recorded: Suite, workers: tuple[str, ...]) -> None:
    recorded.replay("--html=page.html", "--self-contained-html", "--latency-variants", *workers).assert_outcomes(
        passed=3, failed=1
    )

    shown = rows(recorded.path / "page.html")
    cells = {name: row["resultsTableRow"][-2] for name, row in shown.items()}
    assert re.fullmatch(r'<td class="col-latency">kept, TTFT \d.*s/5s, total .*s</td>', cells["test_is_in_time"])
    assert cells["test_is_in_time[~max_tokens=50]"].startswith('<td class="col-latency">no budget, TTFT ')
    assert cells["test_is_late"].startswith('<td class="col-latency">broken, TTFT ')
    assert cells["test_is_none_of_ours"] == '<td class="col-latency"></td>'
    assert '<svg role="img"' in shown["test_is_late"]["extras"][0]["content"]
    assert shown["test_is_none_of_ours"]["extras"] == []
    assert "secret" not in (recorded.path / "page.html").read_text("utf-8")


@pytest.fixture
def page(recorded: Suite) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT)
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    recorded.replay("--html=page.html", "--self-contained-html")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        noise: list[str] = []
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.goto((recorded.path / "page.html").as_uri())
        yield page
        assert noise == []
        browser.close()


def test_the_drawing_is_seen_and_the_column_sorts(page: Any) -> None:
    page.get_by_text("Show all details").click()

    bars = page.locator("svg[role=img] rect[class^=p]")
    widths = bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")
    assert max(widths) > 100
    fills = bars.evaluate_all("bars => bars.map(bar => getComputedStyle(bar).fill)")
    assert "rgb(0, 0, 0)" not in fills  # black is what stands where no style is found
    page.get_by_text("Latency", exact=True).click()
    assert page.locator(".col-latency").all_inner_texts()[0] in ("", page.locator(".col-latency").last.inner_text())
