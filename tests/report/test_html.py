from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given

from pytest_claude_latency.report import html
from pytest_claude_latency.report.summary import Summary
from tests.support.some_call import some_call
from tests.support.some_results import node_ids, some_result, summary_of

VOID = {"meta", "rect", "line"}


class Page(HTMLParser):
    """A page as a browser takes it apart: texts by tag, attributes by tag; refuses tags that do not match."""

    def __init__(self, summary: Summary) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html.render(summary))
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

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def texts_in(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def bars(page: Page) -> list[tuple[str | None, float, float]]:
    """Kind, start and width of each piece of a bar, in thousandths of the time axis."""
    return [(rect["class"], float(rect["x"] or 0), float(rect["width"] or 0)) for rect in page.all("rect")]


def test_the_page_shows_the_table_and_the_counts() -> None:
    page = Page(summary_of(some_result("a.py::t", limits={"ttft": "800ms"})))

    assert page.texts_in("td") == ["1", "412ms/800ms", "2.875s", "96", "kept"]
    assert "1 test, 1 call, 1 budget: 1 kept (replay, virtual clock)" in page.texts_in("p")


def test_a_call_is_a_bar_of_what_it_waited_for() -> None:
    call = some_call(sent=1.0, ttfb=0.5, ttft=1.0, ttfa=2.0, total=4.0)

    page = Page(summary_of(some_result(calls=[call])))

    assert bars(page) == [
        ("sent", 200.0, 100.0),
        ("headers", 300.0, 100.0),
        ("thinking", 400.0, 200.0),
        ("answer", 600.0, 400.0),
    ]


def test_calls_of_a_test_share_its_time_axis() -> None:
    calls = [some_call(ttfb=None, ttft=None, ttfa=None, total=1.0), some_call(sent=1.0, ttfb=1.0, ttft=None, ttfa=None)]

    page = Page(summary_of(some_result(calls=[calls[0], calls[1]])))

    end = 1000 / 3.875
    assert bars(page)[0] == ("sent", 0.0, round(end, 2))
    assert [kind for kind, _, _ in bars(page)] == ["sent", "sent", "headers"]


def test_a_call_that_did_not_get_anywhere_is_an_empty_bar() -> None:
    page = Page(summary_of(some_result(calls=[some_call(ttfb=None, ttft=None, ttfa=None, total=None)])))

    assert bars(page) == []
    assert len(page.all("svg")) == 1


def test_the_limit_of_the_first_token_is_a_line_across_the_bar() -> None:
    page = Page(summary_of(some_result(calls=[some_call(total=4.0)], limits={"ttft": "1s"})))

    assert [line["x1"] for line in page.all("line")] == ["250.00"]


def test_a_broken_budget_is_explained_and_its_calls_are_open() -> None:
    page = Page(summary_of(some_result("a.py::a", limits={"ttft": "400ms"}), some_result("a.py::b")))

    assert page.texts_in("pre")[0].startswith("ttft was 412ms, 12ms over the budget of 400ms\n  budget    ttft<400ms ")
    assert ["open" in details for details in page.all("details")] == [True, False]


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = Page(summary_of(some_result(limits={"ttft": "1s"})))

    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not {"src", "href", "onclick", "onload"} & {name for _, attributes in page.tags for name in attributes}
    assert "url(" not in "".join(page.texts_in("style"))


def test_the_page_has_colours_for_dark_and_for_light() -> None:
    style = "".join(Page(summary_of()).texts_in("style"))

    assert "color-scheme: light dark" in style
    assert "prefers-color-scheme: dark" in style


@given(node_ids())
def test_any_id_and_warning_is_text_and_never_markup(text: str) -> None:
    plain = Page(summary_of(some_result("a", warnings=("w",), limits={"ttft": "1ms"})))

    page = Page(summary_of(some_result(text, warnings=(text,), limits={"ttft": "1ms"})))

    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert "".join(page.texts_in("li")) == f"{text}: {text}"
