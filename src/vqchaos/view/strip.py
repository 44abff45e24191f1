"""A run in a strip: what became of the clients' requests, in a few dozen steps of time. Pure."""

from __future__ import annotations

from typing import Any

from vqchaos.view.requests import sent_at
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
    step = step_for(max(run.watched_until, sent_at(requests[-1])), STEPS)
    count = int(max(sent_at(r) for r in requests) // step) + 1
    good, bad = [0] * count, [0] * count
    for request in requests:
        place = max(0, int(sent_at(request) // step))
        (good if request.outcome == "ok" else bad)[place] += 1
    return {"step": step, "ok": good, "failed": bad}
