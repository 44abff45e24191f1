"""Talking to a live runner from another terminal: one JSON line each way over a Unix socket.

The socket lies in the stack's state folder (0700) and takes the same user only. It is reached
through the folder's descriptor, because a socket's path may have 107 bytes at most.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAME = "control.sock"
_LIMIT = 64 * 1024
Handler = Callable[[dict[str, Any]], dict[str, Any]]


class NoAnswerError(Exception):
    """Nobody is there, or whoever is there does not answer in time."""


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{NAME}"
    finally:
        os.close(fd)


@contextmanager
def listening(folder: Path, handle: Handler) -> Iterator[None]:
    """Answer in a thread while the block runs. The caller holds the stack's lock, so a socket that
    lies there is a dead runner's."""
    (folder / NAME).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        with _short(folder) as path:
            server.bind(path)
        (folder / NAME).chmod(0o600)
        server.listen(8)
        thread = threading.Thread(target=_serve, args=(server, handle), daemon=True, name="control")
        thread.start()
        try:
            yield
        finally:
            (folder / NAME).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)  # wakes the thread
            thread.join(5.0)


def _serve(server: socket.socket, handle: Handler) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(5.0)
            if _uid(connection) != os.getuid():
                continue
            asked = json.loads(_line(connection))
            try:
                answer = handle(asked if isinstance(asked, dict) else {})
            except Exception as error:
                answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            connection.sendall(json.dumps(answer).encode() + b"\n")


def ask(folder: Path, request: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Raises NoAnswerError."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            with _short(folder) as path:
                client.connect(path)
            client.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(_line(client))
    except (OSError, ValueError) as error:
        raise NoAnswerError(str(error)) from error
    return answer if isinstance(answer, dict) else {}


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < _LIMIT:
        more = connection.recv(4096)
        if not more:
            break
        data += more
    return data


def _uid(connection: socket.socket) -> int:
    facts = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", facts)[1])
