"""Time: the monotonic clock of this machine, and a manual one for tests.

All moments in vqchaos are ``CLOCK_MONOTONIC`` seconds, which every process of the machine shares;
a run's events hold them relative to the run's start.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What code needs to know about time."""

    def now(self) -> float:
        """Monotonic seconds."""

    def wall(self) -> float:
        """Unix seconds; only ever for people and for deadlines that outlive a boot."""

    def sleep(self, seconds: float) -> None:
        """Wait; never negative."""


class RealClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that moves only when told, or by being slept on. ``on_sleep`` sees each step."""

    def __init__(self, start: float = 1000.0, wall: float = 1_800_000_000.0) -> None:
        self._now = start
        self._wall_offset = wall - start
        self.on_sleep: Callable[[float], None] | None = None

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now + self._wall_offset

    def sleep(self, seconds: float) -> None:
        self._now += max(0.0, seconds)
        if self.on_sleep is not None:
            self.on_sleep(self._now)

    def advance(self, seconds: float) -> None:
        """Move time on without anybody sleeping."""
        self._now += seconds


def wait_until(
    condition: Callable[[], bool], timeout: float, clock: Clock, *, every: float = 0.05
) -> bool:
    """Poll ``condition`` until it holds or ``timeout`` seconds passed; say whether it held."""
    deadline = clock.now() + timeout
    while not condition():
        if clock.now() >= deadline:
            return False
        clock.sleep(min(every, max(0.0, deadline - clock.now())))
    return True
