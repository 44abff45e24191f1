"""Which requests can be part of a recovered window: the frame that windows are searched in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vqchaos.arrays import np
from vqchaos.history.events import Request
from vqchaos.recovery.window import Good, Goods, Rule, Scan, Window
from vqchaos.view.group import Group
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

    def places(self, requests: Group) -> tuple[int, int]:
        """Of requests in order of sending: where those that it holds begin, and where they end."""
        sent = requests.sent
        begin = np.searchsorted(sent, self.floor, "left")
        return int(begin), int(np.searchsorted(sent, self.ceiling, "right"))


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
    requests = run.requests
    begin, end = frame.places(requests)
    bad = run.troubles.places
    bad = bad[(begin <= bad) & (bad < end)] - begin
    goods = Goods(requests[begin:end])
    # Before and behind each bad one: a stalled one may have ended ok.
    ends = np.append(np.searchsorted(goods.places, bad, "left"), len(goods.places))
    begins = np.insert(np.searchsorted(goods.places, bad, "right"), 0, 0)
    # Between many bad ones hardly a run is as long as a window.
    long = np.flatnonzero(begins < ends)
    spans = goods.sent[ends[long] - 1] - goods.sent[begins[long]]
    long = long[spans >= frame.rule.settings.for_]
    found = {
        number: _first_window(frame.rule, goods.some(int(begins[number]), int(ends[number])))
        for number in long.tolist()
    }
    standing = found.pop(len(bad), None)
    return [window for window in found.values() if window is not None], standing


def _first_window(rule: Rule, requests: Iterable[Good]) -> Window | None:
    scan = Scan(rule)
    for request in requests:
        scan.insert(request)
        if (window := scan.find()) is not None:
            return window
    return None
