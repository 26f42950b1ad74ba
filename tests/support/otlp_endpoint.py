"""An OTLP/HTTP endpoint on 127.0.0.1 that decodes what it gets with the official protobufs."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_KINDS: dict[str, Any] = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}


@final
class OtlpEndpoint:
    """What an endpoint got so far. `status` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.url = ""
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        """The path, the headers and the decoded body of each request."""

    def bodies(self, path: str) -> list[Any]:
        """The decoded bodies of the requests to a path."""
        return [body for found, _, body in self.requests if found == path]

    @property
    def spans(self) -> list[Any]:
        """All spans, in their order."""
        resources = [one for body in self.bodies("/v1/traces") for one in body.resource_spans]
        return [span for one in resources for scope in one.scope_spans for span in scope.spans]

    @property
    def metrics(self) -> dict[str, Any]:
        """All metrics by name."""
        resources = [one for body in self.bodies("/v1/metrics") for one in body.resource_metrics]
        return {metric.name: metric for one in resources for scope in one.scope_metrics for metric in scope.metrics}


@contextmanager
def serving() -> Iterator[OtlpEndpoint]:
    """Serve until the end of the block."""
    endpoint = OtlpEndpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                data = gzip.decompress(data)
            headers = {name.lower(): value for name, value in self.headers.items()}
            endpoint.requests.append((self.path, headers, _KINDS[self.path].FromString(data)))
            self.send_response(endpoint.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def told(attributes: Any) -> dict[str, Any]:
    """Attributes as plain values."""
    values = {}
    for attribute in attributes:
        kind = attribute.value.WhichOneof("value")
        value = getattr(attribute.value, kind)
        values[attribute.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return values
