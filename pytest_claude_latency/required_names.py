"""The names of other packages, some of them private, without which requests are not met or replays are not exact.

They are checked in one place, before anything is patched. So a version without one of them gives one clear error for
every latency test, and nothing runs half patched.
"""

from __future__ import annotations

import dis
import importlib
import sys
from types import CodeType
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
    "anthropic": (
        *("Anthropic.auth_headers", "AsyncAnthropic.auth_headers", "DefaultHttpxClient"),
        *("Anthropic._custom_headers", "AsyncAnthropic._custom_headers"),
    ),
    "anthropic._base_client": ("random",),  # the jitter of its back-off, which a replay pins
}
_GOOGLE_CLOUD: Final[_Modules] = {
    # A client takes its project from the machine's credentials, which a replay does not need.
    "anthropic.lib.google_cloud._client": (
        "BaseGoogleCloudClient._resolve_deferred_base_url",
        "BaseGoogleCloudClient._prepare_url",
        *("AnthropicGoogleCloud._base_url_deferred", "AnthropicGoogleCloud._project"),
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
        f"ResponseHandler.{name}" for name in ("data_received", "feed_data", "set_exception", "close", "_should_close")
    ),
    "aiohttp.client_reqrep": ("ClientRequest._continue",),
    "aiohttp.connector": ("BaseConnector._conns", "Connection._connector"),
    "aiohttp.streams": ("StreamReader._wait", "StreamReader._protocol"),
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
    "botocore.auth": ("SigV4Auth.add_auth",),
    "botocore.credentials": (
        *("DeferredRefreshableCredentials", "InstanceMetadataProvider.load", "InstanceMetadataProvider._role_fetcher"),
    ),
    "botocore.retries.standard": ("ExponentialBackoff.delay_amount",),
    "botocore.session": ("Session.create_client", "Session._credentials"),
    "botocore.signers": ("RequestSigner.sign", "RequestSigner._choose_signer"),
}
_AIOBOTOCORE = {
    "aiobotocore.credentials": ("AioDeferredRefreshableCredentials", "AioInstanceMetadataProvider.load"),
    "aiobotocore.session": ("AioSession._create_client",),
    "aiobotocore.signers": ("AioRequestSigner.sign", "AioRequestSigner._choose_signer"),
}

# A transport over aiohttp says in a table what it calls aiohttp's errors, and a replay raises them by it.
TRANSPORTS_OVER_AIOHTTP: Final = {
    "anthropic._vendor.httpx_aiohttp.transport": "anthropic 2.14, over aiohttp",
    "httpx_aiohttp.transport": "httpx-aiohttp 0.1.9",
    "litellm.llms.custom_httpx.aiohttp_transport": "litellm 1.110, over aiohttp",
    "openai._vendor.httpx_aiohttp.transport": "openai 3.57, over aiohttp",
}
"""The modules that have such a table, with the versions that were tried."""

_THREADS: Final[_Modules] = {
    "threading": (
        *("_active", "_RLock", "Thread._bootstrap_inner", "Thread._started", "Thread._target"),
        *("Condition._waiters", "Condition._is_owned", "Condition._release_save", "Condition._acquire_restore"),
    ),
}
_POOLS_OF_THREADS: Final[_Modules] = {
    "concurrent.futures.thread": (
        *("_worker", "_WorkItem"),
        *(
            f"ThreadPoolExecutor.{name}"
            for name in ("_threads", "_work_queue", "_shutdown", "_shutdown_lock", "_initializer_failed")
        ),
    ),
}
_ASYNCIO: Final[_Modules] = {
    "asyncio.base_events": tuple(
        f"BaseEventLoop.{name}"
        for name in (
            *("__init__", "time", "call_soon_threadsafe"),
            *("_ready", "_stopping", "_scheduled", "_thread_id", "_clock_resolution"),
        )
    ),
    "asyncio.events": (
        *("_get_running_loop", "_set_running_loop", "TimerHandle._when"),
        *("Handle._callback", "Handle._args", "Handle._cancelled", "Handle._source_traceback"),
    ),
}
_TRIO = {
    "trio._core._run": (
        *("SystemClock", "GLOBAL_RUN_CONTEXT", "_MAX_TIMEOUT", "_r", "unrolled_run"),
        *("TheIOManager.get_events", "TheIOManager.process_events", "TheIOManager.force_wakeup"),
        # Windows has neither: there a run waits otherwise.
        *(() if sys.platform == "win32" else ("TheIOManager._registered", "TheIOManager._force_wakeup")),
        *("Task._abort_func", "Task._attempt_abort", "Task._next_send_fn"),
        *("Runner.runq", "Runner.is_guest", "Runner.ki_pending", "Runner.entry_queue", "Runner.io_manager"),
    ),
    "trio._core._thread_cache": ("ThreadCache.start_thread_soon",),
    "trio._core._wakeup_socketpair": ("WakeupSocketpair.__init__", "WakeupSocketpair.wakeup_thread_and_signal_safe"),
}
_PYTEST = {
    "_pytest.nodes": ("Item._report_sections",),
    "_pytest.python": ("Function._fixtureinfo", "Function._initrequest"),
    "_pytest.runner": ("runtestprotocol",),
    "_pytest.stash": ("Stash._storage",),
    "_pytest.unittest": ("TestCaseFunction._excinfo", "TestCaseFunction._getinstance"),
}

