"""How late the observer's own timers were."""

from __future__ import annotations

from vqchaos.arrays import np
from vqchaos.history.columns import LagProbes
from vqchaos.stats import quantile_sorted, samples_for


def lateness(probes: LagProbes, since: float) -> tuple[float, str] | None:
    """(how late, statistic) from a moment on: the p99, of fewer samples than that takes the
    highest."""
    counted = np.repeat(np.asarray(probes.times) >= since, np.diff(np.asarray(probes.starts)))
    late = np.asarray(probes.samples)[counted]
    late.sort()
    if len(late) < samples_for(0.99):
        return (float(late[-1]), f"highest of {len(late)}") if len(late) else None
    return (quantile_sorted(late, 0.99) or 0.0, "p99")
