"""A cassette: one recording, and the JSON lines that it is stored in.

A recording is read strictly: a line or key that its version does not know is an error, not a
thing to skip, since a misspelt `"txet"` would otherwise change without a word what is replayed.
A new key or kind of line is a new version.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import UNSET, to_builtins

from pytest_claude_latency.atomic_files import replace_files
from pytest_claude_latency.cassettes.paths import path_of, samples
from pytest_claude_latency.cassettes.reader import (
    FORMAT,
    MAX_MICROSECONDS,
    VERSION,
    ChunkLine,
    ConnectLine,
    EndLine,
    Header,
    HeaderForms,
    RequestLine,
    ResponseLine,
    read,
    read_header,
)
from pytest_claude_latency.cassettes.secrets import refuse_credentials
from pytest_claude_latency.duration import MICROSECOND, Nanoseconds
from pytest_claude_latency.errors import CassetteError, CassetteWriteError, FileWriteError
from pytest_claude_latency.messages_api.exchange import Exchange, Headers, Request
from pytest_claude_latency.strict_json import JSONFaultError, Line, parse, read_text

# A prompt in Chinese is to be readable in a diff.
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_ASCII_ENCODER = json.JSONEncoder()


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The requests of one sample of one test, their answers, and when everything happened.

    `test` is the node id without the sample, `recorded` the moment the test began (`timestamp`), `client` the library
    that made the calls and its version (`"boto3 1.42.0"`). `samples` is the size of the set that it belongs to; None
    for a recording that is in no set, and where an old file does not say. `set_mark` is equal for all recordings of one
    set, None where the set has no other. Instants are kept to the microsecond.

    `anthropic="2.14.0"` is accepted for `client="anthropic 2.14.0"`: recordings of Anthropic's SDK were once the only
    ones.
    """

    test: str
    sample: int = 1
    recorded: str
    client: str = ""
    samples: int | None = None
    set_mark: str | None = None
    exchanges: tuple[Exchange, ...] = ()
    anthropic: InitVar[str | None] = None

    def __post_init__(self, anthropic: str | None) -> None:
        """Take the version of Anthropic's SDK where that was given."""
        if anthropic is not None:
            object.__setattr__(self, "client", f"anthropic {anthropic}".rstrip())

    @classmethod
    def load(cls, path: Path | str) -> Recording:
        """Return the recording in a file.

        Raises:
            CassetteError: there is no file, or it cannot be read: which line, and why.
        """
        path = Path(path)
        return loads(read_text(path, CassetteError), path)

    def save(self, path: Path | str) -> None:
        """Write the recording to a file, which appears complete or not at all. Missing folders are made.

        Raises:
            CredentialError: something in it looks like a credential; nothing was written.
            CassetteWriteError: it could not be written; what was there is still there.
        """
        refuse_credentials(self, self.test)
        _replace({Path(path): dumps(self)})


