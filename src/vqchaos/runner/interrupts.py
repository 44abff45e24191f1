"""Signals: the first one ends the run in good order, and nothing interrupts an undo.

Handlers only set a flag and wake the waiter. Code that may be interrupted calls ``check``; code
inside ``shield`` runs to its end, and the signal is honoured afterwards.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from vqchaos.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The signals that reached this process. ``wake`` is called from the handler's context."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.why = ""
        self.count = 0
        self.on_signal: Callable[[int, int], None] | None = None  # (signum, how many so far)
        self._shields = 0

    def receive(self, signum: int, _frame: FrameType | None = None) -> None:
        """The handler; tests call it directly."""
        self.count += 1
        if self.first is None:
            self.first = signum
        if self.on_signal is not None:
            self.on_signal(signum, self.count)

    def abort(self, why: str) -> None:
        """As SIGTERM, but somebody asked in words. From any thread."""
        self.why = why
        self.receive(signal.SIGTERM)

    def check(self) -> None:
        """Raise Interrupted if a signal came and no shield is up."""
        if self.first is not None and not self._shields:
            raise Interrupted(self.first, self.why)

    @property
    def pending(self) -> bool:
        return self.first is not None and not self._shields

    @property
    def shielded(self) -> bool:
        return self._shields > 0

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Inside, ``check`` never raises."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1

    @contextmanager
    def installed(self) -> Iterator[Interrupts]:
        """Handlers in place for SIGINT, SIGTERM and SIGHUP; the old ones come back at the end.
        Outside the main thread Python allows none: then only ``receive`` can interrupt."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        old = {number: signal.signal(number, self.receive) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
