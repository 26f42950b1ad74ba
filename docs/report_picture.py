"""Make `report.png`, the picture of the HTML report in the README: `python -m docs.report_picture`.

It needs Playwright and a Chromium on PATH, as `nox -s browser` does, and Pillow.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import sync_playwright

from pytest_claude_latency.report.faces import html
from tests.support.some_pages import report_with_everything

PICTURE = Path(__file__).with_name("report.png")


def main() -> None:
    """Draw a report of a made-up run, and keep a picture of its top."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        page_file = Path(folder, "report.html")
        report = report_with_everything(limits={"ttft": "450ms", "elapsed": "3.5s"})
        page_file.write_text(html.render(report, datetime(2026, 12, 1, tzinfo=UTC)), "utf-8")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.goto(page_file.as_uri())
        page.screenshot(path=PICTURE)
        browser.close()
    # a page of few colours: a palette takes a third of the bytes, and looks the same
    with Image.open(PICTURE) as picture:
        picture.convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