def timestamp(moment: datetime) -> str:
    """Return a moment as recordings keep it, in UTC to the millisecond: `"2026-11-22T11:30:00.000Z"`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def save_set(
    recordings: Sequence[Recording], test_file: Path, folder: str, test_id: str, *, keep_others: bool = False
) -> None:
    """Replace all samples of a test by these, as one set.

    Samples recorded earlier that are not among them are removed, unless `keep_others`. Each file says how many there
    are, and has the mark of the set, also one that is kept.

    Raises:
        CredentialError: something in one looks like a credential; nothing was written.
        CassetteWriteError: one could not be written; the old set is still there, complete.
    """
    for recording in recordings:
        refuse_credentials(recording, recording.test)
    written = {path_of(test_file, folder, test_id, recording.sample): recording for recording in recordings}
    earlier = [path for path in samples(test_file, folder, test_id) if path not in written]
    kept = {path: read_text(path, CassetteError) for path in earlier} if keep_others else {}
    size = len(written) + len(kept)
    # What joins a set gets its mark. A set that was mixed before stays mixed: then there are several marks.
    headers = [header_of(text, path)[1] for path, text in kept.items()]
    marks = {header.set for header in headers if header.set is not UNSET}
    mark = next(iter(marks)) if len(marks) == 1 else None
    if mark is None and size > 1:
        # a digest, so that the same recordings have the same mark whoever writes them
        contents = "".join([*map(dumps, written.values()), *kept.values()])
        mark = sha256(contents.encode(errors="surrogatepass")).hexdigest()[:8]
    texts = {path: dumps(replace(recording, samples=size, set_mark=mark)) for path, recording in written.items()}
    texts |= {path: joined(text, path, size, None if marks else mark) for path, text in kept.items()}
    _replace(texts, stale=[] if keep_others else earlier)


def _replace(texts: Mapping[Path, str], stale: Iterable[Path] = ()) -> None:
    try:
        replace_files(texts, stale)
    except FileWriteError as error:
        raise CassetteWriteError(error.path, error.reason) from error


def header_of(text: str, path: Path) -> tuple[dict[str, Any], Header]:
    """Return the first line of a recording, as it is written and as it is read. `path` is where it came from.

    Raises:
        CassetteError: the line cannot be read.
    """
    try:
        fact = parse(text.partition("\n")[0])
        fact = fact if isinstance(fact, dict) else {}
        return fact, read_header(fact)
    except JSONFaultError as fault:
        raise CassetteError(path, 1, str(fault)) from None


def first_line(path: Path) -> Header | None:
    """Return the first line of a file; `None` if it is not that of a recording, which whoever reads the file says."""
    try:
        with path.open("rb") as lines:
            return header_of(lines.readline().decode("utf-8", "surrogatepass"), path)[1]
    except (OSError, ValueError, CassetteError):
        return None


def joined(text: str, path: Path, size: int, mark: str | None) -> str:
    """Return the text of a recording whose set grew, with that mark where it was alone.

    All but the first line stays as it is written.

    A file of version 1 does not say to which set it belongs, so it stays as it is. `path` is where it came from.

    Raises:
        CassetteError: its first line cannot be read.
    """
    fact, header = header_of(text, path)
    # It has no place to say so, and what read it once must still read it.
    if header.version == 1:
        return text
    fact = {**fact, "samples": size} | ({} if mark is None else {"set": mark})
    _, newline, rest = text.partition("\n")
    return _encoded(fact) + newline + rest


def loads(text: str, path: Path) -> Recording:
    """Return the recording in `text`. `path` is where it came from, for messages.

    Raises:
        CassetteError: it cannot be read: which line, and why.
    """
    header, exchanges = read(text, path)
    return Recording(
        test=header.test,
        sample=header.sample,
        recorded=header.recorded,
        client=header.client,
        samples=header.samples or None,
        set_mark=header.set or None,
        exchanges=exchanges,
    )


def dumps(recording: Recording) -> str:
    """Return the recording as JSON lines.

    Raises:
        ValueError: it holds what no test can have recorded: an exchange without end, time that runs backwards.
    """
    lines: list[Line] = [
        Header(
            format=FORMAT,
            version=VERSION,
            test=recording.test,
            sample=recording.sample,
            recorded=recording.recorded,
            client=recording.client,
            samples=UNSET if recording.samples is None else recording.samples,
            set=UNSET if recording.set_mark is None else recording.set_mark,
        )
    ]
    _check_order([exchange.sent for exchange in recording.exchanges])
    for number, exchange in enumerate(recording.exchanges, 1):
        lines += _exchange_lines(number, exchange)
    return "".join(f"{_encoded(to_builtins(line))}\n" for line in lines)


def _encoded(fact: dict[str, Any]) -> str:
    encoded = _ENCODER.encode(fact)
    try:
        encoded.encode()
    except UnicodeEncodeError:  # half a surrogate pair: JSON can write it, UTF-8 cannot
        return _ASCII_ENCODER.encode(fact)
    return encoded


def _exchange_lines(number: int, exchange: Exchange) -> Iterator[Line]:
    request, connect, response, end = exchange.request, exchange.connect, exchange.response, exchange.end
    if end is None:
        raise ValueError(f"exchange {number} has no end: it is still under way")
    if exchange.chunks and response is None:
        raise ValueError(f"exchange {number} has a body and no response")
    heads = [head.at for head in (connect, response) if head is not None]
    _check_order([*heads, *(chunk.at for chunk in exchange.chunks), end.at])
    yield RequestLine(
        request=number,
        at=_milliseconds(exchange.sent),
        method=request.method,
        url=request.url,
        headers=_headers(request.headers),
        **_body(request),
    )
    if connect is not None:
        yield ConnectLine(connect=number, at=_milliseconds(connect.at), ms=_milliseconds(connect.duration))
    if response is not None:
        yield ResponseLine(
            response=number,
            at=_milliseconds(response.at),
            status=response.status,
            headers=_headers(response.headers),
            encoding=response.encoding or UNSET,
            late=_milliseconds(response.late) if response.late else UNSET,
        )
    for chunk in exchange.chunks:
        late = _milliseconds(chunk.late) if chunk.late else UNSET
        yield ChunkLine(chunk=number, at=_milliseconds(chunk.at), late=late, **_text("text", chunk.data))
    yield EndLine(
        end=number,
        at=_milliseconds(end.at),
        error=end.error or UNSET,
        closed=end.closed or UNSET,
        message=UNSET if end.message is None or not end.error else end.message,
    )


def _check_order(instants: list[Nanoseconds]) -> None:
    if instants != sorted(instants):
        raise ValueError("the instants of a recording never run backwards")


def _milliseconds(span: Nanoseconds) -> float:
    # Halves go up: `round` would take them to the even microsecond, sometimes up and sometimes down.
    microseconds = (span + MICROSECOND // 2) // MICROSECOND
    if not 0 <= microseconds <= MAX_MICROSECONDS:
        raise ValueError(f"{span} ns is not a time that a recording can hold")
    return microseconds / 1000  # up to the limit its shortest decimal form is exact


def _headers(headers: Headers) -> HeaderForms:
    by_name = dict(headers)  # holds each name once
    return by_name if len(by_name) == len(headers) else list(headers)


def _body(request: Request) -> dict[str, Any]:
    if not request.content:
        return {}
    try:
        value = parse(request.content.decode(errors="surrogatepass"))
        json.dumps(value, allow_nan=False)  # 1e999 is read as infinity
    except (ValueError, RecursionError):
        return _text("body", request.content)
    return {"json": value}


def _text(key: str, data: bytes) -> dict[str, Any]:
    try:
        return {key: data.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}
