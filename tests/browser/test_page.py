"""The HTML report in a real browser: what stands where, what a reader can do, and what the page never does.

`nox -s browser` installs Playwright and finds Chromium; where either is missing, these tests are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_claude_latency.report.faces import html
from tests.browser.chromium import CHROMIUM, NO_CHROMIUM, NO_PLAYWRIGHT
from tests.support.some_pages import LATE, SAMPLED, report_with_everything

playwright = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Reader:
    """A reader of a report: pages that it opens must load nothing else and write nothing to the console."""

    def __init__(self, browser: Any, path: Path) -> None:
        self._browser, self.path, self.noise = browser, path, list[str]()
        path.write_text(html.render(report_with_everything()), "utf-8")

    def open(self, fragment: str = "", *, size: dict[str, int] = WIDE, **options: Any) -> Any:
        page = self._browser.new_context(viewport=size, **options).new_page()
        page.on("console", lambda message: self.noise.append(message.text))
        page.on("pageerror", lambda error: self.noise.append(str(error)))
        page.on("request", lambda request: self.noise.extend([request.url][request.url.startswith("file:") :]))
        page.goto(f"{self.path.as_uri()}{fragment}")
        return page


@pytest.fixture
def reader(chromium: Any, tmp_path: Path) -> Iterator[Reader]:
    opened = Reader(chromium, tmp_path / "report.html")
    yield opened
    assert opened.noise == []


def names(page: Any) -> list[str]:
    """The tests that are shown, in their order."""
    shown: list[str] = page.locator("#tests > tbody:not([hidden]) > tr:first-child .id button").all_text_contents()
    return shown


def test_bars_stand_where_the_report_says(reader: Reader) -> None:
    page = reader.open()

    svg = page.locator("#tests svg[role=img]").first
    axis = svg.bounding_box()
    bars = svg.locator("svg rect[class]").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().toJSON())")
    parts = svg.locator("svg rect[class]").evaluate_all("bars => bars.map(bar => bar.getAttribute('class'))")

    # the test takes 4.8 s; the first call waits from 60 to 412 ms, the second thinks from 1.512 to 1.8 s
    place = parts.index("p0") + 1
    assert bars[place]["x"] - axis["x"] == pytest.approx(axis["width"] * 0.06 / 4.8, abs=1)
    assert bars[place]["width"] == pytest.approx(axis["width"] * 0.352 / 4.8, abs=1)
    second = [number for number, part in enumerate(parts) if part == "p4"][1]
    assert bars[second]["x"] - axis["x"] == pytest.approx(axis["width"] * 1.512 / 4.8, abs=1)
    limit = svg.locator("line.m").first.bounding_box()
    assert limit["x"] - axis["x"] == pytest.approx(axis["width"] * 3.5 / 4.8, abs=2)


def test_the_script_draws_as_the_file_does(reader: Reader) -> None:
    page = reader.open()

    drawn = page.locator("#tests td.detail > div").first.evaluate("shown => shown.innerHTML")
    again = page.evaluate(
        """() => {
          const row = JSON.parse(document.getElementById("data").textContent).r[0];
          const copy = document.createElement("div");
          copy.innerHTML = claudeLatency.detail(row.s[row.n]);
          return copy.innerHTML;
        }"""
    )

    assert again == drawn


def test_a_test_is_drawn_when_it_is_opened(reader: Reader) -> None:
    page = reader.open()
    assert page.locator("#tests svg[role=img]").count() == 1

    page.get_by_role("button", name="test_label[3]").click()

    assert page.locator("#tests svg[role=img]").count() == 2
    assert page.get_by_role("button", name="test_label[3]").get_attribute("aria-expanded") == "true"


def test_each_sample_can_be_looked_at(reader: Reader) -> None:
    page = reader.open()
    page.get_by_role("button", name="test_samples (9 samples)").click()

    picker = page.locator("#tests select")
    assert picker.locator("option").count() == 9
    picker.select_option(index=0)

    assert page.locator("#tests svg[role=img]").count() == 2


def test_columns_sort_both_ways(reader: Reader) -> None:
    page = reader.open()
    assert names(page)[0] == "tests/test_triage.py::test_a_label_comes_soon"

    header = page.locator("#tests > thead th:nth-child(6)")
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert names(page)[-1].startswith(f"{SAMPLED}[")
    header.get_by_role("button").click()

    assert header.get_attribute("aria-sort") == "ascending"
    assert names(page)[0].startswith(f"{SAMPLED}[")


def test_filters_leave_what_fits(reader: Reader) -> None:
    page = reader.open()

    page.get_by_label("Name").fill("label[1")
    assert [name.partition("::")[2] for name in names(page)] == [f"test_label[{number}]" for number in (10, 11, 1)]
    page.get_by_label("Name").fill("")
    page.get_by_label("Verdict").select_option("broken")
    assert names(page) == [LATE]
    page.get_by_label("Verdict").select_option("")
    page.get_by_label("Model").select_option("claude-haiku-4-5")

    assert len(names(page)) == 13
    assert page.locator("#shown").inner_text() == "13 of 15 tests"


def test_a_link_opens_one_test(reader: Reader) -> None:
    page = reader.open()
    link = page.locator("#tests > tbody:has-text('test_label[7]') .id a").get_attribute("href")

    page = reader.open(link)

    assert page.get_by_role("button", name="test_label[7]").get_attribute("aria-expanded") == "true"
    assert page.get_by_role("button", name="test_label[8]").get_attribute("aria-expanded") == "false"


def test_the_keyboard_reaches_and_opens_every_test(reader: Reader) -> None:
    page = reader.open()
    page.get_by_role("button", name="test_label[3]").focus()

    page.keyboard.press("Enter")

    assert page.get_by_role("button", name="test_label[3]").get_attribute("aria-expanded") == "true"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Link to this test"


def test_a_screen_reader_gets_names_for_everything(reader: Reader) -> None:
    page = reader.open()
    page.get_by_role("button", name="Open all").click()

    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, a, input, select, svg[role=img]")].filter(found =>
          !(found.getAttribute("aria-label") || found.textContent.trim() || found.closest("label"))).length"""
    )

    assert unnamed == 0
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.get_by_role("table", name="Tests, the worst first").count() == 1


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_text_stands_out_from_its_ground(reader: Reader, colours: str) -> None:
    page = reader.open(color_scheme=colours)

    ratios = page.evaluate(
        """() => {
          const style = getComputedStyle(document.documentElement);
          const light = name => {
            const hex = style.getPropertyValue(name).trim().slice(1).replace(/^(.)(.)(.)$/, "$1$1$2$2$3$3");
            const [red, green, blue] = [0, 2, 4].map(at => parseInt(hex.slice(at, at + 2), 16) / 255)
              .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
            return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
          };
          const ratio = (one, other) => {
            const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
            return (high + 0.05) / (low + 0.05);
          };
          return ["--text", "--quiet", "--link", "--good", "--bad", "--warn"].map(name => ratio(name, "--page"));
        }"""
    )

    assert min(ratios) >= 4.5


