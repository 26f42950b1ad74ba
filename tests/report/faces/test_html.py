from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from subprocess import run
from typing import Any

import pytest
from hypothesis import given, settings

from pytest_claude_latency.report.faces import html
from tests.support.some_call import some_call
from tests.support.some_pages import report_with_everything
from tests.support.some_results import node_ids, report_of, some_finding, some_result

VOID = {"meta", "input"}


class Page(HTMLParser):
    """A page as a browser without scripts takes it apart; refuses tags that do not match."""

    def __init__(self, report: dict[str, Any]) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.source = html.render(report, datetime(2026, 12, 1, tzinfo=UTC))
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data))

    def all(self, tag: str, kind: str | None = None) -> list[dict[str, str | None]]:
        return [found for name, found in self.tags if name == tag and kind in (None, found.get("class"))]

    def texts_in(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def drawn(*calls: Any, limits: dict[str, str], **facts: Any) -> Page:
    """The page of one broken test, which is drawn in the file."""
    return Page(report_of(some_result(calls=calls, limits={**limits, "calls": 0}, **facts)))


def test_the_page_shows_the_verdict_the_counts_and_what_was_measured() -> None:
    report = report_of(some_result("a.py::t", limits={"ttft": "800ms"})) | {
        "environment": {"commit": "abcdef0123456789", "anthropic": "2.14.0"}
    }

    page = Page(report)

    assert "1 test, 1 call, 1 budget: 1 kept (replay, virtual clock)" in page.texts_in("p")
    assert "1 test, none failed" in page.texts_in("p")
    assert page.texts_in("dd") == ["replay, virtual clock", "abcdef012345", "2.14.0", "2026-12-01 00:00 UTC"]
    assert [text for text in page.texts_in("td") if text.strip()] == ["✓ kept", "t", "1", "412ms", "2.875s", "96"]


def test_failures_stand_first_with_their_message_and_findings() -> None:
    page = Page(
        report_of(
            some_result("a.py::a"),
            some_result("a.py::b", limits={"ttft": "400ms"}, findings=(some_finding(fact="it waited"),)),
        )
    )

    assert [text for text in page.texts_in("td") if text in ("a", "b")] == ["b", "a"]
    (failure,) = page.texts_in("pre")
    assert failure.startswith("ttft was 412ms, 12ms over the budget of 400ms\n  budget    ttft<400ms ")
    assert "it waited" in page.texts_in("p")


def test_the_parts_of_a_call_stand_where_the_report_says() -> None:
    call = some_call(sent=1.0, ttfb=0.5, ttft=1.0, ttfa=2.0, total=4.0)

    page = drawn(call, limits={})

    boxes = [(box["x"], box["width"]) for box in page.all("svg") if box.get("overflow") == "hidden"]
    assert boxes == [("20%", "20%"), ("40%", "20%"), ("60%", "40%")]
    assert [box["class"] for box in page.all("rect") if box.get("width") == "100%"] == ["p3", "p4", "p5"]


def test_a_budget_is_a_line_on_what_it_limits_and_the_part_over_it_is_marked() -> None:
    page = drawn(some_call(ttft=2.0, ttfa=2.0, total=4.0), limits={"ttft": "1s"})

    assert [line["x1"] for line in page.all("line", "m")] == ["25%"]
    assert [(over["x"], over["width"]) for over in page.all("rect", "o") if "x" in over] == [("25%", "25%")]
    assert "ttft 1.000s, +1.000s" in page.texts_in("text")


def test_a_drawing_is_named_by_its_calls_and_its_time() -> None:
    one, two = (drawn(*[some_call(total=2.0)] * number, limits={}) for number in (1, 2))

    assert "1 call in 2.000s; the table below has the times" in [svg.get("aria-label") for svg in one.all("svg")]
    assert "2 calls in 2.000s; the table below has the times" in [svg.get("aria-label") for svg in two.all("svg")]


def test_the_limit_of_elapsed_is_a_line_on_the_whole_test() -> None:
    calls = [some_call(total=2.0), some_call(sent=2.0, total=2.0)]
    whole = {
        "test": {},
        "calls": [{}, {}],
        "segments": [[["answering", 0, 2.0]]] * 2,
        "origin": 0.0,
        "text": "",
        "path": [{"call": 1, "start": 0.0, "end": 2.0}, {"call": 2, "start": 2.0, "end": 4.0}],
        "path_segments": [["answering", 0, 4.0]],
        "gaps": [None, None],
    }

    page = drawn(*calls, limits={"elapsed": "3s"}, breakdown=whole)

    assert [line["x1"] for line in page.all("line", "m")] == ["75%"]
    assert [(step["x"], step["width"]) for step in page.all("rect", "cp")] == [("0%", "50%"), ("50%", "50%")]


def test_a_limit_further_out_than_the_axis_is_an_arrow_at_its_end() -> None:
    page = drawn(some_call(ttft=0.4, ttfa=0.4, total=2.0), limits={"ttft": "100ms", "total": "9s"})

    # the last tick of the axis stands at its end too, above all bars
    at_end = [text for text in page.all("text", "t") if text["x"] == "100%" and text["y"] != "11"]
    assert [text["text-anchor"] for text in at_end] == ["end"]
    assert "total 9.000s →" in page.texts_in("text")
    assert [line["x1"] for line in page.all("line", "m")] == ["5%"]


def test_calls_that_overlap_are_counted() -> None:
    page = drawn(some_call(total=2.0), some_call(sent=1.0, total=3.0), limits={})

    assert "calls at once, most 2" in page.texts_in("text")
    assert [(step["x"], step["height"]) for step in page.all("rect", "n")] == [("0%", "6"), ("25%", "12"), ("50%", "6")]


def test_a_test_that_kept_its_budget_is_left_to_the_script() -> None:
    page = Page(report_of(some_result(limits={"ttft": "1s"})))

    assert not [svg for svg in page.all("svg") if svg.get("role") == "img"]
    (data,) = [text for tag, text in page.texts if tag == "script" and text.startswith("{")]
    assert json.loads(data)["r"][0]["s"][0]["c"][0][2:7] == [0, 310_000, 412_000, 412_000, 2_875_000]


def test_samples_are_dots_with_percentiles_intervals_limit_and_baseline() -> None:
    page = Page(report_with_everything())

    strips = [svg for svg in page.all("svg") if ": 9 samples" in (svg.get("aria-label") or "")]
    assert len(strips) == 3
    assert re.match(
        r"elapsed: 9 samples, p50 2.500s \(95 %: 2.200s to 2.800s\), p95 2.900s \(95 %: \S+ to no bound\), "
        r"every sample at most 4.000s, baseline 2.200s$",
        strips[2]["aria-label"] or "",
    )
    # in the strips, again beside the baseline, and one for each variant
    assert len(page.all("circle", "d")) == 3 * 9 + 3 * 9 + 2
    assert len(page.all("circle", "n")) == 3 * 9 + 3 * 9


def test_each_kind_of_fact_has_its_section() -> None:
    page = Page(report_with_everything())

    titles = [
        "Samples",
        "Over all samples",
        "Against the baseline",
        "Faults",
        "Simulation",
        "What if (simulated)",
        "Variants",
    ]
    assert page.texts_in("summary")[:7] == titles


def test_what_has_no_row_and_failed_makes_the_page_say_so() -> None:
    variant: dict[str, Any] = {
        "variant": "~max_tokens=9",
        "original_nodeid": "a.py::t",
        "outcome": "failed",
        "failure": "no recording",
    }

    page = Page(report_of(some_result("a.py::t"), some_result("a.py::t[~max_tokens=9]", **variant)))

    assert page.texts_in("title")[0] == "Failed: Claude latency"
    assert page.all("p", "verdict fails")
    assert "none of 1 test failed, 1 variant failed" in page.texts_in("p")
    assert page.texts_in("summary")[0] == "Also failed"
    assert ("pre", "no recording") in page.texts


def test_a_page_that_is_drawn_again_has_the_date_of_the_run_that_asked_the_api() -> None:
    page = Page(report_of(some_result("a.py::t")) | {"date": "2026-11-02T10:20:30+00:00"})

    assert "2026-11-02 10:20 UTC" in page.texts_in("dd")


def test_the_page_loads_nothing_and_runs_only_its_own_script() -> None:
    page = Page(report_with_everything())

    assert not {"link", "img", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    assert not [name for _, found in page.tags for name in found if name.startswith("on") or name in ("src", "style")]
    (policy,) = [meta["content"] or "" for meta in page.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    style, script = page.texts_in("style")[0], page.texts_in("script")[1]
    for text in (style, script):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert "url(" not in style.replace("url(#over)", "")


def test_a_quoted_prompt_becomes_its_length() -> None:
    failure = 'no recorded answer fits\n  recorded  "Label this \\"ticket\\": …"\n  sent      "Tag it"'

    (text,) = Page(report_of(some_result(failure=failure, outcome="failed"))).texts_in("pre")

    assert text.splitlines()[1:] == ['  recorded  "(24 characters)"', '  sent      "(6 characters)"']


@settings(max_examples=20)
@given(node_ids())
def test_any_id_and_warning_is_text_and_never_markup(text: str) -> None:
    plain = Page(report_of(some_result("a.py::b", warnings=("w",), limits={"ttft": "1ms"})))

    page = Page(report_of(some_result(f"a.py::{text}", warnings=(text,), limits={"ttft": "1ms"})))

    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert "".join(page.texts_in("li")) == f"a.py::{text}: {text}"


def test_no_text_ends_the_element_that_holds_the_data() -> None:
    page = Page(report_of(some_result("a.py::t[</script><b>]")))

    assert len(page.all("script")) == 2
    assert not page.all("b")


def test_a_thousand_tests_of_five_calls_weigh_less_than_a_megabyte_and_a_half_also_if_all_fail() -> None:
    report = report_with_everything(tests=1000, calls=5)
    for row in report["summary"]["rows"]:
        row["fails"] = True

    page = html.render(report)

    assert len(page.encode()) < 1_500_000
    drawn = page.count('<td class="detail"')
    assert drawn > 5
    assert f"{1003 - drawn} more failing tests are drawn by a script" in page


@pytest.mark.slow
def test_jinja_is_imported_only_where_a_page_is_drawn() -> None:
    code = "import sys, pytest_claude_latency.report.formats; sys.exit('jinja2' in sys.modules)"

    assert run([sys.executable, "-c", code], check=False).returncode == 0
