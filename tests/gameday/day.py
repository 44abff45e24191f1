"""A game day without a stack: hands that make no runs, a clock that stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.report import verdicts
from vqchaos.clock import ManualClock
from vqchaos.experiment.gameday import GameDay
from vqchaos.gameday.feed import Feed, Injected, Recorded, RunBegan, RunOver, StepOver, Undone
from vqchaos.gameday.live import StepFacts
from vqchaos.gameday.minutes import Minutes
from vqchaos.gameday.play import Table
from vqchaos.gameday.session import Session
from vqchaos.runner.interrupts import Interrupts

STEPS = (
    StepFacts("gather", pause="Open the dashboards"),
    StepFacts("hang", "The engine hangs", "health says so within five seconds", "Who sees it?"),
    StepFacts("slow", "All is slow", "nothing fails", repeats=2),
)


@dataclass
class FakeHands:
    """Implements ``live.Hands``."""

    now: Callable[[], float]
    did: list[str] = field(default_factory=list)
    notes: list[tuple[str, float | None]] = field(default_factory=list)
    left: int | None = 0  # in the ledger
    asked_at: float | None = None  # by a signal, before the screen heard of it

    def start(self, step: int) -> None:
        self.did.append(f"start {step}")

    def abort(self) -> float:
        self.did.append("abort")
        return self.now() if self.asked_at is None else self.asked_at

    def in_force(self) -> int | None:
        return self.left

    def note(self, text: str, at: float | None = None) -> bool:
        self.notes.append((text, at))
        return True


class Day:
    """A session with all its parts in reach."""

    def __init__(self, folder: Path, steps: tuple[StepFacts, ...] = STEPS) -> None:
        self.clock = ManualClock()
        self.hands = FakeHands(self.clock.now)
        self.minutes = Minutes(folder)
        self.session = Session(steps, self.clock, self.minutes, self.hands, "eva")
        self.session.begin(name="day", title="A day", stack="fake")
        self.feed = Feed(self.clock.now, lambda: 0)
        self.outer = Interrupts()
        self.table = Table(self.session, self.feed, self.outer)
        self.plan = GameDay.model_validate({"name": "day", "steps": [{"pause": "x"}]})

    def kinds(self) -> list[str]:
        return [str(record["kind"]) for record in self.minutes.records]

    def last(self, kind: str) -> dict[str, Any]:
        return next(r for r in reversed(self.minutes.records) if r["kind"] == kind)

    def to_running(self, step: int = 1) -> None:
        """Step ``step`` runs; those before are skipped."""
        while self.session.at < step:
            self.session.skip()
        self.session.go_on()
        self.session.hear(RunBegan(self.session.step.name, 1, self.session.step.repeats))

    def inject(self, fault: str = "pause") -> None:
        self.session.hear(Recorded(fault))
        self.session.hear(Injected(fault, self.clock.now()))

    def undo(self, fault: str = "pause", left: int | None = 0) -> None:
        self.session.hear(Undone(fault, "yes" if left == 0 else "no", self.clock.now(), left))

    def run_over(self, **changes: Any) -> None:
        self.session.hear(RunOver(verdicts.verdict(**changes), Path("runs/one")))

    def step_over(self) -> None:
        self.session.hear(StepOver())

    def aborted(self) -> None:
        self.run_over(exit_code=130, valid=False, verdict="unknown", void_reasons=["interrupted"])
        self.step_over()