def test_nothing_is_wider_than_a_phone(reader: Reader) -> None:
    page = reader.open(size=PHONE)
    page.get_by_role("button", name="Open all").click()

    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.locator("#tests > tbody .id").first.bounding_box()["width"] > 300


def test_without_scripts_failing_tests_are_drawn_and_all_are_listed(reader: Reader) -> None:
    page = reader.open(java_script_enabled=False)

    assert page.locator("#tests > tbody").count() == 15
    assert page.locator("#tests svg[role=img]").count() == 1
    assert page.locator("#tests pre").inner_text().startswith("longest_gap was 300ms")
    assert page.locator("noscript").inner_text().startswith("Scripts are off")
    assert not page.locator("#filters").is_visible()


def test_in_print_every_fold_is_open(reader: Reader, tmp_path: Path) -> None:
    page = reader.open()
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = false; })")

    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")

    assert page.locator("#tests svg[role=img]").count() == 15
    assert page.locator("details:not([open])").count() == 0
    assert not page.locator("#filters").is_visible()
    assert page.pdf(path=tmp_path / "report.pdf")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#tests td.detail:visible").count() == 1


def test_a_thousand_tests_open_in_less_than_two_seconds(reader: Reader) -> None:
    reader.path.write_text(html.render(report_with_everything(tests=1000, calls=5)), "utf-8")

    # the best of three: other work on the machine only adds to it
    took = [reader.open().evaluate("performance.getEntriesByType('navigation')[0].domComplete") for _ in range(3)]

    print(f"{min(took):.0f} ms")
    assert min(took) < 2000
