"""The checks that a change must pass. `nox` runs them all, `nox --list` names them, `nox -s lint` runs one.

Each Python and each line of the SDK gets one run of the tests, which is what 25 minutes on two cores allow. The run on
the newest of both is the README's own command, and there the slow tests run too. The workflow on GitHub runs all tests
on every pair.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LOWEST = "lowest"
SDK_LINES = {LOWEST: LOWEST, "anthropic-0": "anthropic<1", "anthropic-1": "anthropic<2", "newest": "anthropic"}

CLIENTS = {
    "aioboto3": ["aioboto3"],
    "anthropic_vertex": ["anthropic[vertex]"],
    "dspy": ["dspy"],
    "instructor": ["instructor[anthropic]"],
    "langchain_anthropic": ["langchain-anthropic"],
    "langchain_aws": ["langchain-aws"],
    "litellm": ["litellm", "google-auth"],
    "openai": ["openai"],
    "openai_agents": ["openai-agents[litellm]"],
    "pydantic_ai": ["pydantic-ai-slim[anthropic,bedrock]"],
    "smolagents": ["smolagents[litellm]"],
    "strands": ["strands-agents"],
    "playback": ["vcrpy", "pytest-recording", "pytest-httpx", "responses", "requests-mock", "hishel", "moto"],
    "playback_older": [
        *("vcrpy<8", "pytest-recording", "responses<0.25", "aioresponses", "aiohttp<3.14"),
        *("httpretty", "urllib3<2.3"),
    ],
}
"""What the environment of each client library needs; the tests are in `tests/clients/test_NAME.py`."""

MONITORS = (
    "prometheus-client",
    "sentry-sdk",
    "newrelic",
    "ddtrace",
    "opentelemetry-instrumentation-threading",
    "pytest-freezer",
    "pytest-mock",
)
PATCHED = (
    "anthropic",
    "httpx<1",
    "respx",
    "aiohttp",
    "urllib3",
    "botocore",
    "pytest",
    "pytest-asyncio",
    "trio",
    "anyio",
)
"""The packages whose private names are used, or whose hooks are."""
LICENCES = ("Apache", "BSD", "MIT", "MPL", "Mozilla Public License 2.0", "PSF", "Python Software Foundation", "ISC")
"""What a dependency may be licensed under: none of these asks anything of the programs that use it."""

OWN_NAME = "pytest-claude-latency"

README_COMMAND = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)

nox.needs_version = ">=2025.2.9"
nox.options.error_on_missing_interpreters = False  # the results at the end say which Pythons were skipped
nox.options.download_python = "never"


def use_pythons_of_pyenv() -> None:
    """Put each Python of pyenv on PATH: the commands that pyenv puts there refuse the versions that are not chosen."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    folders = [str(folder) for python in PYTHONS for folder in versions.glob(f"{python}.*/bin")]
    os.environ["PATH"] = os.pathsep.join([*reversed(folders), os.environ["PATH"]])


def is_installed(python: str) -> bool:
    """Return whether this Python runs and can make the environments of the README's commands."""
    command = shutil.which(f"python{python}")
    return command is not None and not subprocess.run([command, "-c", "import ensurepip, venv"], check=False).returncode


use_pythons_of_pyenv()
INSTALLED = [python for python in PYTHONS if is_installed(python)]


def planned_tests() -> list[str]:
    """Return one session of tests for each Python and each line of the SDK; README's command is the newest of both."""
    older_lines = [line for line in SDK_LINES if line != "newest"]
    pairs = [(INSTALLED[number % len(INSTALLED)], line) for number, line in enumerate(older_lines)]
    pairs += [(python, "newest") for python in INSTALLED[len(older_lines) : -1]]
    pairs += [(python, "newest") for python in PYTHONS if python not in INSTALLED]  # nox reports each as skipped
    return [f"tests-{python}({line})" for python, line in pairs]


nox.options.sessions = ["lint", "docs", "browser", "urllib3_1", *planned_tests(), "slow", "readme"]


def lowest_requirements() -> list[str]:
    """Return the oldest versions that `pyproject.toml` allows users to have."""
    dependencies: list[str] = nox.project.load_toml("pyproject.toml")["project"]["dependencies"]
    return [dependency.replace(">=", "==") for dependency in dependencies]


@nox.session(python=PYTHONS)
@nox.parametrize("sdk", list(SDK_LINES.values()), ids=list(SDK_LINES))
def tests(session: nox.Session, sdk: str) -> None:
    """Run the tests on one Python with one line of the SDK; the slow ones too with `-- -m ''`."""
    session.install("--editable", ".[test]", *(lowest_requirements() if sdk == LOWEST else [sdk]))
    session.run("python", "-m", "pip", "list", "--format=freeze")
    # fewer examples of each property: what differs here is the software, which any example meets
    session.env["PROPERTY_TESTS"] = "again"
    session.run("python", "-m", "pytest", "-n", "auto", *session.posargs)


@nox.session(python=INSTALLED[-1])
def slow(session: nox.Session) -> None:
    """Run the slow tests, and each property with all of its examples, with the newest SDK."""
    session.install("--editable", ".[test]", SDK_LINES["newest"])
    session.env["PROPERTY_TESTS"] = "thorough"
    session.run("python", "-m", "pytest", "-n", "auto", "-m", "slow or hypothesis", *session.posargs)


@nox.session
def urllib3_1(session: nox.Session) -> None:
    """Run the tests of everything that sends through urllib3 with its older line."""
    session.install("--editable", ".[test]", "urllib3<2")
    files = ("http/test_urllib3_door.py", "plugin/test_bedrock_by_boto3.py", "plugin/test_requests.py")
    session.run("python", "-m", "pytest", *(f"tests/{file}" for file in files), *session.posargs)


