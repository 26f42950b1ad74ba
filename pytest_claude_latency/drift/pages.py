"""What changed, as people read it: in a terminal, and as Markdown for a pull request. Both show the JSON's facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pytest_claude_latency import duration
from pytest_claude_latency.duration import SECOND
from pytest_claude_latency.metrics.metric import dollars
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable_lines, wrapped
from pytest_claude_latency.report.columns import column_widths, line_of, shorten
from pytest_claude_latency.report.faces.markdown import code

_HEADERS: Final = ("recording", "age", "prompt", "answer", "ttft", "total")
_MOST_NAMES: Final = 3
_MOST_ROWS: Final = 100
_MOST_CHANGES: Final = 50


def verdict_of(drift: Mapping[str, Any]) -> str:
    """Return the verdict in one line."""
    compared = number_of(drift["counts"]["compared"], "call")
    if drift["drift"]:
        return f"drift: {', '.join(drift['drift'])}"
    return f"no drift in {compared}" if drift["counts"]["compared"] else "nothing could be compared"


def text_lines(drift: Mapping[str, Any], width: int) -> Iterator[str]:
    """Yield the lines of a terminal that is `width` columns wide."""
    yield from _wrapped(verdict_of(drift), width, "")
    for title, facts in _sections(drift):
        yield from ("", title)
        for fact in facts:
            yield from _wrapped(fact, width, "  ")
    rows = [_row(recording) for recording in drift["recordings"] if recording["state"] == "compared"]
    if rows:
        widths = column_widths([_HEADERS, *rows], max(width - 1, 40))
        yield ""
        for name, *cells in [_HEADERS, *rows]:
            yield line_of((shorten(name, widths[0]), *cells), widths, range(1, len(_HEADERS)))
    yield ""
    for line in _counts(drift):
        yield from _wrapped(line, width, "")


def markdown(drift: Mapping[str, Any]) -> str:
    """Return a page that fits into a pull request."""
    parts = [f"## Claude API: {verdict_of(drift)}"]
    for title, facts in _sections(drift):
        shown = [f"- {code(fact)}" for fact in facts[:_MOST_CHANGES]]
        if len(facts) > _MOST_CHANGES:
            shown.append(f"- and {len(facts) - _MOST_CHANGES} more")
        parts += [f"### {title.capitalize()}", "\n".join(shown)]
    rows = [_row(recording) for recording in drift["recordings"] if recording["state"] == "compared"]
    if rows:
        lines = [f"| {' | '.join(_HEADERS)} |", f"|---|{'--:|' * (len(_HEADERS) - 1)}"]
        lines += [f"| {code(name, in_table=True)} | {' | '.join(cells)} |" for name, *cells in rows[:_MOST_ROWS]]
        parts.append("\n".join(lines))
        if len(rows) > _MOST_ROWS:
            parts.append(f"and {len(rows) - _MOST_ROWS} more recordings")
    return printable_lines("\n\n".join([*parts, *_counts(drift)]))


def _sections(drift: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the title and the facts of each kind of change, the gravest first."""
    models = [
        f"{change['asked']} was answered by {change['before']}, now by {change['after']} "
        f"({number_of(change['calls'], 'call')})"
        for change in drift["models"]
    ]
    tokens = []
    for name, title in (("prompt", "prompts"), ("output", "answers")):
        before, after = drift["tokens"][name]
        if before or after:
            tokens.append(f"{title}: {after:,}, was {before:,}")
    changed = set(drift["tokens"]["prompts_changed"])
    examples = [
        f"{recording['file']} ({recording['after']['prompt_tokens']:,}, was {recording['before']['prompt_tokens']:,})"
        for recording in drift["recordings"]
        if recording["file"] in changed
    ]
    if examples:
        tokens.append(f"the same prompt has another number of tokens: {_named(examples)}")
    # what holds for all metrics is told once
    notes = dict.fromkeys(note for comparison in drift["speed"] for note in comparison["notes"])
    found = [
        ("refused now, answered when it was recorded", _problems(drift, "refused")),
        ("answered now, refused when it was recorded", _problems(drift, "no longer refused")),
        ("shape", [_shape(change) for change in drift["shape"]]),
        ("models", models),
        ("tokens", tokens),
        ("speed", [*(comparison["headline"] for comparison in drift["speed"]), *notes]),
        ("not answered", _problems(drift, "not answered")),
        ("not sent", _problems(drift, "not sent")),
        ("not read", drift["unreadable"]),
    ]
    yield from ((title, facts) for title, facts in found if facts)


