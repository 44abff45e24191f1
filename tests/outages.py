"""From what an observer saw of one outage to its recovery, as a run of one fault would have it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vqchaos.experiment.model import Experiment
from vqchaos.history.events import (
    Event,
    FaultInjected,
    FaultRecorded,
    PhaseEnded,
    PhaseStarted,
)
from vqchaos.recovery import Recovery, recover
from vqchaos.view.run import RunView


@dataclass
class Server:
    """The outage server in a process of its own."""

    process: subprocess.Popen[str] = field(
        default_factory=lambda: subprocess.Popen(
            [sys.executable, "-m", "tests.outage_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def turn(self, kind: str) -> float:
        print(kind, file=self.process.stdin, flush=True)
        return float(self.line())

    def close(self) -> None:
        self.process.communicate(timeout=30)


def experiment(fault: dict[str, Any]) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "truth",
            "faults": [fault],
            # The server answers at once: five times its baseline is a busy machine's hiccup. Its
            # late answers are a thousand times later.
            "recovered": {"for": "1s", "successes": 2, "slowdown": 20.0},
            "checks": [],
        }
    )


def judged(
    events: Sequence[Event],
    baseline: tuple[float, float],
    away: float,
    until: float,
    *,
    external: bool,
) -> Recovery:
    """As a run of one fault would have recorded it."""
    fault = {"type": "external"} if external else {"type": "process_kill", "target": "engine"}
    name = str(fault["type"])
    kept: list[Event] = [
        PhaseStarted(t=baseline[0], phase="baseline"),
        PhaseEnded(t=baseline[1], phase="baseline"),
        PhaseStarted(t=away - 0.3, phase="fault"),
        FaultRecorded(t=away - 0.3, fault=name, kind=name, entry="e", target=None, held=False),
        PhaseEnded(t=until, phase="fault"),
    ]
    if not external:
        kept.append(FaultInjected(t=away, fault=name))
    for event in events:
        start = getattr(event, "sent", None)
        start = event.t if start is None else start
        if (baseline[0] <= start and event.t < baseline[1]) or away - 0.25 <= start <= until:
            kept.append(event)
    kept.sort(key=lambda e: e.t)
    return recover(RunView(kept, experiment(fault)))
