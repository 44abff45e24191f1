"""Histories on disk: one JSON object a line, appended and flushed as things happen."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import TracebackType

from vqchaos.history.events import SCHEMA, Event, RunStarted, decode, encode


class HistoryError(ValueError):
    """A history cannot be read: not ours, or newer than this version."""


class Writer:
    """Appends events; safe to call from several threads. Each line is flushed to the kernel, so
    that a killed runner loses nothing that was written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("x", encoding="utf-8")

    def write(self, event: Event) -> None:
        line = json.dumps(encode(event), ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")
                self._file.flush()

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read(path: Path) -> list[Event]:
    """All events of a history in file order. A cut last line is ignored.

    Raises HistoryError if the file is not a history or is from a newer vqchaos.
    """
    events: list[Event] = []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            try:
                event = decode(json.loads(line))
            except (ValueError, TypeError, AttributeError) as error:
                if not line.endswith("\n"):
                    break
                raise HistoryError(f"{path}:{number}: not an event: {error}") from error
            if event is not None:
                events.append(event)
    if not events or not isinstance(events[0], RunStarted):
        raise HistoryError(f"{path}: not a history: its first line is no run.started")
    if events[0].schema > SCHEMA:
        raise HistoryError(
            f"{path}: written by vqchaos {events[0].vqchaos_version} in history schema "
            f"{events[0].schema}; this version reads up to {SCHEMA}"
        )
    return events
