"""Server-sent events: bytes in, events out, however the bytes are cut.

Follows the rules of the WHATWG: lines end in LF, CR or CRLF, a leading byte
order mark is dropped, and an event counts only when its blank line has come.
An answer that is cut off before that line ends without its last event here, as
it does in the SDK. Fields that no latency depends on (`id`, `retry`) are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, final

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event. `name` is None where the stream gave none; `data` is its data lines, joined by LF."""

    name: str | None
    data: str


@final
class Decoder:
    """Turns the bytes of one stream into its events.

    The time it takes is linear in the bytes fed, however they are cut: an unfinished
    line is kept in the pieces it came in and joined once, when its end arrives.
    """

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        self._after_cr = False  # the last line ended in CR: an LF that opens the next bytes belongs to it
        self._at_start = True
        self._name: str | None = None
        self._data: list[str] = []

    def feed(self, data: bytes) -> Iterable[Event]:
        """Return the events that these bytes complete, in order."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if not data:
            return []
        lines = data.splitlines()  # of bytes: at LF, CR and CRLF only
        rest = b"" if data.endswith((b"\n", b"\r")) else lines.pop()
        if lines and self._unfinished:
            lines[0] = b"".join([*self._unfinished, lines[0]])
            self._unfinished.clear()
        if lines and self._at_start:
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
            self._at_start = False
        if rest:
            self._unfinished.append(rest)
        self._after_cr = data.endswith(b"\r")
        events: list[Event] = []
        for line in lines:
            if not line:  # the event is complete; without data it is none
                if self._data:
                    events.append(Event(self._name, "\n".join(self._data)))
                    self._data.clear()
                self._name = None
                continue
            field, _, value = line.partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" ").decode("utf-8", "replace"))
            elif field == b"event":
                self._name = value.removeprefix(b" ").decode("utf-8", "replace") or None
        return events
