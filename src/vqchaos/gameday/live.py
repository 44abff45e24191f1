"""What the session of a game day knows of a step and of the run that is made, and who makes it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from vqchaos.runner.progress import Snapshot

_SERIES = 600  # seconds of the live charts


@dataclass(frozen=True, slots=True)
class StepFacts:
    """One step of the plan, as the session needs it. ``pause``: what people do by hand; empty for
    a step with an experiment."""

    name: str
    title: str = ""
    hypothesis: str = ""
    ask: str = ""
    pause: str = ""
    repeats: int = 1


class Hands(Protocol):
    """Who makes the runs, in a thread of its own."""

    def start(self, step: int) -> None:
        """Begin the runs of step ``step``, counted from 0; the feed tells how they go."""

    def abort(self) -> float:
        """Revert every fault and end the step's runs. Returns at once; from any thread. The
        monotonic second when that was first asked, by this or by a signal."""

    def in_force(self) -> int | None:
        """How many faults the ledger has in force; None if it cannot be read."""

    def note(self, text: str, at: float | None = None) -> bool:
        """Into the history of the run that is being made; False if there is none."""


@dataclass
class Live:
    """The run that is being made. Moments in monotonic seconds."""

    number: int = 1
    of: int = 1
    phase: str = ""
    limit: float | None = None
    snapshot: Snapshot | None = None
    injected_at: float | None = None
    in_force: set[str] = field(default_factory=set)
    reverted: bool = False  # something was in force and is not any more
    people_at: float | None = None
    people: str = ""  # who saw it
    probe_at: float | None = None
    probe_text: str = ""
    aborted_at: float | None = None  # the key, or the signal
    reverted_after: float | None = None  # seconds from there to an empty ledger
    series: deque[tuple[float | None, float, float | None]] = field(
        default_factory=lambda: deque(maxlen=_SERIES)
    )  # a second each: share of ok, errors a second, first token in seconds
    sampled: int = -1

    def since(self, at: float | None) -> float | None:
        """Seconds from the injection to ``at``."""
        return None if at is None or self.injected_at is None else at - self.injected_at
