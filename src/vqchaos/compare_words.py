"""A line of a comparison in words."""

from __future__ import annotations

import math

from vqchaos.compare import Line
from vqchaos.units import format_duration, format_share


def describe(line: Line) -> str:
    """``41.8s → 47.2s (+5.4s, 95 % interval +3.1s to +8s): slower by more than 10 %``."""
    return f"{_values(line)}: {line.why}{_more(line)}" if line.why else _values(line)


def _values(line: Line) -> str:
    shown = format_share if line.unit == "share" else format_duration
    base, new = ("never" if v is None else shown(v) for v in (line.base, line.new))
    text = f"{base} → {new}"
    parts = [] if line.change is None else [_change(line.change, line.unit)]
    if line.interval is not None:
        low, high = (
            "unknown" if b is None or not math.isfinite(b) else _change(b, line.unit)
            for b in line.interval
        )
        parts.append(f"95 % interval {low} to {high}")
    return f"{text} ({', '.join(parts)})" if parts else text


def _change(value: float, unit: str) -> str:
    if unit == "ratio":
        return f"{value:.2f}x"
    if unit == "share":
        return f"{value * 100:+.1f} points"
    return f"{'-' if value < 0 else '+'}{format_duration(abs(value))}"


def _more(line: Line) -> str:
    if line.more is None:
        return ""
    return f"; about {line.more} more run{'' if line.more == 1 else 's'} each would tell"
