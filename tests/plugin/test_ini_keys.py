"""Ini keys without an option: the placeholder key, the calendar, what is redacted, which headers are kept."""

from __future__ import annotations

import json
import os

import pytest

from tests.plugin.suite import Suite
from tests.support.claude_messages import text

AT_IMPORT = """
import os

KEY = os.environ["ANTHROPIC_API_KEY"]


def test_it(claude_latency):
    ask(client=anthropic.Anthropic(api_key=KEY))
"""


def test_a_placeholder_key_serves_applications_that_read_it_at_import(suite: Suite) -> None:
    suite.write(AT_IMPORT)
    suite.pytester.makeconftest("import os\nos.environ['ANTHROPIC_API_KEY']\n")
    suite.record()
    assert suite.replay().ret == pytest.ExitCode.USAGE_ERROR
    suite.ini("latency_placeholder_key = true")

    suite.replay().assert_outcomes(passed=1)

    assert "ANTHROPIC_API_KEY" not in os.environ


def test_a_placeholder_does_not_replace_a_key(suite: Suite) -> None:
    suite.ini("latency_placeholder_key = true")
    suite.write("import os\n\n\ndef test_it(claude_latency):\n    save_result(os.environ['ANTHROPIC_API_KEY'])\n")

    suite.run(key="mine")

    assert suite.saved_result == "mine"


@pytest.mark.parametrize("mode", ["record", "record-missing", "live"])
@pytest.mark.parametrize("place", ["ini", "option"])
def test_only_a_replay_sets_a_placeholder_key(suite: Suite, mode: str, place: str) -> None:
    suite.ini("latency_placeholder_key = true", f"latency_mode = {mode if place == 'ini' else 'replay'}")
    suite.write("import os\n\n\ndef test_it(claude_latency):\n    save_result(os.environ.get('ANTHROPIC_API_KEY'))\n")

    suite.run(*([f"--latency-mode={mode}"] if place == "option" else [])).assert_outcomes(passed=1)

    assert suite.saved_result is None


def test_without_the_placeholder_the_environment_is_not_changed(suite: Suite) -> None:
    suite.write(
        """
import os


def test_it(claude_latency):
    save_result(sorted(name for name in os.environ if name.startswith("ANTHROPIC")))
    stream()
"""
    )
    suite.record()

    suite.replay().assert_outcomes(passed=1)

    assert suite.saved_result == []


DATED = """
from datetime import date, datetime, timezone


def test_it(claude_latency):
    ask(f"Today is {datetime.now(timezone.utc):%Y-%m-%d}.")
    save_result([datetime.now(timezone.utc).isoformat(), time.time(), date.today().isoformat()])
"""


def _made_in(suite: Suite, day: str) -> None:
    """Let the one recording be of another day."""
    path = suite.path / suite.recordings()[0]
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    today = json.loads(header)["recorded"][:10]
    path.write_text("\n".join([header, *lines, ""]).replace(today, day), encoding="utf-8")


def test_a_prompt_with_the_date_fits_where_the_calendar_starts_as_recorded(suite: Suite) -> None:
    suite.write(DATED)
    suite.record()
    _made_in(suite, "2001-02-03")

    suite.replay().assert_outcomes(failed=1)
    suite.ini("latency_date = recorded")
    suite.replay().assert_outcomes(passed=1)

    moment, seconds, _ = suite.saved_result
    assert moment.startswith("2001-02-03T")
    assert 981_158_400 <= seconds < 981_244_800


def test_the_calendar_starts_as_recorded_in_real_time_too(suite: Suite) -> None:
    suite.write(DATED)
    suite.record()
    _made_in(suite, "2001-02-03")
    suite.ini("latency_date = recorded")

    suite.replay("--latency-clock=real").assert_outcomes(passed=1)

    moment, seconds, today = suite.saved_result
    assert moment.startswith("2001-02-03T")
    assert 981_158_400 <= seconds < 981_244_800
    assert today in ("2001-02-02", "2001-02-03", "2001-02-04")  # wherever the machine stands


REDACTED = """
def test_it(claude_latency):
    assert ask("I am jane@mail.example, order 4711") == "Dear john@mail.example"
"""


def test_redacted_text_is_not_recorded_and_still_fits(suite: Suite) -> None:
    suite.ini(r"latency_redact =", r"    [\w.]+@mail\.example", r"    order \d+")
    suite.write(REDACTED)
    suite.server.answer(text("Dear john@mail.example"))
    suite.record().assert_outcomes(passed=1)

    (name,) = suite.recordings()
    recording = (suite.path / name).read_text(encoding="utf-8")
    suite.write(REDACTED.replace("jane", "joan").replace("4711", "4712").replace("john@mail.example", "[redacted]"))
    result = suite.replay()

    result.assert_outcomes(passed=1)
    assert "@mail.example" not in recording
    assert "4711" not in recording
    assert "I am [redacted], [redacted]" in recording


def test_a_pattern_that_may_take_minutes_is_refused_before_any_test(suite: Suite) -> None:
    suite.ini(r"latency_redact = (?s)<key>.*?</key>")
    suite.write("def test_it(claude_latency): ask()")

    result = suite.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    first = r"ERROR: ini key latency_redact: '(?s)<key>.[*][?]</key>' is refused: it takes more"
    result.stderr.fnmatch_lines([first, "  than linear time*"])


def test_redacted_text_may_be_split_over_deltas(suite: Suite) -> None:
    suite.ini(r"latency_redact = [\w.]+@mail\.example")
    suite.write("def test_it(claude_latency):\n    save_result(stream())\n")
    suite.server.answer(text("Dear jo|hn@ma|il.exa|mple!"))
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)

    assert suite.saved_result == "Dear [redacted]!"


def test_headers_are_kept_by_name(suite: Suite) -> None:
    suite.ini("latency_keep_headers = X-Trace x-other")
    suite.write(
        """
def test_it(claude_latency):
    client = anthropic.Anthropic(default_headers={"x-trace": "sent", "x-else": "sent"})
    answer = client.messages.with_raw_response.create(
        model="claude-haiku-4-5", max_tokens=9, messages=messages("hi")
    )
    save_result(dict(answer.headers))
"""
    )
    suite.server.answer(text("hi").with_headers(x_other="answered", x_else="answered"))
    suite.record().assert_outcomes(passed=1)

    suite.replay().assert_outcomes(passed=1)

    (name,) = suite.recordings()
    lines = [json.loads(line) for line in (suite.path / name).read_text(encoding="utf-8").splitlines()]
    (request,) = [line for line in lines if "request" in line]
    (response,) = [line for line in lines if "response" in line]
    assert request["headers"]["x-trace"] == "sent"
    assert response["headers"]["x-other"] == "answered"
    assert "x-else" not in {**request["headers"], **response["headers"]}
    assert suite.saved_result["x-other"] == "answered"
    assert "set-cookie" not in suite.saved_result
