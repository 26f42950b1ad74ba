"""OpenTelemetry: a report's data as spans and metrics, for the endpoint that the standard variables name.

They are sent when the last test is over, from the one process that shows the run, in the machine's time. A sample of a
test is a trace: it ends when the sample ended, and its times are the report's, so in a replay those of the recording.
Only fair runs are sent: no faults, no variants, and no answers that were made up.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import pairwise
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from pytest_claude_latency.plurals import number_of
from pytest_claude_latency.report.faces.otel_names import OF_CALLS, OF_TESTS, Instrument
from pytest_claude_latency.report.faces.otlp_wire import Wire, silenced, without_urls

Attributes: TypeAlias = dict[str, Any]
Readings: TypeAlias = dict[Instrument, dict[tuple[tuple[str, Any], ...], list[float]]]

_SECOND: Final = 1_000_000_000
_SIGNALS: Final = ("traces", "metrics")
_SENT: Final = "OpenTelemetry: {spans} and {metrics} sent to {place}"
_NOT_SENT: Final = "--latency-otel: cannot send {signals} to {place}: {reason}"
_OTHER_PROTOCOL: Final = "--latency-otel: nothing was sent: {variable} is {value}, and only http/protobuf is known"
_DISABLED: Final = "--latency-otel: nothing was sent: OTEL_SDK_DISABLED is set"


def send(report: Mapping[str, Any], ended_at: Mapping[tuple[str, int], float]) -> str | None:
    """Send what a run measured, and return what to tell of it; `None` if it measured nothing that is sent.

    `ended_at` has for each sample of a test the time at which it ended. Whatever goes wrong is told, and never raised.
    """
    tests = [
        test
        for test in report["tests"]
        if test["elapsed"] is not None and not any(name in test for name in ("fault", "variant", "simulated"))
    ]
    if not tests:
        return None
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return _DISABLED
    for variable in (
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        *(f"OTEL_EXPORTER_OTLP_{name.upper()}_PROTOCOL" for name in _SIGNALS),
    ):
        if (value := os.environ.get(variable, "").strip()) not in ("", "http/protobuf"):
            return _OTHER_PROTOCOL.format(variable=variable, value=value)
    wire = Wire()
    counts = {"traces": 0, "metrics": 0}
    problems: dict[tuple[str, str], list[str]] = {}
    for signal, export in (("traces", _send_spans), ("metrics", _send_metrics)):
        if os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip() == "none":
            continue
        reason = ""
        try:
            with silenced() as logged:
                counts[signal] = export(wire, report, tests, ended_at)
            reason = wire.problem or (logged[-1] if logged else "")
        except Exception as error:  # a run must not fail because of what watches it
            reason = wire.problem or without_urls(f"{type(error).__name__}: {error}")
        if reason:
            problems.setdefault((wire.place, reason), []).append(signal)
    if problems:
        return "\n".join(
            _NOT_SENT.format(signals=" and ".join(signals), place=place or "the endpoint", reason=reason)
            for (place, reason), signals in problems.items()
        )
    spans, metrics = number_of(counts["traces"], "span"), number_of(counts["metrics"], "metric")
    # both go to paths below one place, unless a variable of its own names another for one of them
    return _SENT.format(spans=spans, metrics=metrics, place=wire.place.removesuffix("/v1/metrics"))


def _resource(report: Mapping[str, Any]) -> Any:
    """Return what all spans and metrics share. The standard variables may name the service and add more."""
    from opentelemetry.sdk.resources import Resource

    known = {"claude_latency.mode": report["mode"], "claude_latency.clock": report["clock"]}
    if commit := report.get("environment", {}).get("commit"):
        known["vcs.ref.head.revision"] = commit.partition(",")[0]
    resource = Resource.create(known)
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "pytest"}))
    return resource


def _scope() -> Any:
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    return InstrumentationScope("pytest_claude_latency", version("pytest-claude-latency"))


def _send_spans(
    wire: Wire,
    report: Mapping[str, Any],
    tests: Iterable[Mapping[str, Any]],
    ended_at: Mapping[tuple[str, int], float],
) -> int:
    """Send a span for each sample of a test, with one in it for each call, and return their number."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    resource, scope = _resource(report), _scope()
    spans = [
        span
        for test in tests
        for span in _spans(
            test, ended_at[test["nodeid"], test["sample"]], {"resource": resource, "instrumentation_scope": scope}
        )
    ]
    exporter: Any = OTLPSpanExporter(session=wire.session())
    exporter.export(spans)
    exporter.shutdown()
    return len(spans)


def _spans(test: Mapping[str, Any], ended: float, shared: Mapping[str, Any]) -> Iterator[Any]:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    ids = RandomIdGenerator()
    trace = ids.generate_trace_id()

    def context() -> Any:
        return SpanContext(trace, ids.generate_span_id(), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    def status(is_good: bool) -> Any:
        return Status(StatusCode.UNSET if is_good else StatusCode.ERROR)

    whole, is_good = context(), test["outcome"] not in ("failed", "error")
    first = min((call["sent"] for call in test["calls"]), default=0.0)
    # whole nanoseconds: a float of seconds since 1970 is too coarse for what is added
    end = round(ended * _SECOND)
    start = end - round(test["elapsed"] * _SECOND)
    yield ReadableSpan(
        f"invoke_workflow {test['nodeid']}",
        whole,
        attributes={
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": test["nodeid"],
            "test.case.name": test["nodeid"],
            "test.case.result.status": "pass" if is_good else "fail",
            "claude_latency.sample": test["sample"],
        },
        kind=SpanKind.INTERNAL,
        status=status(is_good),
        start_time=start,
        end_time=end,
        **shared,
    )
    for call in test["calls"]:
        sent = start + round((call["sent"] - first) * _SECOND)
        yield ReadableSpan(
            f"chat {call['requested_model'] or call['model']}",
            context(),
            parent=whole,
            attributes=_of_call(call) | _details_of(call),
            kind=SpanKind.CLIENT,
            status=status(call["error"] is None),
            start_time=sent,
            end_time=end if call["total"] is None else sent + round(call["total"] * _SECOND),
            **shared,
        )


def _of_call(call: Mapping[str, Any]) -> Attributes:
    """Return what the conventions ask of spans and of metrics. Of a URL only host and port: the rest may be secret."""
    url = urlsplit(call["url"])
    return _known(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": call["provider"],
            "gen_ai.request.model": call["requested_model"],
            "gen_ai.response.model": call["model"],
            "server.address": url.hostname,
            "server.port": url.port or (80 if url.scheme == "http" else 443),
            "error.type": call["error"],
        }
    )


