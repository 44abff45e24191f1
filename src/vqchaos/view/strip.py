"""A run in a strip: what became of the clients' requests, in a few dozen steps of time. Pure."""

from __future__ import annotations

from typing import Any

from vqchaos.arrays import np
from vqchaos.view.run import RunView

STEPS = 60
_LADDER = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)


def step_for(seconds: float, steps: int) -> float:
    """The smallest round step with which ``seconds`` make at most so many steps."""
    found = next((s for s in _LADDER if seconds <= s * steps), None)
    return found if found is not None else -(-seconds // (steps * 3600)) * 3600


def strip(run: RunView) -> dict[str, Any]:
    """``step`` in seconds and, for each step from the run's start, how many of the clients'
    requests that were sent in it were ``ok`` and ``failed``; the cancelled are neither."""
    requests = run.select()
    if not requests:
        return {}
    sent = requests.sent
    step = step_for(max(run.watched_until, float(sent.max())), STEPS)
    places = np.maximum(sent // step, 0).astype(np.intp)
    good = requests.ended_as("ok")
    count = int(places.max()) + 1
    return {
        "step": step,
        "ok": np.bincount(places[good], minlength=count).tolist(),
        "failed": np.bincount(places[~good], minlength=count).tolist(),
    }
