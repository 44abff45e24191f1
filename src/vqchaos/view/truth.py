"""What the target really did while health was asked, and where health lied. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vqchaos.history.events import PILOT, HealthProbe, ProcessExited, Request
from vqchaos.view.requests import sent_at
from vqchaos.view.run import RunView

COUNTER = "iteration_tokens_total_count"


@dataclass(frozen=True, slots=True)
class Lie:
    """Health said otherwise than the truth from ``start`` to ``end``.

    ``kind``: dead_200, serving_not_200 or old_200.
    """

    kind: str
    start: float
    end: float
    samples: int
    said: str

    @property
    def duration(self) -> float:
        return self.end - self.start


def failed_pilots(run: RunView) -> list[Request]:
    """Pilots that failed or were overdue (one that vqchaos cancelled late was overdue)."""
    return [r for _, r in run.troubles if r.workload == PILOT]


def dead_spans(run: RunView, since: float, until: float) -> list[tuple[float, float]]:
    """When nothing was served although the pilot asked: from the first failed pilot's sending in a
    gap between signs of life to the end of the gap. A sign of life is a pilot's or a client's
    token, or a step of vLLM's iteration counter (seen at the scrape after it)."""
    scrapes = [(m.t, m.values[COUNTER]) for m in run.metrics if COUNTER in m.values]
    steps = [t for (_, before), (t, value) in pairwise(scrapes) if value > before]
    out: list[tuple[float, float]] = []
    for asked in sorted(sent_at(p) for p in failed_pilots(run)):
        if since <= asked < until:
            end = min(until, _next(run.tokens, asked), _next(steps, asked))
            if not out or end != out[-1][1]:
                out.append((asked, end))
    return out


def _next(moments: Sequence[float], after: float) -> float:
    place = bisect_right(moments, after)
    return moments[place] if place < len(moments) else float("inf")


def lies(run: RunView, since: float, until: float) -> list[Lie]:
    """Every lie of health between two moments, however short, in order of time."""
    health = sorted((h for h in run.health if since <= h.sent and h.t <= until), key=lambda h: h.t)
    dead = [
        lie
        for span in dead_spans(run, since, until)
        for lie in _runs_of_200(health, *span, kind="dead_200")
    ]
    old = [
        lie
        for span in _before_restarts(run, since)
        for lie in _runs_of_200(health, *span, kind="old_200")
        if _overlap(lie, dead) <= lie.duration / 2  # else it is told as the worse lie
    ]
    return sorted([*dead, *old, *_serving_not_200(run, health)], key=lambda lie: lie.start)


def _overlap(lie: Lie, others: list[Lie]) -> float:
    return sum(max(0.0, min(lie.end, o.end) - max(lie.start, o.start)) for o in others)


def _runs_of_200(health: list[HealthProbe], start: float, end: float, *, kind: str) -> list[Lie]:
    out: list[Lie] = []
    streak: list[HealthProbe] = []
    moments = [h.t for h in health]
    inside = health[bisect_left(moments, start) : bisect_right(moments, end)]
    for probe in [*inside, None]:
        if probe is not None and probe.status == 200:
            streak.append(probe)
        elif streak:
            out.append(Lie(kind, streak[0].t, streak[-1].t, len(streak), "200"))
            streak = []
    return out


def _serving_not_200(run: RunView, health: list[HealthProbe]) -> list[Lie]:
    """Streaks of answered pilots, with no failed one between, while health never said 200."""
    out: list[Lie] = []
    pilots = sorted((p for p in run.pilots if p.outcome != "cancelled"), key=lambda p: p.known)
    known = [p.known for p in pilots]
    streak: list[HealthProbe] = []
    for probe in [*health, None]:
        if probe is not None and probe.status != 200:
            streak.append(probe)
            continue
        if len(streak) > 1:
            first, last = streak[0].t, streak[-1].t
            said = str(streak[0].status or streak[0].error or "no answer")
            good: list[float] = []
            for pilot in [*pilots[bisect_left(known, first) : bisect_right(known, last)], None]:
                if pilot is not None and pilot.outcome == "ok":
                    good.append(pilot.known)
                    continue
                if len(good) > 1:
                    out.append(Lie("serving_not_200", good[0], good[-1], len(streak), said))
                good = []
        streak = []
    return out


def _before_restarts(run: RunView, since: float) -> list[tuple[float, float]]:
    """When a 200 can only come from a process older than the restart: from the moment that the
    restart began (a start-up fault's stop, else the old server's exit) to the new one's start, or
    to the old one's exit if that came later."""
    exits = {e.pid: e.t for e in run.processes if isinstance(e, ProcessExited)}
    stops = [t for f in run.faults if f.startup for t, _ in f.injected]
    out = []
    for old, new in pairwise(run.server_starts):
        if new.t < since:
            continue
        gone = exits.get(old.pid, new.t)
        began = max((t for t in stops if old.t <= t <= gone), default=min(gone, new.t))
        out.append((began, max(gone, new.t)))
    return out
