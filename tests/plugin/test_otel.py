"""`--latency-otel`: what an OTLP endpoint gets, and what becomes of a run whose endpoint does not answer."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.plugin.suite import Suite, whole_lines
from tests.support.claude_messages import text

pytest.importorskip("jsonschema")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")

from tests.support import report_schema
from tests.support.otlp_endpoint import OtlpEndpoint, serving, told  # it needs the extra

TESTS = """
@pytest.mark.latency_budget(ttft="5s")
def test_streams(claude_latency):
    stream("a secret question")


@pytest.mark.latency_budget(ttft="1ms")
def test_is_late(claude_latency):
    ask("another secret")


def test_is_none_of_ours():
    pass
"""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpEndpoint]:
    with serving() as endpoint:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.url)
        yield endpoint


@pytest.fixture
def recorded(suite: Suite) -> Suite:
    suite.server.answers(
        lambda request: text("Hello| there", gaps=["40ms"]) if request.json.get("stream") else text("Hi")
    )
    suite.write(TESTS)
    suite.once(suite.record).assert_outcomes(passed=3)
    return suite


def result_of(suite: Suite, name: str) -> Any:
    report = json.loads((suite.path / "report.json").read_text("utf-8"))
    return next(test for test in report["tests"] if test["nodeid"].endswith(name))


def test_a_sample_is_a_trace_with_a_span_for_each_call(recorded: Suite, endpoint: OtlpEndpoint) -> None:
    result = recorded.replay("--latency-otel")

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines([f"OpenTelemetry: 4 spans and * metrics sent to {endpoint.url}"])
    late, first, streams, call = endpoint.spans
    assert [late.name, streams.name] == [
        "invoke_workflow test_it.py::test_is_late",
        "invoke_workflow test_it.py::test_streams",
    ]
    measured = result_of(recorded, "test_streams")
    assert (call.parent_span_id, call.trace_id) == (streams.span_id, streams.trace_id)
    assert first.trace_id == late.trace_id != call.trace_id
    assert call.end_time_unix_nano - call.start_time_unix_nano == round(measured["calls"][0]["total"] * 1e9)
    assert streams.end_time_unix_nano - streams.start_time_unix_nano == round(measured["elapsed"] * 1e9)
    # the files have the machine's time, which this process may be ahead of: worlds have ended in it
    recording, report = (recorded.path / name for name in ("cassettes/test_it/test_streams.1.jsonl", "report.json"))
    assert recording.stat().st_mtime_ns < streams.end_time_unix_nano < report.stat().st_mtime_ns
    attributes = told(call.attributes)
    assert call.name == "chat claude-haiku-4-5"
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.provider.name"] == "anthropic"
    assert attributes["gen_ai.response.finish_reasons"] == ["end_turn"]
    assert (attributes["server.address"], attributes["server.port"]) == ("api.anthropic.com", 443)
    assert attributes["claude_latency.ttft"] == measured["calls"][0]["ttft"]
    assert told(late.attributes)["test.case.result.status"] == "fail"
    assert late.status.code == 2


def test_metrics_have_the_conventions_names_and_buckets(recorded: Suite, endpoint: OtlpEndpoint) -> None:
    recorded.replay("--latency-otel")

    assert endpoint.metrics.keys() == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.operation.time_per_output_chunk",
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.inference.usage.output_tokens",
        "gen_ai.client.inference.operation.input_tokens",
        "gen_ai.client.inference.operation.output_tokens",
        "gen_ai.client.inference.usage.cache_read.input_tokens",
        "gen_ai.client.inference.usage.cache_write.input_tokens",
        "gen_ai.workflow.duration",
        "claude_latency.ttft",
        "claude_latency.ttfa",
    }
    report_schema.assert_fits(json.loads((recorded.path / "report.json").read_text("utf-8")))
    call = result_of(recorded, "test_streams")["calls"][0]
    duration = endpoint.metrics["gen_ai.client.operation.duration"]
    assert duration.unit == "s"
    (points,) = duration.histogram.data_points
    assert points.count == 2
    assert list(points.explicit_bounds) == [0.01 * 2**power for power in range(14)]
    assert sum(points.bucket_counts) == 2
    assert points.max == pytest.approx(max(call["total"], result_of(recorded, "test_is_late")["calls"][0]["total"]))
    (first,) = endpoint.metrics["gen_ai.client.operation.time_to_first_chunk"].histogram.data_points
    assert first.count == 1  # of the call that streams
    assert first.sum == call["chunks"][0] <= call["ttft"]
    (gaps,) = endpoint.metrics["gen_ai.client.operation.time_per_output_chunk"].histogram.data_points
    assert gaps.count == len(call["chunks"]) - 1
    chunks = call["chunks"]
    assert gaps.max == pytest.approx(max(later - earlier for earlier, later in pairwise(chunks)))
    (tokens,) = endpoint.metrics["gen_ai.client.inference.usage.output_tokens"].sum.data_points
    assert tokens.as_int == sum(result_of(recorded, name)["calls"][0]["output_tokens"] for name in ("streams", "late"))
    ttft = endpoint.metrics["claude_latency.ttft"].histogram.data_points
    assert {told(point.attributes)["test.case.name"]: point.sum for point in ttft} == {
        f"test_it.py::{name}": result_of(recorded, name)["calls"][0]["ttft"]
        for name in ("test_streams", "test_is_late")
    }


def test_neither_prompts_nor_answers_nor_keys_are_sent(suite: Suite, endpoint: OtlpEndpoint) -> None:
    suite.write(TESTS)

    suite.record("--latency-otel")

    sent = "".join(str(body) for _, _, body in endpoint.requests)
    assert "claude-haiku" in sent
    assert not [word for word in ("secret", "Hello", "a-key-for-tests", "/v1/messages") if word in sent]


@pytest.mark.slow
def test_workers_measure_and_the_controller_sends_once(recorded: Suite, endpoint: OtlpEndpoint) -> None:
    pytest.importorskip("xdist")

    # a second worker would take seconds more, and sends no more than the first
    recorded.replay("--latency-otel", "-n1")

    assert [path for path, _, _ in endpoint.requests] == ["/v1/traces", "/v1/metrics"]
    assert len(endpoint.spans) == 4


def test_the_standard_variables_name_headers_paths_and_the_service(
    recorded: Suite, endpoint: OtlpEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=latency")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "helpline")

    recorded.replay("--latency-otel")

    ((path, headers, body),) = endpoint.requests
    assert (path, headers["x-team"], headers["content-encoding"]) == ("/v1/traces", "latency", "gzip")
    (resource,) = body.resource_spans
    known = told(resource.resource.attributes)
    assert known["service.name"] == "helpline"
    assert known["claude_latency.mode"] == "replay"


def test_an_endpoint_that_is_down_is_one_line_and_fails_nothing(
    recorded: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://me:hidden@127.0.0.1:{port}")
    (recorded.path / "test_it.py").write_text(
        "from app import stream\n\ndef test_streams(claude_latency):\n    stream('a secret question')\n"
    )

    before = time.monotonic()
    result = recorded.replay("--latency-otel")

    assert time.monotonic() - before < 5  # exporters repeat a refused connection for ten seconds
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    whole = [*whole_lines(result).lines, *whole_lines(result, of_errors=True).lines]
    lines = [line for line in whole if "otel" in line.lower() or "refused" in line]
    assert lines == [f"--latency-otel: cannot send traces and metrics to http://127.0.0.1:{port}: Connection refused"]


@pytest.mark.parametrize("url", ["htp//me:s3cret@host", "ftp://me:s3cret@host", "http://me:s3cret@127.0.0.1:99999"])
def test_an_endpoint_that_is_no_address_is_told_without_its_login(
    recorded: Suite, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)

    result = recorded.replay("--latency-otel")

    result.assert_outcomes(passed=2, failed=1)
    whole_lines(result).fnmatch_lines(["--latency-otel: cannot send traces*the endpoint*"])
    assert "s3cret" not in result.stdout.str() + result.stderr.str()


def test_an_endpoint_that_refuses_is_told_by_its_status(recorded: Suite, endpoint: OtlpEndpoint) -> None:
    endpoint.status = 401

    result = recorded.replay("--latency-otel")

    whole_lines(result).fnmatch_lines(
        [
            f"--latency-otel: cannot send traces to {endpoint.url}/v1/traces: 401 Unauthorized",
            f"--latency-otel: cannot send metrics to {endpoint.url}/v1/metrics: 401 Unauthorized",
        ]
    )


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        (
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            "*OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and only http/protobuf is known",
        ),
        (("OTEL_SDK_DISABLED", "true"), "*nothing was sent: OTEL_SDK_DISABLED is set"),
        (("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere"), "*cannot send traces to the endpoint: *nowhere*"),
    ],
)
def test_variables_that_keep_it_from_sending_are_told(
    recorded: Suite, endpoint: OtlpEndpoint, monkeypatch: pytest.MonkeyPatch, variable: tuple[str, str], line: str
) -> None:
    monkeypatch.setenv(*variable)

    result = recorded.replay("--latency-otel")

    result.assert_outcomes(passed=2, failed=1)
    whole_lines(result).fnmatch_lines([line])
    assert endpoint.requests == []


def test_what_is_no_fair_run_is_not_sent(suite: Suite, endpoint: OtlpEndpoint) -> None:
    fair = """
