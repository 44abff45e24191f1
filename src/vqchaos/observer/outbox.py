"""Lines to standard output from a thread of their own: a reader that stands still must never stop
the event loop, whose clock is the measurement."""

from __future__ import annotations

import json
import os
import queue
import threading
from typing import Any

_END = None
_BATCH = 256


class Outbox:
    """``put`` never blocks. ``broken`` is set when nobody reads any more."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.broken = threading.Event()
        self._thread = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._thread.start()

    def put(self, message: dict[str, Any]) -> None:
        text = json.dumps(message, ensure_ascii=True, separators=(",", ":"))
        self._lines.put(text.encode() + b"\n")

    def close(self, timeout: float) -> bool:
        """Everything written, or the time is up; says which."""
        self._lines.put(_END)
        self._thread.join(timeout)
        return not self._thread.is_alive() and not self.broken.is_set()

    def _write(self) -> None:
        ended = False
        while not ended:
            batch = [self._lines.get()]
            while len(batch) < _BATCH and not self._lines.empty():
                batch.append(self._lines.get())
            ended = _END in batch
            data = memoryview(b"".join(line for line in batch if line is not None))
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError:
                self.broken.set()
                return
