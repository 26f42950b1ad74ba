"""Pairs of UNIX sockets: which socket is the other end of one?

Only the kernel knows. On Linux it answers through a socket of its own kind, to
which programs such as `ss` send the same question.
"""

from __future__ import annotations

import _socket
import socket
import struct
from contextlib import closing

_KIND = 4  # NETLINK_SOCK_DIAG: questions about sockets
_QUESTION, _IS_REQUEST = 20, 1  # SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST
_ANY_STATE, _SHOW_PEER, _NO_COOKIE = 0xFFFFFFFF, 4, 0xFFFFFFFF
_PEER = 2  # UNIX_DIAG_PEER: the attribute of the answer

_HEADER = struct.Struct("=IHHII")  # its length with all that follows, its type, flags, number and sender
_REQUEST = struct.Struct("=BBHIIIII")  # family, protocol, padding, states, inode, what to show, a cookie of two parts
_ANSWER = struct.Struct("=BBBBIII")  # before its attributes
_ATTRIBUTE = struct.Struct("=HH")  # its length and type


def peer_of(inode: int) -> int | None:
    """Return the inode of the other end of the UNIX socket with this inode; None where that is not known."""
    body = _REQUEST.pack(socket.AF_UNIX, 0, 0, _ANY_STATE, inode, _SHOW_PEER, _NO_COOKIE, _NO_COOKIE)
    try:
        with closing(_socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _KIND)) as kernel:
            kernel.settimeout(1)
            kernel.send(_HEADER.pack(_HEADER.size + len(body), _QUESTION, _IS_REQUEST, 1, 0) + body)
            answer = kernel.recv(4096)
    except (AttributeError, OSError):  # not Linux, or a container that forbids it
        return None
    if len(answer) < _HEADER.size or _HEADER.unpack_from(answer)[1] != _QUESTION:
        return None  # an error, for example: no such socket
    place = _HEADER.size + _ANSWER.size
    while place + _ATTRIBUTE.size <= len(answer):
        length, kind = _ATTRIBUTE.unpack_from(answer, place)
        if kind == _PEER and length >= _ATTRIBUTE.size + 4:
            return int(struct.unpack_from("=I", answer, place + _ATTRIBUTE.size)[0])
        if length < _ATTRIBUTE.size:
            break
        place += (length + 3) & ~3
    return None
