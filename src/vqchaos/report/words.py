"""The few phrases that the terminal and Markdown share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from vqchaos.history.events import PHASES, PILOT
from vqchaos.recovery import STAGES
from vqchaos.units import format_duration, format_share
from vqchaos.view import NOBODY

AFTER = ("fault", "recovery", "settle")  # the phases that a fault can spoil
MARKS = {"pass": "✓", "unknown": "?", "fail": "✗", "skipped": "-"}
Verdict = Mapping[str, Any]


def quantity(value: float | str | None, unit: str) -> str:
    """An observed value or limit as a person writes it."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if unit == "s":
        return format_duration(value)
    if unit == "share":
        return format_share(value)
    return f"{value:g}x" if unit == "ratio" else f"{value:g}"


def recovery_line(verdict: Verdict) -> str:
    """``recovered in 52.3s after the injection, outage 51.9s``."""
    found = verdict["recovery"]
    if verdict["impact"] is None:
        return "nothing was injected"
    if verdict["impact"] == "none":
        return "no impact: clients and the pilot noticed nothing"
    parts = []
    since = "revert" if found["anchor"] == "revert" else "injection"
    if found["recovery_time"] is not None:
        value = format_duration(found["recovery_time"])
        if found["censored"]:
            parts.append(f"NOT recovered in the {value} watched after the last {since}")
        else:
            parts.append(f"recovered {value} after the last {since}")
    if since == "revert" and found["since_injection"] is not None and not found["censored"]:
        parts.append(f"{format_duration(found['since_injection'])} after the injection")
    if found["mitigated_at"] is not None and found["injected_at"] is not None:
        value = format_duration(found["mitigated_at"] - found["injected_at"])
        parts.append(f"mitigated {value} after the injection")
    worst = {
        "failed": "requests failed",
        "stalled": "requests stalled",
        "slow": "answers were slow",
    }
    said = worst.get(str(verdict["impact"]), str(verdict["impact"]))
    parts.append("only the pilot's requests failed" if _pilot_alone(verdict) else said)
    if found["outage"]:
        parts.append(f"outage {format_duration(found['outage'])}")
    if found["relapses"]:
        times = "once" if found["relapses"] == 1 else f"{found['relapses']} times"
        parts.append(f"relapsed {times}")
    return ", ".join(parts)


def _pilot_alone(verdict: Verdict) -> bool:
    """No request of a client failed from the fault on, but one of the pilot's did."""
    failed = {
        workload
        for workload, phases in verdict["outcomes"].items()
        for phase in AFTER
        if set(phases.get(phase, ())) - {"ok", "cancelled"}
    }
    return verdict["impact"] == "failed" and failed == {PILOT}


def timeline(verdict: Verdict) -> list[tuple[str, float, str]]:
    """(stage, seconds after the first injection, source) in order of time, injection first; the
    revert among them."""
    found = verdict["recovery"]
    start = found["injected_at"]
    if start is None:
        return []
    by = next((f["injected_by"] for f in verdict["faults"] if f["injected_at"] == start), "")
    out = [("injected", 0.0, by)]
    moments = [
        (stage.replace("_", " "), item["at"], str(item["source"]))
        for stage in STAGES
        if (item := found["phases"].get(stage)) is not None
    ]
    if found["reverted_at"] is not None:
        moments.append(("reverted", found["reverted_at"], "vqchaos"))
    out += [(stage, at - start, source) for stage, at, source in sorted(moments, key=_moment)]
    return out


def _moment(item: tuple[str, float, str]) -> float:
    return item[1]


def counts(outcomes: Mapping[str, int]) -> str:
    """What was not ok: ``12 refused, 1 hung``; the most frequent first."""
    bad = sorted(((n, o) for o, n in outcomes.items() if o != "ok"), key=lambda x: (-x[0], x[1]))
    return ", ".join(f"{n} {o}" for n, o in bad)


_MOST_REPLICAS = 8  # rows; a header that is no replica's name has thousands of values


def replica_table(verdict: Verdict) -> tuple[list[str], list[list[str]]]:
    """(columns, rows): a row a replica, in each phase how many of its answers were ok of all.
    Empty where there are not two replicas to tell apart."""
    found: Mapping[str, Mapping[str, Mapping[str, int]]] = verdict.get("by_replica") or {}
    if len(found.keys() - {NOBODY}) < 2:
        return [], []
    phases = [p for p in PHASES if any(p in replica for replica in found.values())]
    rows = []
    for name, seen in list(found.items())[:_MOST_REPLICAS]:
        cells = [
            f"{seen[p].get('ok', 0)} of {sum(seen[p].values())}" if p in seen else "-"
            for p in phases
        ]
        total = Counter[str]()
        for outcomes in seen.values():
            total.update(outcomes)
        rows.append([name, *cells, counts(total)])
    if len(found) > _MOST_REPLICAS:
        rows.append([f"{len(found) - _MOST_REPLICAS} more", *("" for _ in phases), ""])
    return ["answered by", *phases, "not ok"], rows
