"""Which requests can be part of a recovered window: the frame that windows are searched in."""

from __future__ import annotations

from dataclasses import dataclass

from vqchaos.history.events import Request
from vqchaos.recovery.window import Rule, Scan, Window
from vqchaos.view.requests import sent_at
from vqchaos.view.run import RunView


@dataclass(frozen=True, slots=True)
class Frame:
    """Requests sent between ``floor`` and ``ceiling`` count."""

    floor: float
    ceiling: float
    rule: Rule

    def holds(self, request: Request) -> bool:
        return self.floor <= sent_at(request) <= self.ceiling


def frame_of(run: RunView, *, mitigation: bool = False) -> Frame | None:
    """The frame of the recovered window; None while nothing was injected.

    None is sent before the last injection. A start-up fault's revert starts the server again, so
    its window begins after that: what the broken server served is no recovery. With ``mitigation``
    it may begin before, while the fault is in force.
    """
    floor = run.last_injection
    if floor is None:
        return None
    if not mitigation:
        for fault in run.faults:
            if fault.startup and fault.injected:
                again = fault.reverted_at
                floor = max(floor, float("inf") if again is None else again)
    settle = run.phase("settle")
    ceiling = settle.end if settle is not None and settle.end is not None else float("inf")
    return Frame(floor, ceiling, Rule(run.experiment.recovered, run.baseline))


def windows(run: RunView, frame: Frame) -> tuple[list[Window], Window | None]:
    """(the windows that a later impact broke, the one that stands), in order of sending.

    Once a window is found, what was sent after it cannot change it: only an impact can break it.
    """
    broken: list[Window] = []
    window: Window | None = None
    scan = Scan(frame.rule)
    troubled = {id(request) for _, request in run.troubles}
    for request in run.requests:
        if not frame.holds(request):
            continue
        if id(request) in troubled:
            if window is not None:
                broken.append(window)
            window, scan = None, Scan(frame.rule)
        elif window is None and request.outcome == "ok":
            scan.insert(request)
            window = scan.find()
    return broken, window