def _problems(drift: Mapping[str, Any], state: str) -> list[str]:
    """Return a line for each reason, with the recordings it holds for; of many only the first are named."""
    files: dict[str, list[str]] = {}
    for recording in drift["recordings"]:
        if recording["state"] == state:
            files.setdefault(recording["problem"], []).append(recording["file"])
    return [f"{problem}: {_named(names)}" for problem, names in files.items()]


def _named(names: Sequence[str]) -> str:
    """Return the first of them, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return wrapped(text, max(width - 1, 40), indent, f"{indent}  ")


def _shape(change: Mapping[str, Any]) -> str:
    types = " or ".join(change["types"]) or "null"
    text = f"{change['change']:<6}{change['place']}"
    if change["change"] == "new":
        text += f" ({types})"
    elif change["change"] == "type":
        text += f": {types}, was {' or '.join(change['was'])}"
    form = "" if change["form"] == "messages" else f" ({change['form']})"
    how = "streamed" if change["streamed"] else "not streamed"
    return f"{text}, in {change['answers']} of {change['of']} answers of {change['asked']}{form}, {how}"


def _row(recording: Mapping[str, Any]) -> tuple[str, ...]:
    before, after = recording["before"], recording["after"]
    sample = "" if recording["sample"] == 1 else f", sample {recording['sample']}"
    times = (
        _sides(*(None if side[name] is None else duration.show(round(side[name] * SECOND)) for side in (before, after)))
        for name in ("ttft", "total")
    )
    tokens = (_sides(before[name], after[name]) for name in ("prompt_tokens", "output_tokens"))
    return (f"{recording['test']}{sample}", f"{recording['age_days']} d", *tokens, *times)


def _sides(before: object, after: object) -> str:
    old, new = ("-" if value is None else str(value) for value in (before, after))
    return old if old == new else f"{old} → {new}"


def _counts(drift: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many recordings there are, how old they are, and what it took to send their calls again."""
    counts, ages = drift["counts"], drift["age_days"]
    texts = [f"{counts['compared']} compared"]
    texts += [f"{count} {state}" for state, count in counts.items() if count and state != "compared"]
    age = "" if ages is None else f"; {ages_of(ages['least'], ages['median'], ages['most'])}"
    yield f"{number_of(sum(counts.values()), 'recording')}: {', '.join(texts)}{age}"
    sent = number_of(drift["requests_sent"], "request")
    yield f"{sent} sent: {cost_text(drift['tokens']['spent'], drift['cost'], drift['calls_without_a_price'])}"


def ages_of(least: float, middle: float, most: float) -> str:
    """Return how old recordings are: `"3 to 40 days old, half of them 12 or more"`."""
    if least == most:
        return f"{number_of(int(most), 'day')} old"
    return f"{least:g} to {most:g} days old, half of them {middle:g} or more"


def cost_text(tokens: Sequence[int], cost: float, unpriced: int) -> str:
    """Return what calls take: tokens of prompts and of answers, and dollars as far as prices are known."""
    price = f", about {dollars(cost)}" if cost else ""
    without = f", {number_of(unpriced, 'call')} without a known price" if unpriced else ""
    return f"{tokens[0]:,} tokens of prompts, {tokens[1]:,} of answers{price}{without}"
