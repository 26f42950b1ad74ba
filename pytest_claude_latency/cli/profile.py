"""`claude-latency profile`: how long models take, fitted from recordings, for the ini key `latency_profiles`."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from pytest_claude_latency import duration
from pytest_claude_latency.atomic_files import replace_files
from pytest_claude_latency.cassettes.recording import Recording
from pytest_claude_latency.cli.check import FOLDER_HELP, find, folder_of, refuse_missing
from pytest_claude_latency.cli.output import STANDARD_OUTPUT, say
from pytest_claude_latency.duration import MILLISECOND
from pytest_claude_latency.metrics.percentiles import percentile
from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.simulation.profile_fit import FEWEST, Fit, fits_of
from pytest_claude_latency.simulation.profiles import Profiles


def declare(commands: Any) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "profile",
        help="fit how long models take from recordings",
        description="Fit how long each model takes to the recordings in folders: its time to the first token against "
        f"the tokens of the prompt, its pace, and how both vary. A model needs {FEWEST} streamed calls. Exit status 1 "
        "if no model has enough.",
    )
    parser.add_argument("places", metavar="DIR", nargs="+", type=Path, help="a folder of recordings, or a recording")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="write the profiles, for latency_profiles; - is standard output",
    )
    parser.add_argument("--cassettes", metavar="DIR", help=FOLDER_HELP)
    parser.set_defaults(run=run, parser=parser)


def run(chosen: argparse.Namespace) -> int:
    """Fit the profiles, show how well they fit, and write them where that is asked for.

    Raises:
        LatencyError: a recording cannot be read, or the file cannot be written.
    """
    refuse_missing(chosen)
    paths = find(chosen.places, folder_of(chosen))
    fits, too_few = fits_of(map(Recording.load, paths))
    # beside a document that another program reads
    as_error = chosen.output == STANDARD_OUTPUT
    for model, fit in fits.items():
        say(*_lines(model, fit), error=as_error)
    for model, count in too_few.items():
        say(f"{model}: {number_of(count, 'call')}, too few: a profile needs {FEWEST} that stream", error=as_error)
    if not fits:
        say(f"no profile: no model has {FEWEST} streamed calls in {number_of(len(paths), 'recording')}")
        return 1
    if chosen.output is not None:
        dated = datetime.now(UTC).date().isoformat()
        text = Profiles(dated, tuple(fit.profile for fit in fits.values())).text()
        if chosen.output == STANDARD_OUTPUT:
            sys.stdout.write(text)
            return 0
        replace_files({chosen.output: text})
        say(f"written: {chosen.output}; use it with latency_profiles = {chosen.output} in the ini file")
    return 0


def _lines(model: str, fit: Fit) -> list[str]:
    """Return the profile of a model in words, and how well it fits."""
    profile, ttft = fit.profile, fit.profile.ttft
    also = f", {len(fit.unstreamed)} that do not stream" if fit.unstreamed else ""
    slopes = [
        f"{_show(slope)} for each 1,000 {kind} tokens of the prompt"
        for slope, kind in ((ttft.per_1000_uncached, "uncached"), (ttft.per_1000_cached, "cached"))
        if slope
    ]
    speed = profile.tokens_per_second
    recorded = sorted((call.ttft or 0.0) * 1000 for call in fit.streamed)
    # What the profile says of the same calls: its medians, spread as it says, at the same ranks.
    shares = fit.shares
    spread = ", ".join(f"p{share} {percentile(shares, Fraction(share, 100)):.2f}" for share in (5, 50, 95))
    expected = ttft.p95 / ttft.median
    lines = [
        f"{model}: {number_of(len(fit.streamed), 'streamed call')}{also}",
        f"  first token   {' + '.join([_show(ttft.median), *slopes])}; p95 {expected:.2f} times that",
        f"  recorded      {_show(recorded[0])} to {_show(recorded[-1])}",
        f"  against it    {spread} times what is fitted; log-normal: {1 / expected:.2f}, 1.00, {expected:.2f}",
        f"  tokens/s      {speed.low:g} to {speed.high:g}, usually {speed.median:g}",
    ]
    if profile.unstreamed is not None:
        unstreamed = profile.unstreamed
        lines.append(f"  not streamed  {_show(unstreamed.base)} + {_show(unstreamed.per_token)} for each token")
    return lines


def _show(milliseconds: float) -> str:
    return duration.show(round(milliseconds * MILLISECOND))
