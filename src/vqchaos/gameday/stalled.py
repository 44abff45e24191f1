"""The end of a day whose terminal takes no more output: a write to it never returns, so neither
does the screen. Everything is reverted by then; what is left is the end of the minutes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable
from typing import Any

from vqchaos.runner.interrupts import Interrupts

_LOOK = 0.25  # seconds between two looks for a signal
PATIENCE = 3.0  # seconds that a screen has to close once the runs have ended


def leave(code: int) -> None:
    """Ends the process, whatever its other threads wait for."""
    os._exit(code)


class LastResort:
    """Watches from a thread of its own. Once the day was stopped from outside and its runs have
    ended, the screen has ``PATIENCE`` seconds; then ``end`` is called here (it writes what there
    is to write and returns the exit code), and the process ends."""

    def __init__(
        self, outer: Interrupts, runs_ended: Callable[[], None], end: Callable[[], int]
    ) -> None:
        self._outer = outer
        self._runs_ended = runs_ended
        self._end = end
        self._gone = threading.Event()  # the screen
        self._turn = threading.Lock()  # whoever has it ends the day
        self._terminal = _attributes()
        self._thread = threading.Thread(target=self._watch, name="gameday-end", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def screen_gone(self) -> None:
        """The screen has returned: its thread ends the day. Where this one has begun to, it does
        not return."""
        if self._turn.acquire(blocking=False):
            self._gone.set()
            return
        self._thread.join()
        raise SystemExit(128 + (self._outer.first or 0))

    def _watch(self) -> None:
        while self._outer.first is None:
            if self._gone.wait(_LOOK):
                return
        self._runs_ended()
        if self._gone.wait(PATIENCE) or not self._turn.acquire(blocking=False):
            return
        code = 128 + self._outer.first
        try:
            code = self._end()
        finally:
            _restore(self._terminal)
            leave(code)


def _attributes() -> list[Any] | None:
    try:
        return termios.tcgetattr(sys.stdin.fileno())
    except (termios.error, OSError, ValueError):
        return None


def _restore(attributes: list[Any] | None) -> None:
    """The terminal reads lines again; what is on it stays."""
    if attributes is None:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})  # from the background it would stop
    with contextlib.suppress(termios.error, OSError, ValueError):
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, attributes)