def _details_of(call: Mapping[str, Any]) -> Attributes:
    return _known(
        {
            "gen_ai.request.stream": call["streamed"],
            "gen_ai.response.finish_reasons": [call["stop_reason"]] if call["stop_reason"] else None,
            "gen_ai.response.time_to_first_chunk": next(iter(call["chunks"]), None),
            "gen_ai.usage.input_tokens": call["prompt_tokens"],
            "gen_ai.usage.output_tokens": call["output_tokens"],
            "gen_ai.usage.cache_read.input_tokens": call["cache_read_tokens"],
            "gen_ai.usage.cache_write.input_tokens": call["cache_write_tokens"],
            "gen_ai.usage.reasoning.output_tokens": call["thinking_tokens"],
            "http.request.resend_count": call["attempts"] - 1 or None,
            "claude_latency.ttft": call["ttft"],
            "claude_latency.ttfa": call["ttfa"],
        }
    )


def _known(attributes: Attributes) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}


def _send_metrics(
    wire: Wire,
    report: Mapping[str, Any],
    tests: Sequence[Mapping[str, Any]],
    ended_at: Mapping[tuple[str, int], float],
) -> int:
    """Send what the calls and tests of a run measured, and return the number of metrics."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics

    ends = [(ended_at[test["nodeid"], test["sample"]], test["elapsed"]) for test in tests]
    # no clock is asked: this process may be ahead of the machine's, since worlds have ended in it
    span = round(min(end - took for end, took in ends) * _SECOND), round(max(end for end, _ in ends) * _SECOND)
    metrics = [_metric(instrument, found, span) for instrument, found in _readings(tests).items() if found]
    exporter: Any = OTLPMetricExporter(session=wire.session())
    scoped = ScopeMetrics(scope=_scope(), metrics=metrics, schema_url="")
    exporter.export(MetricsData([ResourceMetrics(resource=_resource(report), scope_metrics=[scoped], schema_url="")]))
    exporter.shutdown()
    return len(metrics)


def _readings(tests: Iterable[Mapping[str, Any]]) -> Readings:
    """Return for each instrument what was measured, by the attributes that tell it apart."""
    readings: Readings = {instrument: defaultdict(list) for instrument in (*OF_CALLS, OF_TESTS)}
    for test in tests:
        name = test["nodeid"]
        workflow = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": name}
        if test["outcome"] in ("failed", "error"):
            workflow["error.type"] = test["outcome"]
        readings[OF_TESTS][tuple(workflow.items())].append(test["elapsed"])
        for call in test["calls"]:
            known = _of_call(call)
            for instrument in OF_CALLS:
                attributes = known | {"test.case.name": name} if instrument.is_ours else known
                if values := list(_values(call, instrument.field)):
                    readings[instrument][tuple(attributes.items())] += values
    return readings


def _values(call: Mapping[str, Any], field: str) -> Iterator[float]:
    if field == "first_chunk":
        yield from call["chunks"][:1]
    elif field == "chunk_gaps":
        yield from (round(later - earlier, 6) for earlier, later in pairwise(call["chunks"]))
    elif call[field] is not None:
        yield call[field]


def _metric(
    instrument: Instrument, readings: Mapping[tuple[tuple[str, Any], ...], list[float]], span: tuple[int, int]
) -> Any:
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        Histogram,
        HistogramDataPoint,
        Metric,
        NumberDataPoint,
        Sum,
    )

    # of one run that is sent once both are the same, but for what they are called
    preferred = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
    is_delta = preferred in ("delta", "lowmemory")
    temporality = AggregationTemporality.DELTA if is_delta else AggregationTemporality.CUMULATIVE
    first, last = span
    data: Any
    if instrument.bounds:
        data = Histogram(
            [
                HistogramDataPoint(
                    attributes=dict(attributes),
                    start_time_unix_nano=first,
                    time_unix_nano=last,
                    count=len(values),
                    sum=sum(values),
                    bucket_counts=_counts(values, instrument.bounds),
                    explicit_bounds=instrument.bounds,
                    min=min(values),
                    max=max(values),
                )
                for attributes, values in readings.items()
            ],
            temporality,
        )
    else:
        points = [
            NumberDataPoint(dict(attributes), first, last, sum(values)) for attributes, values in readings.items()
        ]
        data = Sum(points, temporality, is_monotonic=True)
    return Metric(instrument.name, instrument.text, instrument.unit, data)


def _counts(values: Iterable[float], bounds: Sequence[float]) -> list[int]:
    """Return how many values are in each bucket; a bound belongs to the bucket that it ends."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    return counts
