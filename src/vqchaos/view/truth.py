"""What the target really did while health was asked, and where health lied. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from vqchaos.arrays import np
from vqchaos.history.events import PILOT, ProcessExited
from vqchaos.view.group import streaks
from vqchaos.view.health import Health
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


def dead_spans(run: RunView, since: float, until: float) -> list[tuple[float, float]]:
    """When nothing was served although the pilot asked: from the first failed pilot's sending in a
    gap between signs of life to the end of the gap. A sign of life is a pilot's or a client's
    token, or a step of vLLM's iteration counter (seen at the scrape after it)."""
    scrapes = run.metrics(COUNTER)
    steps = np.array([t for (_, before), (t, value) in pairwise(scrapes) if value > before])
    # One that vqchaos cancelled late was overdue.
    failed = run.troubles.requests.where(lambda kind: kind.workload == PILOT)
    asked = np.sort(failed.sent)
    asked = asked[(since <= asked) & (asked < until)]
    place = np.searchsorted(steps, asked, "right")
    stepped = np.append(steps, np.inf)[place]
    ends = np.minimum(np.minimum(until, run.tokens.beside(asked).after), stepped)
    out: list[tuple[float, float]] = []
    for start, end in zip(asked.tolist(), ends.tolist(), strict=True):
        if not out or end != out[-1][1]:
            out.append((start, end))
    return out


def lies(run: RunView, since: float, until: float) -> list[Lie]:
    """Every lie of health between two moments, however short, in order of time."""
    health = run.health.pick((since <= run.health.sent) & (run.health.t <= until)).in_order()
    dead = _runs_of_200(health, dead_spans(run, since, until), "dead_200")
    old = [
        lie
        for lie in _runs_of_200(health, _before_restarts(run, since), "old_200")
        if _overlap(lie, dead) <= lie.duration / 2  # else it is told as the worse lie
    ]
    return sorted([*dead, *old, *_serving_not_200(run, health)], key=lambda lie: lie.start)


def _overlap(lie: Lie, others: list[Lie]) -> float:
    return sum(max(0.0, min(lie.end, o.end) - max(lie.start, o.start)) for o in others)


def _runs_of_200(health: Health, spans: list[tuple[float, float]], kind: str) -> list[Lie]:
    """In each of the spans; what is known of all probes, which are in order, is reckoned once."""
    t, good = health.t, health.saying(lambda probe: probe.status == 200)
    lows = np.searchsorted(t, [start for start, _ in spans], "left").tolist()
    highs = np.searchsorted(t, [end for _, end in spans], "right").tolist()
    return [
        Lie(kind, float(t[low + first]), float(t[low + stop - 1]), stop - first, "200")
        for low, high in zip(lows, highs, strict=True)
        for first, stop in streaks(good[low:high])
    ]


def _serving_not_200(run: RunView, health: Health) -> list[Lie]:
    """Streaks of answered pilots, with no failed one between, while health never said 200."""
    out: list[Lie] = []
    pilots = run.pilots.where(lambda kind: kind.outcome != "cancelled")
    pilots = pilots.pick(np.argsort(pilots.known, kind="stable"))
    answered = health.t
    known, ok = pilots.known, pilots.ended_as("ok")
    for first, stop in streaks(health.saying(lambda probe: probe.status != 200)):
        if stop - first < 2:
            continue
        low = int(np.searchsorted(known, answered[first], "left"))
        high = int(np.searchsorted(known, answered[stop - 1], "right"))
        said = str(health[first].status or health[first].error or "no answer")
        out += [
            Lie("serving_not_200", float(known[low + a]), float(known[low + b - 1]),
                stop - first, said)
            for a, b in streaks(ok[low:high])
            if b - a > 1
        ]  # fmt: skip
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