_REQUIRED: Final[dict[str, tuple[str, _Modules]]] = {
    "pytest": ("pytest 8.2 to 9.2", _PYTEST),
    # The modules of asyncio are checked one by one, each when it is imported.
    "asyncio.base_events": ("Python 3.11 to 3.14", _ASYNCIO),
    "asyncio.selector_events": (
        "Python 3.11 to 3.14, selectors",
        {
            "asyncio.selector_events": tuple(
                f"BaseSelectorEventLoop.{name}" for name in ("_write_to_self", "_selector", "_ssock")
            )
        },
    ),
    "asyncio.proactor_events": (
        "Python 3.11 to 3.14, proactors",
        {"asyncio.proactor_events": ("BaseProactorEventLoop._write_to_self",)},
    ),
    "threading": ("Python 3.11 to 3.14, threads", _THREADS),
    "concurrent.futures.thread": ("Python 3.11 to 3.14, pools", _POOLS_OF_THREADS),
    "multiprocessing.connection": (
        "Python 3.11 to 3.14, connections of processes",
        {"multiprocessing.connection": ("_ConnectionBase",)},
    ),
    "multiprocessing.synchronize": (
        "Python 3.11 to 3.14, locks of processes",
        {"multiprocessing.synchronize": ("SemLock._make_methods",)},
    ),
    "http.client": (
        "Python 3.11 to 3.14, HTTP",
        {"http.client": tuple(f"HTTPConnection.{name}" for name in ("_get_hostport", "_tunnel_host", "_tunnel_port"))},
    ),
    "ssl": ("Python 3.11 to 3.14, certificates", {"ssl": ("SSLContext._wrap_bio", "SSLContext._wrap_socket")}),
    "freezegun.api": (
        "freezegun 1.5",
        {"freezegun.api": ("_real_time_object_ids", "_GLOBAL_MODULES_CACHE")},
    ),
    "trio": ("trio 0.27 to 0.35", _TRIO),
    "anthropic": ("anthropic 0.93 to 2.14", _SDK),
    "anthropic.lib.google_cloud": ("anthropic 0.125 to 2.14, on Google Cloud", _GOOGLE_CLOUD),
    "respx": ("respx 0.22 and 0.23", _RESPX),
    "httpx": ("httpx 0.25 to 0.28", {"httpx": _CLIENTS, "httpcore": _POOLS}),
    "httpx2": ("httpx2 2.16", {"httpx2": _CLIENTS, "httpcore2": _POOLS}),
    "aiohttp": ("aiohttp 3.10 to 3.14", _AIOHTTP),
    "urllib3": ("urllib3 1.26 to 2.8", _URLLIB3),
    "botocore": ("botocore 1.34 to 1.44", _BOTOCORE),
    "aiobotocore": ("aiobotocore 2.25 to 3.10", _AIOBOTOCORE),
    **{module: (versions, {module: ("AIOHTTP_EXC_MAP",)}) for module, versions in TRANSPORTS_OVER_AIOHTTP.items()},
}
"""For each package, or part of one: the versions that were tried, and the names by module."""

_NO_CODE: Final = (lambda: None).__code__

_MISSING: Final = "has no {names}, which this plugin needs"
_BROKEN: Final = "cannot be imported ({error})"
_REMEDY: Final = (
    "{package} {version} {wrong}; supported: {supported}. Nothing was patched; install a supported version, or a newer "
    "pytest-claude-latency"
)


def check(package: str) -> None:
    """Make sure that a package has all names that are needed. One that is not listed needs none here.

    Raises:
        InterceptionError: it lacks a name, or cannot be imported; the message has its version and what is supported.
    """
    supported, modules = _REQUIRED.get(package, ("", {}))
    try:
        for module in modules:
            importlib.import_module(module)
    except Exception as error:  # a package may meet anything in a version of another one that it was not made for
        if not (isinstance(error, ModuleNotFoundError) and error.name in modules):
            raise _unsupported(package, _BROKEN.format(error=error), supported) from error
    missing = [f"{module}.{name}" for module, names in modules.items() for name in names if not _has(module, name)]
    if missing:
        names = ", ".join(missing[:2])
        if len(missing) > 2:
            names += f" and {len(missing) - 2} more names"
        raise _unsupported(package, _MISSING.format(names=names), supported)


def _unsupported(package: str, wrong: str, supported: str) -> InterceptionError:
    from importlib.metadata import PackageNotFoundError, version  # it imports much, such as sockets

    distribution = package.partition(".")[0]
    try:
        installed = version(distribution)
    except PackageNotFoundError:
        is_pythons = distribution in sys.stdlib_module_names
        installed = f"of Python {sys.version.split()[0]}" if is_pythons else "of an unknown version"
    text = _REMEDY.format(package=distribution, version=installed, wrong=wrong, supported=supported)
    return InterceptionError(text)


def are_there(package: str) -> bool:
    """Return whether a package has all names that are needed."""
    return all(_has(module, name) for module, names in _REQUIRED[package][1].items() for name in names)


def _has(module: str, name: str) -> bool:
    """Return whether a module has a name. An attribute that a class gives its objects when it makes them counts."""
    try:
        value: object = importlib.import_module(module)
    except Exception:  # as in `check`
        return False
    for step in name.split("."):
        if not hasattr(value, step):
            return isinstance(value, type) and _gives(value, step)
        value = getattr(value, step)
    return True


def _gives(cls: type, name: str) -> bool:
    """Return whether a class gives its objects an attribute: in a constructor, or in a method that one calls."""
    # Its code names what it assigns, so no object is made only to look at it.
    constructors = [vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base)]
    named = {step for constructor in constructors for step in _code_of(constructor).co_names}
    return name in named or any(_assigns(getattr(cls, step, None), name) for step in named)


def _assigns(function: object, name: str) -> bool:
    code = _code_of(function)
    if name not in code.co_names:
        return False
    return any(step.opname == "STORE_ATTR" and step.argval == name for step in dis.get_instructions(code))


def _code_of(function: object) -> CodeType:
    """Return the code of a function; of one that wraps another, the code of that one. Others have none."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else _NO_CODE
