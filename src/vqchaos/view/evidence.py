"""The first sign of a fault that somebody else made: the moment of injection of ``external``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vqchaos.history.events import (
    CANARY,
    PILOT,
    Event,
    HealthProbe,
    ProcessExited,
    ProcessStopped,
    Request,
)
from vqchaos.view.requests import stalled_at


def health_text(probe: HealthProbe) -> str:
    """What health said, in a word: ``200``, ``refused``."""
    return str(probe.status) if probe.status is not None else probe.error or "no answer"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Looks for signs from ``since`` on. ``usual`` is what health said before; ``stall`` gives a
    workload's stall limit."""

    since: float
    usual: str | None
    stall: Callable[[str], float]

    def of(self, event: Event) -> tuple[float, str] | None:
        """(moment, source) if this event is a sign, else None."""
        found: tuple[float, str] | None = None
        match event:
            case ProcessExited():
                found = (event.t, f"the {event.role} process exited")
            case ProcessStopped(stopped=True):
                found = (event.t, f"the {event.role} process was stopped")
            case HealthProbe():
                said = health_text(event)
                if said != (self.usual or "200"):
                    found = (event.t, f"health said {said}")
            case Request() if event.workload != CANARY:
                found = self._request(event)
            case _:
                pass
        return found if found is not None and found[0] >= self.since else None

    def _request(self, request: Request) -> tuple[float, str] | None:
        who = "pilot" if request.workload == PILOT else "client"
        stalled = stalled_at(request, self.stall(request.workload))
        failed = request.ended if request.outcome not in ("ok", "cancelled") else None
        if failed is not None and (stalled is None or failed < stalled or stalled < self.since):
            return (failed, f"a {who}'s request: {request.outcome}")
        return None if stalled is None else (stalled, f"a {who}'s request stalled")

    def first(self, events: Iterable[Event]) -> tuple[float, str] | None:
        """The earliest sign of all."""
        found = [sign for event in events if (sign := self.of(event)) is not None]
        return min(found, default=None)
