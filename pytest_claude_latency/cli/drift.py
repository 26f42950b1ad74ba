"""`claude-latency drift`: send a call of each recording again, and show what the API does differently by now."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cassettes.secrets import conceal_url
from pytest_claude_latency.cli.baselines import rules_of
from pytest_claude_latency.cli.check import FOLDER_HELP, find, folder_of, refuse_missing
from pytest_claude_latency.cli.output import STANDARD_OUTPUT, say
from pytest_claude_latency.cli.recordings_in_use import ini_value
from pytest_claude_latency.errors import CassetteError, LatencyError
from pytest_claude_latency.metrics.prices import SHIPPED, Prices
from pytest_claude_latency.metrics.timeline import measure
from pytest_claude_latency.options.table import RULES
from pytest_claude_latency.options.values import Given
from pytest_claude_latency.options.values import prices as prices_in
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.printable import printable_json

_FORMATS: Final = ("text", "markdown", "json")


def declare(commands: Any) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "drift",
        help="call the API: what changed since recordings were made, and how old they are",
        description="Send one call of each recording again, and compare the answers: their shape, the model that gave "
        "them, tokens, and speed over all of them. It calls the API, with the key in ANTHROPIC_API_KEY and at the "
        "address in ANTHROPIC_BASE_URL, and costs about as much as the recordings did. Nothing is written. Exit "
        "status 0 if nothing changed; 1 if something did, a call got no answer or a recording cannot be read; 2 if "
        "nothing can be sent.",
    )
    parser.add_argument("places", metavar="DIR", nargs="+", type=Path, help="a folder of recordings, or a recording")
    parser.add_argument("--dry-run", action="store_true", help="only say how many calls and tokens it would take")
    parser.add_argument("--only", metavar="TEXT", action="append", help="tests whose id contains TEXT; repeatable")
    parser.add_argument("--limit", metavar="N", type=_at_least_one, help="send at most N calls, first samples first")
    parser.add_argument("--format", choices=_FORMATS, default="text", help="default: text")
    for rule in RULES:
        if rule.name != "tolerance":  # no call takes the same time twice
            parser.add_argument(f"--{rule.name}", metavar=rule.metavar, help=rule.help)
    parser.add_argument("--cassettes", metavar="DIR", help=FOLDER_HELP)
    parser.set_defaults(run=run, parser=parser)


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def run(chosen: argparse.Namespace) -> int:
    """Send the calls, and show what changed.

    Raises:
        LatencyError: no call can be sent for want of a key, or the ini file names prices that are none.
    """
    refuse_missing(chosen)
    rules, prices = rules_of(chosen), _prices(chosen.places)
    recordings, unreadable = _selected(chosen)
    if not recordings and not unreadable:
        which = f" of tests whose id contains {' or '.join(chosen.only)}" if chosen.only else ""
        say(f"no recordings{which} in {' '.join(map(str, chosen.places))}")
        return 1
    # only now: the SDK takes a second to load
    from pytest_claude_latency.drift.destinations import Destinations
    from pytest_claude_latency.drift.sending import Sender
    from pytest_claude_latency.drift.sent_again import Planned, SentAgain, send_all
    from pytest_claude_latency.drift.suite import drift_of

    request_for = Destinations(os.environ).request_for
    plans = [Planned.of(path, recording, request_for) for path, recording in recordings]
    missing = next((plan.obstacle for plan in plans if plan.obstacle and plan.obstacle.mendable), None)
    if chosen.dry_run:
        plans = [plan.with_a_key() for plan in plans]
    # what is not sent takes no part in the limit: it is told all the same
    counts = accumulate(plan.request is not None for plan in plans)
    plans = [plan for plan, count in zip(plans, counts, strict=True) if chosen.limit is None or count <= chosen.limit]
    to_send = [plan for plan in plans if plan.request is not None]
    if not to_send and missing is not None:
        raise LatencyError(f"{missing.reason}; nothing was sent")
    say(*_announcement(to_send, len(recordings), prices), error=not chosen.dry_run)
    if chosen.dry_run:
        reasons = dict.fromkeys(plan.obstacle.reason for plan in plans if plan.obstacle)
        say(*(f"not sent: {reason}" for reason in reasons)) if reasons else None
        return 0
    done = 0

    def tell(call: SentAgain) -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty():
            say(f"{done} of {len(to_send)}: {call.plan.recording.test}: {call.problem or call.state}", error=True)

    sender = Sender()
    try:
        calls = send_all(plans, sender, tell)
    finally:
        sender.close()
    drift = drift_of(calls, unreadable, sender.count, rules, prices=prices)
    _show(drift, chosen)
    failed = drift["drift"] or unreadable or drift["counts"]["not answered"] or not drift["counts"]["compared"]
    return 1 if failed else 0


def _selected(chosen: argparse.Namespace) -> tuple[list[tuple[Path, Recording]], list[str]]:
    """Return the recordings that are asked for, first samples first, and what cannot be read."""
    recordings, unreadable = [], []
    for path in find(chosen.places, folder_of(chosen)):
        try:
            recordings.append((path, Recording.load(path)))
        except CassetteError as error:
            unreadable.append(str(error))
    if chosen.only:
        recordings = [pair for pair in recordings if any(text in pair[1].test for text in chosen.only)]
    return sorted(recordings, key=lambda pair: (pair[1].sample, pair[0])), unreadable


def _prices(places: Sequence[Path]) -> Prices:
    """Return the prices that the ini file of these places names, or else the shipped ones.

    Raises:
        LatencyError: the file is no table of prices.
    """
    found = ini_value(places, "latency_prices")
    if found is None:
        return SHIPPED
    value, root = found
    try:
        return prices_in(value, Given("latency_prices", root, Path.cwd())) or SHIPPED
    except ValueError as error:
        raise LatencyError(f"ini key latency_prices: {error}") from None


def _announcement(to_send: Sequence[Any], recordings: int, prices: Prices) -> list[str]:
    """Return what the calls will take, as far as the recordings tell."""
    from pytest_claude_latency.drift.pages import ages_of, cost_text
    from pytest_claude_latency.drift.sent_again import cost_of
    from pytest_claude_latency.drift.suite import age_of

    recorded = [plan.recorded for plan in to_send]
    answers = [measure([exchange]) for exchange in recorded]
    tokens = [sum(getattr(answer, name) or 0 for answer in answers) for name in ("prompt_tokens", "output_tokens")]
    ages = sorted(age_of(plan.recording.recorded, datetime.now(UTC)) for plan in to_send)
    lines = [f"{number_of(recordings, 'recording')}, {number_of(len(to_send), 'call')} to send"]
    if to_send:
        lines[0] += f"; as recorded {cost_text(tokens, *cost_of(recorded, prices))}"
        lines.append(ages_of(ages[0], ages[len(ages) // 2], ages[-1]))
    # of a call that lacks its key only the recorded address is known, and that is not where it would go
    known = [plan.request.url for plan in to_send if plan.obstacle is None]
    addresses = dict.fromkeys(conceal_url(url.partition("?")[0]) for url in known)
    return lines + [f"to {address}" for address in addresses]


def _show(drift: dict[str, Any], chosen: argparse.Namespace) -> None:
    from pytest_claude_latency.drift import pages

    if chosen.format == "json":
        document = printable_json(json.dumps(drift, indent=1, ensure_ascii=False))
    elif chosen.format == "markdown":
        document = pages.markdown(drift)
    else:
        document = "\n".join(pages.text_lines(drift, shutil.get_terminal_size().columns))
    if chosen.print_to != STANDARD_OUTPUT:
        # who keeps the whole for later wants to know now whether to read it
        say(pages.verdict_of(drift), error=True)
    if chosen.format == "text":
        say(*document.split("\n"))
    else:
        print(document)
