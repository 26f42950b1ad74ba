"""The names of other packages, some of them private, without which requests are not met or replays are not exact.

They are checked in one place, before anything is patched. So a version without one of them gives one clear error for
every latency test, and nothing runs half patched.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Final, TypeAlias

from pytest_claude_latency.errors import InterceptionError

_Modules: TypeAlias = dict[str, tuple[str, ...]]
"""Names by the module that has them."""

_CLIENTS = (
    "Client._send_single_request",
    "Client._transport_for_url",
    "AsyncClient._send_single_request",
    "AsyncClient._transport_for_url",
    "HTTPTransport.handle_request",
    "AsyncHTTPTransport.handle_async_request",
    "MockTransport",
    "ASGITransport",
    "WSGITransport",
    "SyncByteStream",
    "AsyncByteStream",
    "TransportError",
    "DecodingError",
    "PoolTimeout",
    "UnsupportedProtocol",
)

# A replay opens no connection, so it asks the pool how many requests the client would let be under way.
_POOLS = tuple(
    f"{pool}.{name}"
    for pool in ("ConnectionPool", "AsyncConnectionPool")
    for name in ("connections", "_max_connections", "_http1", "_http2", "_requests")
)

_SDK = {
    "anthropic": ("Anthropic.auth_headers", "AsyncAnthropic.auth_headers", "DefaultHttpxClient"),
    "anthropic._base_client": ("random",),  # the jitter of its back-off, which a replay pins
}
_GOOGLE_CLOUD: Final[_Modules] = {
    # A client takes its project from the machine's credentials, which a replay does not need.
    "anthropic.lib.google_cloud._client": (
        "BaseGoogleCloudClient._resolve_deferred_base_url",
        "BaseGoogleCloudClient._prepare_url",
        "_GoogleCredentialsState.token",
    ),
}
_RESPX = {
    "respx.mocks": tuple(
        f"Mocker.{name}" for name in ("registry", "register", "unregister", "start", "stop", "handler", "async_handler")
    ),
    "respx.models": ("PassThrough",),
    "respx.transports": ("TryTransport",),
}
_AIOHTTP = {
    "aiohttp": ("ClientSession._request", "BaseConnector.connect", "BaseConnector._create_connection"),
    "aiohttp.helpers": ("ceil",),  # it rounds long time-outs up to a second of the loop's clock, which begins by chance
    "aiohttp.client_proto": tuple(
        f"ResponseHandler.{name}" for name in ("data_received", "feed_data", "set_exception", "close")
    ),
    "aiohttp.streams": ("StreamReader._wait",),
}
_URLLIB3 = {
    "urllib3.connection": (
        "HTTPConnection.connect",
        "HTTPConnection.getresponse",
        "HTTPConnection.response_class",
        "HTTPSConnection.connect",
    ),
    "urllib3.connectionpool": (
        "HTTPConnectionPool.urlopen",
        "HTTPConnectionPool._make_request",
        "HTTPConnectionPool._put_conn",  # `urlopen` loses a connection whose request fails as a full pool does
        "HTTPSConnectionPool._prepare_proxy",
    ),
    "urllib3.poolmanager": ("PoolManager.urlopen",),
}
_BOTOCORE = {
    # Missing credentials end a call before it is sent, so what a replay answers is not signed.
    "botocore": ("UNSIGNED",),
    "botocore.credentials": ("DeferredRefreshableCredentials", "InstanceMetadataProvider.load"),
    "botocore.retries.standard": ("ExponentialBackoff.delay_amount",),
    "botocore.session": ("Session.create_client",),
    "botocore.signers": ("RequestSigner.sign", "RequestSigner._choose_signer"),
}
_AIOBOTOCORE = {
    "aiobotocore.credentials": ("AioDeferredRefreshableCredentials", "AioInstanceMetadataProvider.load"),
    "aiobotocore.session": ("AioSession._create_client",),
    "aiobotocore.signers": ("AioRequestSigner.sign", "AioRequestSigner._choose_signer"),
}

_REQUIRED: Final[dict[str, tuple[str, _Modules]]] = {
    "anthropic": ("anthropic 0.93 to 2.14", _SDK),
    "anthropic.lib.google_cloud": ("anthropic 0.125 to 2.14, on Google Cloud", _GOOGLE_CLOUD),
    "respx": ("respx 0.22 and 0.23", _RESPX),
    "httpx": ("httpx 0.25 to 0.28", {"httpx": _CLIENTS, "httpcore": _POOLS}),
    "httpx2": ("httpx2 2.16", {"httpx2": _CLIENTS, "httpcore2": _POOLS}),
    "aiohttp": ("aiohttp 3.10 to 3.14", _AIOHTTP),
    "urllib3": ("urllib3 1.26 to 2.8", _URLLIB3),
    "botocore": ("botocore 1.34 to 1.44", _BOTOCORE),
    "aiobotocore": ("aiobotocore 3.10", _AIOBOTOCORE),
}
"""For each package, or part of one: the versions that were tried, and the names by module."""

_MISSING: Final = (
    "{package} {version} has no {names}, which this plugin needs; supported: {supported}. Nothing was patched; "
    "install a supported version, or a newer pytest-claude-latency"
)


def check(package: str) -> None:
    """Make sure that a package has all names that are needed. One that is not listed needs none here.

    Raises:
        InterceptionError: it lacks a name; the message has its version and what is supported.
    """
    supported, modules = _REQUIRED.get(package, ("", {}))
    missing = [f"{module}.{name}" for module, names in modules.items() for name in names if not _has(module, name)]
    if missing:
        distribution = package.partition(".")[0]
        try:
            installed = version(distribution)
        except PackageNotFoundError:
            installed = "of an unknown version"
        names = ", ".join(missing[:2])
        if len(missing) > 2:
            names += f" and {len(missing) - 2} more names"
        raise InterceptionError(
            _MISSING.format(package=distribution, version=installed, names=names, supported=supported)
        )


def _has(module: str, name: str) -> bool:
    """Return whether a module has a name. An attribute that a class gives its objects when it makes them counts."""
    try:
        value: object = importlib.import_module(module)
    except ImportError:
        return False
    for step in name.split("."):
        if not hasattr(value, step):
            # Its code names what it assigns, so no object is made only to look at it.
            make = getattr(value, "__init__", None)
            return isinstance(value, type) and step in getattr(getattr(make, "__code__", None), "co_names", ())
        value = getattr(value, step)
    return True
