"""Names of other packages that are needed: one that is missing is named before anything is patched."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import anthropic._base_client
import botocore.session
import botocore.signers
import pytest
from urllib3.connectionpool import HTTPConnectionPool

from pytest_claude_latency import required_names
from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.changes.sdk import SDKPatches
from pytest_claude_latency.http.interception import Interception
from pytest_claude_latency.http.library import HTTPLibrary

LIBRARY = HTTPLibrary.of_sdk()


@pytest.mark.parametrize(
    "package",
    [
        *("anthropic", "respx", LIBRARY.name, "urllib3", "botocore", "aiohttp", "trio", "freezegun.api"),
        *(name for name, (supported, _) in required_names._REQUIRED.items() if supported.startswith("Python")),
        "a package that needs nothing",
    ],
)
def test_installed_versions_have_all_that_is_needed(package: str) -> None:
    required_names.check(package)


def test_a_missing_name_is_told_with_the_version_and_what_is_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(anthropic._base_client, "random")

    with pytest.raises(InterceptionError) as told:
        required_names.check("anthropic")

    assert f"anthropic {anthropic.__version__} has no anthropic._base_client.random" in str(told.value)
    assert "supported: anthropic 0.93 to " in str(told.value)


def test_an_attribute_that_a_class_no_longer_gives_its_objects_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    core = importlib.import_module(LIBRARY.name.replace("httpx", "httpcore"))
    monkeypatch.setattr(core.ConnectionPool, "__init__", lambda pool: None)

    with pytest.raises(InterceptionError, match=r"ConnectionPool\._max_connections, "):
        required_names.check(LIBRARY.name)


def test_a_package_that_cannot_be_imported_is_told_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # as respx with httpx 1.0
    (tmp_path / "broken_by_another.py").write_text("import httpx\nhttpx.NoSuchTransport\n")
    monkeypatch.syspath_prepend(tmp_path)
    modules = {"broken_by_another": ("Name",)}
    monkeypatch.setitem(required_names._REQUIRED, "broken_by_another", ("versions", modules))

    with pytest.raises(InterceptionError) as told:
        required_names.check("broken_by_another")

    assert not required_names.are_there("broken_by_another")
    assert "broken_by_another of an unknown version cannot be imported (module 'httpx' has no attribute" in str(
        told.value
    )
    assert "supported: versions. Nothing was patched" in str(told.value)


def test_nothing_is_patched_by_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    before = vars(LIBRARY.module.Client)["_send_single_request"]
    monkeypatch.delattr(anthropic._base_client, "random")

    with pytest.raises(InterceptionError):
        Interception(lambda: None).start()

    assert vars(LIBRARY.module.Client)["_send_single_request"] is before


def test_no_name_is_imported_before_it_is_known_to_be_there() -> None:
    asked = "import pytest_claude_latency.http.interception, sys; print('respx' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True).stdout == b"False\n"


def test_many_missing_names_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_send_single_request", "_transport_for_url"):
        monkeypatch.delattr(LIBRARY.module.Client, name)
        monkeypatch.delattr(LIBRARY.module.AsyncClient, name)

    with pytest.raises(
        InterceptionError, match=r"Client\._transport_for_url and 2 more names, which this plugin needs"
    ):
        required_names.check(LIBRARY.name)


@contextmanager
def intercepting() -> Iterator[Interception]:
    """Intercept requests in this block."""
    interception = Interception(lambda: None)
    interception.start()
    try:
        yield interception
    finally:
        interception.stop()


def test_a_client_library_without_its_seam_is_told_when_interception_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(LIBRARY.module.Client, "_send_single_request")

    with (
        intercepting() as interception,
        pytest.raises(InterceptionError, match=f"{LIBRARY.name} .* has no {LIBRARY.name}.Client._send_single"),
    ):
        interception.prove()


@pytest.mark.parametrize("name", required_names.TRANSPORTS_OVER_AIOHTTP)
def test_a_transport_over_aiohttp_without_its_table_of_errors_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, ModuleType(name))

    with (
        intercepting() as interception,
        pytest.raises(InterceptionError, match=rf"has no {name}\.AIOHTTP_EXC_MAP, which this plugin needs"),
    ):
        interception.prove()


def test_a_botocore_without_its_seam_is_told_when_it_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(botocore.signers.RequestSigner, "_choose_signer")
    patches = SDKPatches(replaying=lambda: True, keyless=lambda: None)
    patches.start()

    try:
        with pytest.raises(
            InterceptionError, match=r"botocore .* has no botocore.signers.RequestSigner._choose_signer"
        ):
            patches.prove()
    finally:
        patches.stop()


WITHOUT_A_NAME = """
import sys
from types import FunctionType

