"""Has the service recovered yet? The same answer as the judge's, while the run goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from vqchaos.history.events import (
    CANARY,
    Event,
    HealthProbe,
    ProcessExited,
    ProcessStopped,
    Request,
)
from vqchaos.history.history import History
from vqchaos.recovery.frame import frame_of
from vqchaos.recovery.window import Good, Goods, Rule, Scan, Window
from vqchaos.scenario import Scenario
from vqchaos.view.faults import EXTERNAL
from vqchaos.view.requests import order
from vqchaos.view.run import RunView

_SIGNS = (HealthProbe, ProcessExited, ProcessStopped)
_FRAME = ("run.", "phase.", "fault.")


class RecoveryWatch:
    """Grows with the history. ``recovered_at`` is that of ``recover`` on the same events.

    A request costs one sorted insert; only events that change the frame (phases, injections,
    reverts, late requests of the baseline) make it start anew from what it kept. It knows what
    has ended: a request that hangs inside the window takes the answer back when it is known.
    One thread may add while another asks.
    """

    def __init__(self, experiment: Scenario, baseline: Iterable[Event] = ()) -> None:
        self._experiment = experiment
        self._external = any(fault.type == EXTERNAL for fault in experiment.faults)
        self._lock = threading.Lock()
        self._kept = History(event for event in baseline if self._keep(event))
        self._rebuild()

    def add(self, event: Event) -> None:
        """One more event, in the order of the history."""
        if self._keep(event):
            with self._lock:
                self._add(event)

    def _add(self, event: Event) -> None:
        self._kept.append(event)
        if isinstance(event, Request):
            if self._view.is_baseline(event) or self._moves_injection(event):
                self._rebuild()
            else:
                self._place(event)
        elif not isinstance(event, _SIGNS) or self._moves_injection(event):
            self._rebuild()

    @property
    def recovered_at(self) -> float | None:
        """The first token of the recovered window's first request; None while there is none."""
        window = self.window
        return None if window is None else window.at

    @property
    def window(self) -> Window | None:
        """The recovered window that stands: no impact was sent after it."""
        with self._lock:
            return self._scan.find()

    def _keep(self, event: Event) -> bool:
        if isinstance(event, Request):
            return event.workload != CANARY
        return event.type.startswith(_FRAME) or (self._external and isinstance(event, _SIGNS))

    def _moves_injection(self, event: Event) -> bool:
        """Whether it is an earlier sign of an external fault, or changes what counts as one."""
        if not self._external:
            return False
        evidence = self._view.evidence
        if isinstance(event, HealthProbe) and event.t < evidence.since:
            return evidence.since != float("inf")  # else no sign was judged by it yet
        sign = evidence.of(event)
        return sign is not None and (self._sign is None or sign[0] < self._sign)

    def _rebuild(self) -> None:
        # What the view reckons later is still that of now: what would change it builds it anew.
        self._view = RunView(self._kept, self._experiment)
        externals = [f.injected_at for f in self._view.faults if f.type == EXTERNAL]
        self._sign = min((t for t in externals if t is not None), default=None)
        self._frame = frame_of(self._view)
        self._last_bad: tuple[float, str] | None = None
        rule = Rule(self._experiment.recovered, self._view.baseline)
        self._scan = Scan(rule)
        if self._frame is not None:
            requests, bad = self._view.requests, self._view.troubles.places
            begin, end = self._frame.places(requests)
            bad = bad[(begin <= bad) & (bad < end)]
            if len(bad):
                begin = int(bad[-1])
                self._last_bad = order(requests[begin])
                begin += 1
            self._scan = Scan(self._frame.rule, Goods(requests[begin:end]))

    def _place(self, request: Request) -> None:
        if self._frame is None or not self._frame.holds(request):
            return
        key = order(request)
        if self._last_bad is not None and key < self._last_bad:
            return
        if self._view.trouble_at(request) is not None:
            self._last_bad = key
            self._scan.drop_through(key)
        elif request.outcome == "ok":
            self._scan.insert(Good.of(request))