from pytest_claude_latency.faults import stalled


@pytest.mark.latency_fault(stalled(after=1, duration="9s"))
def test_streams(claude_latency):
    stream()
"""
    suite.write(fair)
    suite.record().assert_outcomes(passed=2)
    suite.write(fair + '\n\n@pytest.mark.latency_answers("made up")\ndef test_made_up(claude_latency):\n    ask()\n')

    suite.replay("--latency-otel").assert_outcomes(passed=3)

    assert [span.name for span in endpoint.spans] == [
        "invoke_workflow test_it.py::test_streams",
        "chat claude-haiku-4-5",
    ]


@pytest.mark.slow
def test_nothing_is_sent_or_imported_without_it(
    recorded: Suite, endpoint: OtlpEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    # other plugins take more time to load than the run takes, and could import it themselves
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    loaded = """
import sys
from pathlib import Path


def pytest_unconfigure():
    Path("loaded").write_text(str([name for name in sys.modules if name.startswith("opentelemetry.exporter")]))
"""
    (recorded.path / "conftest.py").write_text(loaded)

    recorded.pytester.runpytest_subprocess("-p", "pytest_claude_latency.plugin", "--latency-budget")

    assert endpoint.requests == []
    assert (recorded.path / "loaded").read_text() == "[]"


def test_without_the_extra_the_option_says_what_to_install(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    suite.write(TESTS)

    result = suite.replay("--latency-otel")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --latency-otel: needs: pip install 'pytest-claude-latency[[]otel]'"])
