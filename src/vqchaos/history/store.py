"""Histories on disk: one JSON object a line, appended and flushed as things happen."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from vqchaos.history.coding import encode
from vqchaos.history.events import SCHEMA, Event, RunStarted
from vqchaos.history.history import History


class HistoryError(ValueError):
    """A history cannot be read: not ours, or newer than this version."""


class Writer:
    """Appends events; safe to call from several threads. Each line goes straight to the kernel, so
    that a killed runner loses nothing that was written. A line that a full disk took in part is
    cut off again: what follows once there is room stays readable."""

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        """A new history, or with ``resume`` one whose runner is dead. Raises OSError."""
        self.path = path
        self._lock = threading.Lock()
        new = 0 if resume else os.O_CREAT | os.O_EXCL
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | new, 0o600)
        self._open = True
        if resume:
            _end_torn_line(path, self._fd)
        self._size = os.fstat(self._fd).st_size

    def write(self, event: Event) -> None:
        line = json.dumps(encode(event), ensure_ascii=False, separators=(",", ":")) + "\n"
        data = line.encode()
        with self._lock:
            if not self._open:
                return
            rest = data
            try:
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self._size)
                raise
            self._size += len(data)

    def close(self) -> None:
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._fd)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _end_torn_line(path: Path, fd: int) -> None:
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        os.ftruncate(fd, data.rfind(b"\n") + 1)


def read(path: Path) -> History:
    """All events of a history in file order. A cut last line is ignored.

    Raises HistoryError if the file is not a history or is from a newer vqchaos.
    """
    with uncollected():
        history = _read(path)
    first = history[0] if history else None
    if not isinstance(first, RunStarted):
        raise HistoryError(f"{path}: not a history: its first line is no run.started")
    if first.schema > SCHEMA:
        raise HistoryError(
            f"{path}: written by vqchaos {first.vqchaos_version} in history schema "
            f"{first.schema}; this version reads up to {SCHEMA}"
        )
    return history


def _read(path: Path) -> History:
    history = History()
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                history.append_json(_parsed(line))
            except (ValueError, TypeError, AttributeError, OverflowError) as error:
                if not line.endswith(b"\n"):
                    break
                raise HistoryError(f"{path}:{number}: not an event: {error}") from error
    return history


def _parsed(line: bytes) -> Any:
    """What orjson is too strict for (NaN, half a surrogate, bytes that are no UTF-8), the standard
    library reads."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return json.loads(line.decode("utf-8", "replace"))


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without the cycle collector: events hold no cycles, and looking for some among millions is
    half of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
