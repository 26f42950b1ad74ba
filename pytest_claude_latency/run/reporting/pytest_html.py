"""A column and a drawing for pytest-html: its hooks, which are called only where it is installed and writes a page."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, final

import pytest

from pytest_claude_latency.run.session import REPORTED, Session

_HEAD: Final = '<th class="sortable" data-column-type="latency">Latency</th>'
_BEFORE_LINKS: Final = -1
"""Where the column stands: pytest-html's own last one has links."""


@final
class PytestHtml:
    """The hooks of a run that shows its results, for which pytest-html writes a page."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lines: dict[str, str] = {}
        """What stands in the column, by the id of an item."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Draw what a test measured. pytest-html comes last, and makes the rows of a test when its teardown is over."""
        if (values := getattr(report, REPORTED, None)) is None:
            return
        from pytest_claude_latency.report import data
        from pytest_claude_latency.report.faces import html
        from pytest_claude_latency.report.summary import Run, summarize
        from pytest_claude_latency.results.result import TestResult

        settings = self._session.settings
        run = Run(mode=str(settings.mode), clock=str(settings.clock), judged=settings.judged)
        # a variant is no row beside the test as it is written, but here it stands alone
        result = replace(TestResult.from_dict(values), variant="")
        shown = data.build(summarize([result], run), content=settings.report_content)
        self._lines[report.nodeid], drawing = html.fragment(shown)
        if drawing:
            # as pytest_html.extras.html makes it
            extra = {"name": None, "format_type": "html", "content": drawing, "mime_type": None, "extension": None}
            vars(report).setdefault("extras", []).append(extra)

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Add the head of the column."""
        cells.insert(_BEFORE_LINKS, _HEAD)

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: pytest.TestReport, cells: list[str]) -> None:
        """Add the cell of one row, which stays empty where nothing was measured."""
        if cells:  # a conftest takes a row away by emptying it
            cells.insert(_BEFORE_LINKS, f'<td class="col-latency">{self._lines.get(report.nodeid, "")}</td>')

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        """Add the styles of the drawings and their legend, once."""
        if self._lines:
            from pytest_claude_latency.report.faces import html

            prefix.append(html.fragment_style())
