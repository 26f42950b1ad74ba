"""Make `report.png`, the picture of the HTML report in the README: `python -m docs.report_picture`.

It needs Playwright and a Chromium on PATH, as `nox -s browser` does.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from pytest_claude_latency.report.faces import html
from tests.support.some_pages import report_with_everything

PICTURE = Path(__file__).with_name("report.png")


def main() -> None:
    """Draw a report of a made-up run, and keep a picture of its top."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        page_file = Path(folder, "report.html")
        page_file.write_text(html.render(report_with_everything(), datetime(2026, 12, 1, tzinfo=UTC)), "utf-8")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 870})
        page.goto(page_file.as_uri())
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
