"""The chart's figures: requests gathered into intervals of time, finer around the fault. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from vqchaos.arrays import Floats, Places, np
from vqchaos.history.events import OUTCOMES
from vqchaos.stats import quantile_sorted
from vqchaos.view.group import Group

Span = tuple[float, float]
_LADDER = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
COARSE, FINE = 240, 300  # intervals of the whole run at most, and of the time around the fault
DOTS = 2500  # requests drawn one by one at most
_A_FEW = 3.0  # requests in an interval on average: fewer would make noise of a steady rate


def step_for(seconds: float, steps: int, rate: float) -> float:
    """The smallest round step with at most so many steps and a few requests in each."""
    least = max(seconds / steps, _A_FEW / rate if rate else 0.0)
    return next((s for s in _LADDER if s >= least), _LADDER[-1] * (1 + int(least // _LADDER[-1])))


def edges(until: float, rate: float, focus: Span | None) -> list[float]:
    """The borders of the intervals from 0 to ``until``, one more than there are intervals."""
    coarse = step_for(until, COARSE, rate)
    fine, near = coarse, (0.0, 0.0)
    if focus is not None:
        near = (focus[0] // coarse * coarse, (focus[1] // coarse + 1) * coarse)
        fine = min(coarse, step_for(near[1] - near[0], FINE, rate))
    out, at = [0.0], 0
    while out[-1] < until:
        start = at * coarse
        parts = round(coarse / fine) if near[0] <= start < near[1] else 1
        out += [round(start + coarse * n / parts, 3) for n in range(1, parts + 1)]
        at += 1
    return out


def series(requests: Group, borders: Sequence[float]) -> dict[str, Any]:
    """For each interval, by the moment of sending: quantiles of the successes' time to the first
    token and to the end in seconds, and the requests by outcome, counted and a second."""
    last = len(borders) - 2
    places = np.clip(np.searchsorted(borders, requests.sent, "right") - 1, 0, last)
    counts = {
        name: np.bincount(places[requests.ended_as(name)], minlength=last + 1).tolist()
        for name in sorted(requests.outcomes())
    }
    known = [o for o in reversed(OUTCOMES) if o in counts]
    names = [*known, *sorted(counts.keys() - set(known))]
    widths = [b - a for a, b in pairwise(borders)]
    ok = requests.ended_as("ok")
    good, where = requests.pick(ok), places[ok]
    first, whole = (_Sorted(v, where, last) for v in (good.ttft, good.ended - good.sent))
    return {
        "ttft_p50": first.quantiles(0.5),
        "ttft_p95": first.quantiles(0.95),
        "e2e_p50": whole.quantiles(0.5),
        "e2e_p95": whole.quantiles(0.95),
        "outcomes": [
            {
                "name": name,
                "total": sum(counts[name]),
                "counts": counts[name],
                "rate": [round(n / w, 2) for n, w in zip(counts[name], widths, strict=True)],
            }
            for name in names
        ],
    }


def dots(requests: Group, most: int = DOTS) -> dict[str, Any]:
    """Single successes: when each was sent and when its first token came after that. Of more than
    ``most``, every n-th, which ``every`` says."""
    good = requests.ok
    good = good.pick(~np.isnan(good.first_token))
    every = max(1, -(-len(good) // most))
    kept = good.pick(slice(None, None, every))
    return {
        "every": every,
        "x": [round(at, 2) for at in kept.sent.tolist()],
        "y": [_short(value) for value in kept.ttft.tolist()],
    }


class _Sorted:
    """Values sorted within the intervals that they belong to; NaN is no value."""

    def __init__(self, values: Floats, places: Places, last: int) -> None:
        there = ~np.isnan(values)
        values, places = values[there], places[there]
        order = np.lexsort((values, places))
        self._values = values[order]
        self._borders = np.searchsorted(places[order], np.arange(last + 2)).tolist()

    def quantiles(self, share: float) -> list[float | None]:
        found = (
            quantile_sorted(self._values[start:end], share)
            for start, end in pairwise(self._borders)
        )
        return [None if value is None else _short(value) for value in found]


def _short(value: float) -> float:
    """Three digits are all that a chart shows."""
    return float(f"{value:.3g}")
