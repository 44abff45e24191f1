"""What a set's runs came to, in a line: the terminal and Markdown share it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vqchaos.units import format_duration


def set_recovery(summary: Mapping[str, Any]) -> str:
    """The recovery figures of a set of repeats, in a line; of several experiments, each that ran
    more than once: what ran once stands in its own row. Empty if that is all of them."""
    groups: Mapping[str, Mapping[str, Any]] = summary["recovery"].get("by_experiment") or {}
    if len(groups) > 1:
        several = {k: g for k, g in groups.items() if g["n"] + g["void"] > 1}
        return "; ".join(f"{name}: {_figures(group)}" for name, group in several.items())
    return _figures(summary["recovery"])


def _figures(found: Mapping[str, Any]) -> str:
    parts = [f"n = {found['n']}"]
    if found["median"] is not None:
        text = f"median {format_duration(found['median'])}"
        if found["interval"] is not None:
            low, high = (_open(bound) for bound in found["interval"])
            text += f" (95 % interval {low} to {high})"
        parts.append(text)
    elif found["censored"]:
        parts.append("median beyond the time watched")
    if found["mean"] is not None:
        parts.append(f"MTTR {format_duration(found['mean'])}")
    if found["censored"]:
        parts.append(f"{found['censored']} not recovered")
    if found["void"]:
        parts.append(f"{found['void']} void")
    if first := found.get("first"):
        time = format_duration(first["recovery_time"])
        text = f"not recovered in {time}" if first["censored"] else time
        parts.append(f"the first run apart, as it differs from all others: {text}")
    text = ", ".join(parts)
    return f"{text}; {more}" if (more := _more(found)) else text


def _more(found: Mapping[str, Any]) -> str:
    """How many more runs the next better precision needs."""
    need = found.get("repeats")
    if not need or not found["n"]:
        return ""
    runs = "1 more run" if need["more"] == 1 else f"{need['more']} more runs"
    if need["precision"] is None:
        return f"{runs} for an interval"
    return f"for ±{format_duration(need['precision'])} about {runs}"


def _open(bound: float | None) -> str:
    return "beyond the time watched" if bound is None else format_duration(bound)
