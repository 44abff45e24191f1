"""Watches an experiment's ``abort_when`` while the run goes on, and ends it when one holds."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from vqchaos.errors import ExitCode, VqchaosError
from vqchaos.history.events import CANARY, PILOT, Event, Request
from vqchaos.stop_rules import AnyStopRule, StopAvailability
from vqchaos.units import format_duration, format_share

LEAST = 3  # requests in the window, to say anything of a share


class StopConditionMet(VqchaosError):
    """The run hurts more than its experiment allows."""

    exit_code = ExitCode.FAIL


class StopWatch:
    """A listener of the recorder; ``check`` is called in each of its waits. ``now`` gives seconds
    since the run's start, ``in_flight`` the requests that wait for an answer, by workload."""

    def __init__(
        self,
        rules: Sequence[AnyStopRule],
        now: Callable[[], float],
        in_flight: Callable[[], Mapping[str, int]],
    ) -> None:
        self._watched = [(rule, deque[Request]()) for rule in rules]
        self._now = now
        self._in_flight = in_flight
        self._since: float | None = None

    def load_begins(self) -> None:
        """From now on a window can fill."""
        self._since = self._now()

    def add(self, event: Event) -> None:
        if not isinstance(event, Request) or event.workload in (PILOT, CANARY):
            return
        if event.outcome == "cancelled":
            return
        for rule, window in self._watched:
            if rule.workload in (None, event.workload):
                window.append(event)

    def check(self) -> None:
        """Raises StopConditionMet."""
        if self._since is None:
            return
        now = self._now()
        for rule, window in self._watched:
            while window and window[0].known < now - rule.for_:
                window.popleft()
            if now - self._since < rule.for_:
                continue
            seen = self._seen(rule, list(window))
            if seen is not None:
                raise StopConditionMet(f"{rule.describe()}: it was {seen}")

    def _waiting(self, rule: AnyStopRule) -> int:
        """Requests of that workload, or of all, that wait for an answer."""
        flights = self._in_flight()
        return flights.get(rule.workload, 0) if rule.workload else sum(flights.values())

    def _seen(self, rule: AnyStopRule, window: list[Request]) -> str | None:
        """What was seen, if the rule holds."""
        answered = [r for r in window if r.outcome == "ok"]
        if isinstance(rule, StopAvailability):
            if not window and self._waiting(rule) > 0:
                return "0%, no request came to its end"
            share = len(answered) / len(window) if window else 1.0
            if len(window) < LEAST or share >= rule.below:
                return None
            return f"{format_share(share)} of {len(window)}"
        times = [
            r.first_token - r.sent
            for r in answered
            if r.first_token is not None and r.sent is not None
        ]
        median = statistics.median(times) if len(times) >= LEAST else 0.0
        return format_duration(median) if median > rule.above else None
