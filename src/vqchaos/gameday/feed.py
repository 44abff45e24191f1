"""What the thread that makes the runs tells the session: small values in a queue, never a call, so
that a screen that hangs cannot hold up an undo."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from vqchaos.errors import VqchaosError
from vqchaos.history.events import (
    PILOT,
    Event,
    FaultInjected,
    FaultRecorded,
    FaultUndone,
    HealthProbe,
    ProcessExited,
    ProcessStopped,
    Request,
    RunStarted,
)
from vqchaos.runner.progress import Snapshot
from vqchaos.view.evidence import health_text


@dataclass(frozen=True, slots=True)
class RunBegan:
    experiment: str
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Filed:
    """The run has begun its history in the folder ``dir``, beside the day's."""

    dir: str


@dataclass(frozen=True, slots=True)
class PhaseBegan:
    name: str
    limit: float | None
    t: float


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    t: float | None


@dataclass(frozen=True, slots=True)
class Tick:
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Recorded:
    """A fault is in the ledger: from now on it may be in force."""

    fault: str


@dataclass(frozen=True, slots=True)
class Injected:
    """``at`` in monotonic seconds, as everywhere here."""

    fault: str
    at: float


@dataclass(frozen=True, slots=True)
class Undone:
    """``at``: when that was known. ``left``: how many faults the ledger has in force then; None if
    it could not be read."""

    fault: str
    answer: str
    at: float
    left: int | None


@dataclass(frozen=True, slots=True)
class Probed:
    """The first thing that a probe saw after the injection."""

    text: str
    at: float


@dataclass(frozen=True, slots=True)
class RunOver:
    verdict: dict[str, Any]
    folder: Path


@dataclass(frozen=True, slots=True)
class StepOver:
    """The step's runs have ended. ``error``: why one could not begin."""

    error: VqchaosError | None = None


Item = (
    RunBegan
    | Filed
    | PhaseBegan
    | Said
    | Tick
    | Recorded
    | Injected
    | Undone
    | Probed
    | RunOver
    | StepOver
)


class Feed:
    """A ``Progress`` and a listener to events, both of which fill the queue. Called by the
    runner's threads; ``drain`` by the session's."""

    def __init__(self, now: Callable[[], float], in_force: Callable[[], int]) -> None:
        self._queue: SimpleQueue[Item] = SimpleQueue()
        self._now = now
        self._in_force = in_force
        self._origin = 0.0
        self._injected: float | None = None
        self._probed = False
        self._usual: str | None = None  # what health said last before the injection

    def put(self, item: Item) -> None:
        self._queue.put(item)

    def drain(self) -> list[Item]:
        """What came since the last time."""
        items: list[Item] = []
        with contextlib.suppress(Empty):
            while True:
                items.append(self._queue.get_nowait())
        return items

    # ---------------------------------------------------------------- Progress

    def run_started(self, experiment: str, title: str, number: int, of: int) -> None:
        del title  # the session has it from the plan
        self._injected, self._probed, self._usual = None, False, None
        self.put(RunBegan(experiment, number, of))

    def phase(self, name: str, limit: float | None, t: float) -> None:
        self.put(PhaseBegan(name, limit, t))

    def said(self, text: str, t: float | None = None) -> None:
        self.put(Said(text, t))

    def tick(self, snapshot: Snapshot) -> None:
        self.put(Tick(snapshot))

    def run_ended(self, verdict: dict[str, Any], folder: Path) -> None:
        self.put(RunOver(verdict, folder))

    # ---------------------------------------------------------------- events

    def heard(self, event: Event) -> None:
        """Under the recorder's lock: quick, and it never raises."""
        match event:
            case RunStarted():
                self._origin = event.started_mono
                self.put(Filed(event.run))
            case HealthProbe() if self._injected is None:
                self._usual = health_text(event)
            case FaultRecorded():
                self.put(Recorded(event.fault))
            case FaultInjected():
                if self._injected is None:
                    self._injected = event.t
                self.put(Injected(event.fault, self._origin + event.t))
            case FaultUndone():
                left: int | None = None
                with contextlib.suppress(VqchaosError, OSError):
                    left = self._in_force()
                self.put(Undone(event.fault, event.answer, self._now(), left))
            case _ if self._injected is not None and not self._probed:
                text = _sign(event, self._usual or "200")
                if text and event.t >= self._injected:
                    self._probed = True
                    self.put(Probed(text, self._origin + event.t))


def _sign(event: Event, usual: str) -> str:
    """What a probe saw that the stack did not show before; empty if nothing. ``usual``: what
    health said then."""
    match event:
        case HealthProbe() if health_text(event) != usual:
            return f"health {health_text(event)}"
        case Request() if event.workload == PILOT and event.outcome not in ("ok", "cancelled"):
            return f"the pilot's request: {event.outcome}"
        case ProcessExited():
            return f"{event.role} process exited"
        case ProcessStopped() if event.stopped:
            return f"{event.role} process stopped"
    return ""
