"""A timer that is not rounded up to whole milliseconds, as the event loop's own are: half a
millisecond of lateness for each request, on average."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import Callable
from typing import Any

_FLAGS = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)  # TFD_NONBLOCK, TFD_CLOEXEC
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME


class _Times(ctypes.Structure):
    """``struct itimerspec``: no repetition, and when."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns")]


def _library() -> Any:
    """The C library, where it has Linux's timers that are files; else None."""
    with contextlib.suppress(OSError):
        library = ctypes.CDLL(None, use_errno=True)
        if hasattr(library, "timerfd_create") and hasattr(library, "timerfd_settime"):
            return library
    return None


class Alarm:
    """Calls ``ring`` once for each ``set``, at a raw monotonic second. Lives inside a running event
    loop; falls back to its timers where there is no better one. ``close`` it in the end."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._library = _library()
        self._fd = -1
        if self._library is not None:
            self._fd = self._library.timerfd_create(time.CLOCK_MONOTONIC, _FLAGS)
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._rang)

    def set(self, at: float) -> None:
        """Ring then, or at once if that is past; instead of what was set before."""
        if self._fd < 0:
            self.cancel()
            self._handle = self._loop.call_at(at, self._ring)
        else:
            self._set(max(1, round(at * 1e9)))

    def cancel(self) -> None:
        """Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._fd >= 0:
            self._set(0)

    def close(self) -> None:
        """Idempotent."""
        self.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _set(self, ns: int) -> None:
        times = _Times(0, 0, *divmod(ns, 1_000_000_000))
        if self._library.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(times), None) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def _rang(self) -> None:
        try:
            os.read(self._fd, 8)
        except OSError:
            return  # set anew, cancelled or closed since the loop was woken
        self._ring()
