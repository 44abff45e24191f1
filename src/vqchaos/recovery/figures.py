"""``recover``: from a run's history to its recovery, as MEASURE defines it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from vqchaos.recovery.frame import frame_of, windows
from vqchaos.recovery.outage import outages
from vqchaos.recovery.stages import STAGES, Moment, first_probe, first_trouble, stages
from vqchaos.recovery.window import Window
from vqchaos.view.run import RunView


@dataclass(frozen=True, slots=True)
class Recovery:
    """Moments are seconds since the run's start, durations seconds; None: it never happened.

    ``impact``: failed, stalled, slow or none, the worst that a client or the pilot saw; None where
    nothing was injected. ``recovery_time`` counts from the anchor; where it is ``censored`` it is
    the time watched, and the true one is longer.
    """

    impact: str | None = None
    anchor: str | None = None  # revert or injection
    injected_at: float | None = None
    last_injected_at: float | None = None
    detected_at: float | None = None
    probe_detected_at: float | None = None
    mitigated_at: float | None = None
    reverted_at: float | None = None
    first_success_at: float | None = None
    recovered_at: float | None = None
    recovery_time: float | None = None
    since_injection: float | None = None
    since_revert: float | None = None
    outage: float | None = None
    longest_outage: float | None = None
    relapses: int = 0
    censored: bool = False
    phases: dict[str, Moment | None] = field(default_factory=lambda: dict.fromkeys(STAGES))

    def since(self, anchor: str) -> float | None:
        """The recovery time from ``injection``, ``revert`` or the ``anchor``."""
        if anchor == "injection":
            return self.since_injection
        return self.since_revert if anchor == "revert" else self.recovery_time

    def as_dict(self) -> dict[str, Any]:
        """For verdict.json; moments and durations to the millisecond."""

        def ms(value: float | None) -> float | None:
            return None if value is None else round(value, 3)

        return {
            "anchor": self.anchor,
            "injected_at": ms(self.injected_at),
            "last_injected_at": ms(self.last_injected_at),
            "detected_at": ms(self.detected_at),
            "probe_detected_at": ms(self.probe_detected_at),
            "mitigated_at": ms(self.mitigated_at),
            "reverted_at": ms(self.reverted_at),
            "first_success_at": ms(self.first_success_at),
            "recovered_at": ms(self.recovered_at),
            "recovery_time": ms(self.recovery_time),
            "since_injection": ms(self.since_injection),
            "since_revert": ms(self.since_revert),
            "outage": ms(self.outage),
            "longest_outage": ms(self.longest_outage),
            "relapses": self.relapses,
            "censored": self.censored,
            "phases": {
                name: None if m is None else {"at": ms(m.at), "source": m.source}
                for name, m in self.phases.items()
            },
        }


@lru_cache(maxsize=1)  # several checks and the judge ask about the same run
def recover(run: RunView) -> Recovery:
    """The recovery of one run."""
    first, last, frame = run.first_injection, run.last_injection, frame_of(run)
    if first is None or last is None or frame is None:
        return Recovery()
    reverted = run.last_revert if run.any_held else None
    anchor, anchored = ("injection", last) if reverted is None else ("revert", reverted)
    client = first_trouble(run, first, frame.ceiling, pilot=False)
    pilot = first_trouble(run, first, frame.ceiling, pilot=True)
    slow = _slow(run, first, reverted)
    seen = [m for m in (client, slow) if m is not None]
    detected = min(seen, key=lambda m: m.at, default=None)
    probe = first_probe(run, first, frame.ceiling)
    impact = _impact(run, first, frame.ceiling, slow=slow is not None)
    trouble = min((m.at for m in (client, pilot) if m is not None), default=None)
    broken, window = windows(run, frame)
    first_success = None if trouble is None else _first_success(run, trouble)
    earliest = min(
        (m for m in (detected, probe) if m is not None), key=lambda m: m.at, default=None
    )
    gaps = [end - start for start, end in outages(run)]
    censored = impact != "none" and window is None

    def span(since: float | None) -> float | None:
        if since is None:
            return None
        if impact == "none":
            return 0.0
        return max(0.0, (run.watched_until if window is None else window.at) - since)

    return Recovery(
        impact=impact,
        anchor=anchor,
        injected_at=first,
        last_injected_at=last,
        detected_at=None if detected is None else detected.at,
        probe_detected_at=None if probe is None else probe.at,
        mitigated_at=_mitigated(run, reverted, detected),
        reverted_at=reverted,
        first_success_at=first_success,
        recovered_at=None if window is None else window.at,
        recovery_time=span(anchored),
        since_injection=span(last),
        since_revert=span(reverted),
        outage=sum(gaps),
        longest_outage=max(gaps, default=0.0),
        relapses=sum(w.complete_at >= anchored for w in broken),
        censored=censored,
        phases=stages(run, earliest, first_success, window),
    )


def _impact(run: RunView, since: float, until: float, *, slow: bool) -> str:
    found = run.troubles.pick(run.troubles.requests.sent <= until)
    failed = found.requests.having(lambda kind: kind.outcome not in ("ok", "cancelled"))
    if (failed & (found.requests.ended >= since)).any():
        return "failed"
    return "stalled" if (found.at >= since).any() else "slow" if slow else "none"


def _slow(run: RunView, since: float, reverted: float | None) -> Moment | None:
    """The first slow answer, if those under the fault were slower than a window may be."""
    until = run.fault_end if reverted is None else reverted
    under = run.select().ok
    under = under.pick((since <= under.sent) & (under.sent <= until))
    found = run.slowness(under)
    limit = run.experiment.recovered.slowdown
    if found is None or len(under) < 5 or found[0] <= limit:
        return None
    usual = under.by_kind(lambda kind: run.baseline(kind.workload).ttft_p50 or float("inf"))
    late = under.known[under.ttft > limit * usual]
    if not len(late):
        return None
    return Moment(float(late.min()), f"client: first token {found[0]:.1f} x as late")


def _first_success(run: RunView, after: float) -> float | None:
    known = run.requests.ok.known
    later = known[known > after]
    return float(later.min()) if len(later) else None


def _mitigated(run: RunView, reverted: float | None, impact: Moment | None) -> float | None:
    """The first token of a window that was whole while a held fault was in force. Not where the
    server under a start-up fault serves itself: it is broken, not ejected."""
    if not run.any_held or impact is None:
        return None
    if any(a.outcome == "served" for a in run.attempts):
        return None
    frame = frame_of(run, mitigation=True)
    if frame is None:
        return None
    broken, standing = windows(run, frame)
    found: list[Window] = [*broken, *([standing] if standing is not None else [])]
    until = float("inf") if reverted is None else reverted
    for window in found:
        if window.complete_at < until and window.at > impact.at:
            return window.at
    return None


def share_of_pilot(run: RunView) -> float | None:
    """The pilot's share of all requests sent, which MEASURE wants stated."""
    sent = len(run.requests)
    return len(run.pilots) / sent if sent else None