from pytest_claude_latency.errors import InterceptionError
from pytest_claude_latency.http.changes.sdk import SDKPatches
from pytest_claude_latency.http.interception import Interception
from pytest_claude_latency.virtual_time.patches.import_hook import on_import

on_import({{"{module}": lambda module: delattr(module.{owner}, "{name}")}})
if "{when}" == "early":
    import {library}
interception, patches = Interception(lambda: None), SDKPatches(lambda: True, lambda: None)
interception.start()
patches.start()
import {library}

for prove in (interception.prove, patches.prove):
    try:
        prove()
    except InterceptionError as error:
        print(error)
for name, module in sys.modules.items():
    if name.partition(".")[0] != "{library}".partition(".")[0]:
        continue
    classes = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == name]
    for owner in (module, *classes):
        for value in vars(owner).values():
            if isinstance(value, FunctionType) and "pytest_claude_latency" in value.__code__.co_filename:
                print("patched:", value)
            if type(value).__module__.startswith("pytest_claude_latency"):
                print("patched:", value)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize(
    ("library", "module", "owner", "name"),
    [
        ("botocore.session", "botocore.signers", "RequestSigner", "_choose_signer"),
        ("urllib3", "urllib3.connectionpool", "HTTPConnectionPool", "_make_request"),
        ("aiohttp", "aiohttp.streams", "StreamReader", "_wait"),
    ],
)
def test_a_library_without_one_name_stays_as_it_is_and_one_line_says_so(
    library: str, module: str, owner: str, name: str, when: str
) -> None:
    program = WITHOUT_A_NAME.format(library=library, module=module, owner=owner, name=name, when=when)

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    package = library.partition(".")[0]
    (line,) = run.stdout.splitlines()
    assert re.fullmatch(
        rf"{package} \S+ has no {module}\.{owner}\.{name}, which this plugin needs; supported: {package} .*", line
    )


def test_what_was_patched_before_an_installation_failed_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = vars(HTTPConnectionPool)["urlopen"]

    monkeypatch.setattr("pytest_claude_latency.http.doors.urllib3.HTTPSConnectionPool", object())

    with intercepting() as interception:
        with pytest.raises(InterceptionError, match="requests of this version of urllib3 cannot be intercepted"):
            interception.prove()
        assert vars(HTTPConnectionPool)["urlopen"] is before


@pytest.mark.parametrize("package", required_names._REQUIRED)
def test_the_table_of_the_documentation_has_all_names(package: str) -> None:
    page = Path(__file__).parents[1] / "docs" / "architecture.md"
    supported, modules = required_names._REQUIRED[package]

    (row,) = [line for line in page.read_text("utf-8").splitlines() if line.startswith(f"| {supported} |")]

    listed = "; ".join(f"`{module}`: {', '.join(f'`{name}`' for name in names)}" for module, names in modules.items())
    assert row == f"| {supported} | {listed} |"


EXCEPTIONS = {
    "_getframe": "sys documents it",
    "_current_frames": "sys documents it",
    "_call_func": "looked for first: a portal of anyio without it ends after a miss",
    "_channel": "of grpc, which keeps a target in one of two places",
    "_idlist": "of pytest, whose class has another name in each version; pytest's own row fails where items are other",
    "_get_hub": "of gevent, whose waits are refused",
    "_has_connected_to_proxy": "only set, for urllib3 1.26 and later; a version without it does not read it",
    "_parser": "of re, from which the module cannot be imported without it",
    "_constants": "of re, in the same way",
}
"""Private names of others that the code uses and the table does not list, each with the reason."""
ROOT = Path(required_names.__file__).parent


def private_names(tree: ast.Module) -> Iterator[str]:
    """Yield the private names that a module uses without asking first whether they are there."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name):
                yield name
            case ast.ImportFrom(module=str(module), names=names) if not module.startswith("pytest_claude_latency"):
                yield from (alias.name for alias in names)
            # the methods that `Patches` wraps
            case ast.Call(func=ast.Attribute(attr="wraps"), args=[ast.Constant(value=str(path))]):
                yield path.rpartition(".")[2]


def test_the_table_has_each_private_name_that_the_code_uses() -> None:
    trees = [ast.parse(path.read_text("utf-8")) for path in ROOT.rglob("*.py")]
    own = {name for tree in trees for node in ast.walk(tree) for name in defined(node)}
    listed = {
        step
        for _, modules in required_names._REQUIRED.values()
        for module, names in modules.items()
        for path in (module, *names)
        for step in path.split(".")
    }

    used = {name for tree in trees for name in private_names(tree) if re.match("_[^_]", name)}

    assert used - own - listed - set(EXCEPTIONS) == set()
    assert set(EXCEPTIONS) - used == set()


def defined(node: ast.AST) -> list[str]:
    """Return the names that a node gives to something of the package."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Name(id=name, ctx=ast.Store()):
            return [name]
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
            return [name]
    return []
