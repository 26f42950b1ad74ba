"""The JSON report against its published schema."""

from __future__ import annotations

import pytest

from tests.support.report_schema import assert_fits
from tests.support.some_pages import report_with_everything


def test_a_report_with_everything_fits_the_published_schema() -> None:
    report = report_with_everything(tests=1)

    assert {"simulations", "what_if", "variants"} <= report.keys()
    assert_fits(report)


def test_the_schema_is_strict_where_a_report_is_not_as_it_says() -> None:
    report = report_with_everything(tests=1)
    report["tests"][0]["calls"][0]["ttfx"] = 1

    with pytest.raises(AssertionError, match=r"\$\.tests\[0\]\.calls\[0\]: .*ttfx"):
        assert_fits(report)
