"""Everything seen in a run goes through here: to the history, to the live figures, to whoever
waits for it. Called by the runner and by the observer's reader thread."""

from __future__ import annotations

import statistics
import threading
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

from vqchaos.clock import Clock
from vqchaos.history.events import PILOT, Event, HealthProbe, Request
from vqchaos.history.store import Writer
from vqchaos.runner.interrupts import Interrupts
from vqchaos.runner.progress import Progress, Snapshot

_TICK = 0.1
_RECENT = 2.0


class Recorder:
    """The history of one run while it grows. ``origin`` is the raw monotonic second of t = 0."""

    def __init__(
        self, path: Path, clock: Clock, interrupts: Interrupts, progress: Progress
    ) -> None:
        self.clock = clock
        self.origin = clock.now()
        self.interrupts = interrupts
        self.progress = progress
        self.phase = "preflight"
        self.in_flight: Callable[[], int] = lambda: 0
        self.guard: Callable[[], None] = lambda: None  # raises to end the run
        self.listeners: list[Callable[[Event], None]] = []
        self.problem: Exception | None = None  # raised by a listener or a failed write
        self._writer = Writer(path)
        self._changed = threading.Condition()
        self._phase_started = 0.0
        self._phase_limit: float | None = None
        self._sent = 0
        self._outcomes: Counter[str] = Counter()
        self._recent: deque[Request] = deque(maxlen=20_000)
        self._health = "?"
        self._pilot = "?"

    def t(self) -> float:
        """Seconds since the run's start."""
        return self.clock.now() - self.origin

    def emit(self, event: Event) -> None:
        """Into the history, then to the listeners; wakes ``wait``."""
        with self._changed:
            try:
                self._writer.write(event)
                for listener in self.listeners:
                    listener(event)
            except Exception as error:
                self.problem = self.problem or error
            self._count(event)
            self._changed.notify_all()

    def _count(self, event: Event) -> None:
        if isinstance(event, Request):
            if event.workload == PILOT:
                self._pilot = "served" if event.outcome == "ok" else event.outcome
            else:
                self._sent += 1
                self._outcomes[event.outcome] += 1
                self._recent.append(event)
        elif isinstance(event, HealthProbe):
            self._health = str(event.status) if event.status is not None else event.error

    def watch(self, listener: Callable[[Event], None], instead_of: Callable[[Event], None]) -> None:
        """From the next event on ``listener`` hears what ``instead_of`` heard; none is lost if
        ``listener`` was made of what the other kept, under this recorder's lock."""
        self.listeners[self.listeners.index(instead_of)] = listener

    @property
    def lock(self) -> threading.Condition:
        """While it is held, no event is recorded."""
        return self._changed

    def begin_phase(self, phase: str, limit: float | None) -> None:
        """For the live figures; the event itself is the caller's."""
        self.phase = phase
        self._phase_started = self.t()
        self._phase_limit = limit
        self._outcomes = Counter()
        self.progress.phase(phase, limit, self._phase_started)

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Until ``condition`` holds or ``timeout`` seconds passed; says whether it held.

        Shows progress meanwhile. Raises Interrupted, or whatever went wrong with the history.
        """
        deadline = self.clock.now() + timeout
        while True:
            self.check()
            if self.problem is not None:
                raise self.problem
            if condition():
                return True
            left = deadline - self.clock.now()
            if left <= 0:
                return False
            self.progress.tick(self.snapshot())
            with self._changed:
                self._changed.wait(min(_TICK, left))

    def check(self) -> None:
        """Raises what ends the run: a signal, or a stop condition that is met."""
        self.interrupts.check()
        if not self.interrupts.shielded:
            self.guard()

    def sleep(self, seconds: float) -> None:
        """A wait for nothing but time."""
        self.wait(lambda: False, seconds)

    def snapshot(self) -> Snapshot:
        now = self.t()
        with self._changed:
            recent = [r for r in self._recent if r.ended >= now - _RECENT]
            ttfts = [
                r.first_token - r.sent
                for r in recent
                if r.first_token is not None and r.sent is not None
            ]
            return Snapshot(
                t=now,
                phase=self.phase,
                phase_started=self._phase_started,
                phase_limit=self._phase_limit,
                sent=self._sent,
                in_flight=self.in_flight(),
                outcomes=dict(self._outcomes),
                recent_rate=len(recent) / _RECENT,
                recent_ok=sum(r.outcome == "ok" for r in recent) / len(recent) if recent else None,
                recent_ttft=statistics.median(ttfts) if ttfts else None,
                health=self._health,
                pilot=self._pilot,
            )

    def close(self) -> None:
        self._writer.close()
