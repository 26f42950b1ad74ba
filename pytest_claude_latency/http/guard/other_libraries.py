"""Libraries that connect in C code or through a proxy, where no event tells whereto: each at its own function.

libcurl (`pycurl`, `curl_cffi`) and gRPC raise no audit event. A connection through a SOCKS proxy goes to the
proxy, so the library that speaks to it is asked where it leads.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from typing import Any, Final

from pytest_claude_latency.http.guard import judging
from pytest_claude_latency.http.guard.hosts import destination_of
from pytest_claude_latency.virtual_time.patches.patching import replace_copies, wrap

_TARGET: Final = re.compile(r"(?:dns:(?://[^/]*/)?|ipv[46]:)?/*(?P<host>\[.+\]|[^:]+)(?::(?P<port>\d+))?")
"""The name of a server as gRPC takes it."""
_PORT_OF_GRPC: Final = 443


def _judge_url(url: Any, library: str) -> None:
    """Judge a request that libcurl is about to send, in the frame that called what is patched."""
    text = url.decode("utf-8", "replace") if isinstance(url, bytes) else str(url)
    destination = destination_of(text if "://" in text else f"http://{text}")
    if destination is not None:
        judging.judge(*destination, sys._getframe(3), library)


def _pycurl(module: Any) -> None:
    """Put classes of our own in the place of pycurl's, which cannot be patched, wherever they were imported to."""

    def judge(handle: Any) -> None:
        _judge_url(handle.getinfo(module.EFFECTIVE_URL), "pycurl")

    def judging_class(kind: Any, methods: tuple[str, ...]) -> Any:
        def judged(name: str) -> Callable[..., Any]:
            original = getattr(kind, name)

            @functools.wraps(original)
            def method(self: Any, *args: Any) -> Any:
                judge(args[0] if name == "add_handle" else self)
                return original(self, *args)

            return method

        return type(kind.__name__, (kind,), {name: judged(name) for name in methods if hasattr(kind, name)})

    replaced = {
        kind: judging_class(kind, methods)
        for name, methods in _OF_PYCURL.items()
        if isinstance(kind := getattr(module, name, None), type)
    }
    replace_copies(replaced)  # a module that has run `from pycurl import Curl` keeps the class


_OF_PYCURL: Final = {
    "Curl": ("perform", "perform_rb", "perform_rs"),
    "CurlMulti": ("add_handle",),
    "AsyncCurlMulti": ("add_handle",),
}


def _curl_cffi(module: Any) -> None:
    # Asked for its URL only as it is sent: a handle is set up by several calls, in any order, and is used again.
    def perform(original: Any, curl: Any, *args: Any, **kwargs: Any) -> Any:
        _judge_url(curl.getinfo(module.CurlInfo.EFFECTIVE_URL), "curl_cffi")
        return original(curl, *args, **kwargs)

    wrap(module.Curl, "perform", perform)


def _curl_cffi_async(module: Any) -> None:
    def add_handle(original: Any, multi: Any, curl: Any, *args: Any, **kwargs: Any) -> Any:
        _judge_url(curl.getinfo(module.CurlInfo.EFFECTIVE_URL), "curl_cffi")
        return original(multi, curl, *args, **kwargs)

    wrap(module.AsyncCurl, "add_handle", add_handle)


def _grpc(module: Any) -> None:
    """Judge each call, and not each channel: one may be older than the test, and connects when it is first used."""

    def call(original: Any, method: Any, *args: Any, **kwargs: Any) -> Any:
        target = method._target if hasattr(method, "_target") else method._channel.target
        target = target() if callable(target) else target  # a method of a channel, an attribute of an async one
        text = target.decode("utf-8", "replace") if isinstance(target, bytes) else target
        if (match := _TARGET.fullmatch(text)) is not None:
            judging.judge(match["host"], int(match["port"] or _PORT_OF_GRPC), sys._getframe(2), "grpc")
        return original(method, *args, **kwargs)

    kinds = [kind for name, kind in vars(module).items() if name.endswith("MultiCallable") and isinstance(kind, type)]
    for kind in kinds:
        for name in ("__call__", "with_call", "future"):
            if name in vars(kind):
                wrap(kind, name, call)


def _pysocks(module: Any) -> None:
    # The event of the connection names the proxy, and what is said to that is read by nobody else.
    def connect(original: Any, connecting: Any, destination: Any, *args: Any, **kwargs: Any) -> Any:
        judging.judge(destination[0], destination[1], sys._getframe(2), "socks")
        return original(connecting, destination, *args, **kwargs)

    wrap(module.socksocket, "connect", connect)


def _python_socks(module: Any) -> None:
    def connect(original: Any, proxy: Any, dest_host: Any, dest_port: Any, *args: Any, **kwargs: Any) -> Any:
        judging.judge(dest_host, dest_port, sys._getframe(2), "python_socks")
        return original(proxy, dest_host, dest_port, *args, **kwargs)

    wrap(module.Proxy, "connect", connect)


LIBRARIES: dict[str, Callable[[Any], None]] = {
    "pycurl": _pycurl,
    "curl_cffi.curl": _curl_cffi,
    "curl_cffi.aio": _curl_cffi_async,
    "grpc._channel": _grpc,
    "grpc.aio._channel": _grpc,
    "socks": _pysocks,
    **{
        f"python_socks.{kind}{version}": _python_socks
        for kind in ("sync", "async_.asyncio", "async_.trio", "async_.anyio")
        for version in ("", ".v2")
    },
}