@nox.session(venv_backend="none")
def readme(session: nox.Session) -> None:
    """Run the two commands of the README as they are printed, with the newest Python for `python3`."""
    for command in README_COMMAND.findall(Path("README.md").read_text("utf-8")):
        session.log(command.rstrip())
        newest = f'python3() {{ command python{INSTALLED[-1]} "$@"; }}'
        session.run("bash", "-euo", "pipefail", "-c", f"{newest}\n{command}", external=True, silent=False)


@nox.session
@nox.parametrize("client", list(CLIENTS), ids=list(CLIENTS))
def clients(session: nox.Session, client: str) -> None:
    """Test a client library that is too large for every environment, or at odds with another, in one of its own."""
    session.install("--editable", ".[test]", *CLIENTS[client])
    session.run("python", "-m", "pip", "list", "--format=freeze")
    file = f"tests/clients/test_{client.removesuffix('_older')}.py"
    session.run("python", "-m", "pytest", "-m", "", file, *session.posargs)


@nox.session(python=PYTHONS)
def cpython(session: nox.Session) -> None:
    """Run CPython's own tests of tasks, threads, queues and selectors twice, the second time in virtual time."""
    session.install("--editable", ".[test]", SDK_LINES["newest"])
    session.run("python", "-m", "tests.cpython", *session.posargs)


@nox.session
@nox.parametrize("patcher", ["gevent", "eventlet"])
def patchers(session: nox.Session, patcher: str) -> None:
    """Test a library that patches the whole process, in an environment of its own."""
    session.install("--editable", ".[test]", patcher)
    # eventlet's own resolver imports trio next to h2, which fails on eventlet's sockets, with this package or without.
    session.env["EVENTLET_NO_GREENDNS"] = "yes"
    session.run("python", "-m", "pytest", "-k", patcher, "tests/virtual_time/test_greenlets.py", *session.posargs)


@nox.session
def monitors(session: nox.Session) -> None:
    """Test what the page on virtual time says about libraries that no other test needs."""
    session.install("--editable", ".[test]", *MONITORS)
    # Datadog's plugin for pytest would patch this very run.
    session.run("python", "-m", "pytest", "-pno:ddtrace", "tests/virtual_time/test_other_packages.py", *session.posargs)


@nox.session(python=PYTHONS[-2])
def prereleases(session: nox.Session) -> None:
    """Run the tests with the newest releases of everything that is patched, those that are still tried out included."""
    session.install("--editable", ".[test]")
    session.install("--upgrade", "--pre", *PATCHED)
    session.run("python", "-m", "pip", "list", "--format=freeze")
    session.env["PROPERTY_TESTS"] = "again"
    session.run("python", "-m", "pytest", "-n", "auto", "-m", "", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Check what the package brings along: known vulnerabilities, and licences."""
    session.install(".", "pip-audit", "pip-licenses")
    session.run("pip-licenses", "--from=mixed", "--partial-match", f"--allow-only={';'.join(LICENCES)}")
    report = Path(session.create_tmp(), "audit.json")
    session.run("pip-audit", "--local", "--skip-editable", "--format=json", f"--output={report}")
    # pip-audit ends well too, and says that it found nothing, where it could ask nobody, for example without a network.
    audited = [found for found in json.loads(report.read_text("utf-8"))["dependencies"] if found["name"] != OWN_NAME]
    unknown = {found["name"]: found["skip_reason"] for found in audited if "skip_reason" in found}
    if unknown:
        counts = f"{len(unknown)} of {len(audited)} packages"
        message = f"vulnerabilities of {counts} were NOT looked up: {', '.join(unknown)}"
        session.warn(next(iter(unknown.values())))
        # a machine without a network is told; the workflow has one, so there it is an error, as is a part of them
        is_offline = len(unknown) == len(audited) and "GITHUB_ACTIONS" not in os.environ
        (session.skip if is_offline else session.error)(message)


@nox.session
def build(session: nox.Session) -> None:
    """Build the distributions twice: both times they have the same bytes, whose hashes are printed."""
    session.install("build")
    hashes = []
    for _ in range(2):
        folder = Path(session.create_tmp(), "dist")
        shutil.rmtree(folder, ignore_errors=True)
        session.run("python", "-m", "build", "--outdir", str(folder), env={"SOURCE_DATE_EPOCH": "1767225600"})
        hashes.append({path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())})
    if hashes[0] != hashes[1]:
        session.error(f"two builds differ: {hashes}")
    for name, digest in hashes[0].items():
        session.log(f"sha256 {digest}  {name}")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Read damaged files, run odd commands and whole suites: only errors of our own may come out."""
    session.install("--editable", ".[test]")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Test the HTML report in a real Chromium: Debian's, or else Playwright's own."""
    session.install("--editable", ".[test]", "playwright", "pytest-html")
    browsers = ("chromium", "chromium-browser", "google-chrome")
    if not any(map(shutil.which, browsers)) and shutil.which("apt-get"):
        session.run("apt-get", "install", "--yes", "chromium", external=True, success_codes=range(256), silent=True)
    if not any(map(shutil.which, browsers)):
        session.skip("no Chromium: the page is not tested in a browser")
    session.run("python", "-m", "pytest", "-m", "", "-rs", "tests/browser", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, types and the directions of imports."""
    session.install("--editable", ".[test,lint]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a broken link is an error."""
    session.install(".[docs]")
    session.run(
        "mkdocs", "build", "--quiet", "--strict", "--site-dir", session.create_tmp(), env={"NO_MKDOCS_2_WARNING": "1"}
    )
