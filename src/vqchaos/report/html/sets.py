"""What the page of a set shows, as plain JSON values: from its summary and verdicts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vqchaos.checks.base import SEVERITY
from vqchaos.faults import REGISTRY
from vqchaos.report.html.data import recovery_time
from vqchaos.report.markdown import not_passed
from vqchaos.report.minutes import clock, seconds
from vqchaos.report.spread import set_recovery
from vqchaos.report.words import MARKS
from vqchaos.units import format_duration

Verdict = Mapping[str, Any]
# What a stack should be under a fault, and the checks that are about it.
PROPERTIES: dict[str, tuple[str, ...]] = {
    "available": ("availability", "outcomes", "latency_ratio", "neighbour_unharmed"),
    "correct": ("canary", "answered_once"),
    "truthful": ("health_truthful", "refuses_to_start", "rotation"),
    "recovers": ("recovery_time", "restarts"),
    "clean": ("no_residue",),
}
_WIDE, _LEFT, _RIGHT = 900.0, 20.0, 20.0  # of the drawing of recovery times


def set_data(
    summary: Mapping[str, Any], verdicts: Sequence[Verdict], name: str = ""
) -> dict[str, Any]:
    """``verdicts`` in the order of ``summary``'s runs; one that is lost is None there and told."""
    folders = [str(run["dir"]) for run in summary["runs"]]
    runs = [
        _run(v, folder, n) for n, (folder, v) in enumerate(zip(folders, verdicts, strict=False), 1)
    ]
    valid = sum(bool(v["valid"]) for v in verdicts)
    passed = sum(v["verdict"] == "pass" for v in verdicts)
    several = len({str(v["experiment"]) for v in verdicts}) > 1
    return {
        "name": name,
        "label": summary.get("label", ""),
        "summary": summary,
        "mark": MARKS[summary["verdict"]],
        "sentence": f"{passed} of {len(verdicts)} runs passed, {valid} valid.",
        "recovery": set_recovery(summary),
        "runs": runs,
        "card": card(verdicts) if several else {"properties": [], "rows": []},
        "spreads": spreads(verdicts, summary),
        "skipped": summary.get("skipped", []),
        "gameday": _gameday(summary.get("gameday")),
        "stacks": sorted({str(v["stack"]) for v in verdicts}),
        "started": verdicts[0].get("started_wall") if verdicts else None,
        "version": str(verdicts[0].get("vqchaos_version", "")) if verdicts else "",
    }


def _gameday(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The minutes with their times as text."""
    if not found:
        return None
    times = ("by_people", "by_probe", "by_clients", "recovered", "reverted_after")
    rows = [
        {**row, **{key: seconds(row.get(key)) for key in times}, "at": clock(row.get("wall"))}
        for row in found.get("rows", [])
    ]
    log = [{**item, "at": clock(item.get("wall"))} for item in found.get("log", [])]
    return {**found, "rows": rows, "log": log}


def family(verdict: Verdict) -> str:
    """The family of the run's faults; ``anything`` for one that this version does not know."""
    found = {
        REGISTRY[f["type"]].family if f["type"] in REGISTRY else "anything"
        for f in verdict["faults"]
    }
    return " + ".join(sorted(found)) or "no fault"


def card(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Fault family by property: the worst that the checks of valid runs said, and of how many."""
    rows = []
    for name in sorted({family(v) for v in verdicts}):
        group = [v for v in verdicts if family(v) == name]
        cells = []
        for prop, types in PROPERTIES.items():
            said = [
                str(c["verdict"])
                for v in group
                if v["valid"]
                for c in v["checks"]
                if c["type"] in types
            ]
            if prop == "clean":
                said += ["fail" for v in group if v["exit_code"] == 4]
            if not said:
                cells.append({"verdict": "", "mark": "", "text": "not looked at"})
                continue
            worst = max(said, key=lambda s: SEVERITY.get(s, 1))
            good = said.count("pass")
            text = f"{good} of {len(said)}" if good < len(said) else f"{len(said)}"
            cells.append({"verdict": worst, "mark": MARKS[worst], "text": text})
        rows.append({"family": name, "runs": len(group), "cells": cells})
    return {"properties": list(PROPERTIES), "rows": rows}


def spreads(verdicts: Sequence[Verdict], summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The recovery times of each experiment that ran more than once, placed on an axis."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict["valid"] and verdict["recovery"]["recovery_time"] is not None:
            groups.setdefault(str(verdict["experiment"]), []).append(verdict)
    figures = summary["recovery"].get("by_experiment") or {}
    out = []
    for name, group in groups.items():
        if len(group) < 2:
            continue
        found = figures.get(name, summary["recovery"])
        times = [float(v["recovery"]["recovery_time"]) for v in group]
        top = _round_up(max([*times, 0.001]) * 1.05)
        interval = found["interval"]
        out.append(
            {
                "name": name,
                "n": len(group),
                "dots": [
                    {
                        "x": _place(t, top),
                        "y": 34 + 11 * (n % 3 - 1),
                        "cut": bool(v["recovery"]["censored"]),
                        "text": recovery_time(v),
                    }
                    for n, (t, v) in enumerate(zip(times, group, strict=True))
                ],
                "median": None if found["median"] is None else _place(found["median"], top),
                "median_text": None if found["median"] is None
                else format_duration(found["median"]),
                "interval": None if interval is None or interval[0] is None else [
                    _place(interval[0], top),
                    _place(top if interval[1] is None else interval[1], top),
                ],
                "ticks": [
                    {"x": _place(top * n / 4, top), "text": format_duration(top * n / 4)}
                    for n in range(5)
                ],
            }
        )  # fmt: skip
    return out


def _place(seconds: float, top: float) -> float:
    return round(_LEFT + (_WIDE - _LEFT - _RIGHT) * min(1.0, seconds / top), 1)


def _round_up(value: float) -> float:
    size = 10.0 ** (len(str(int(value))) - 1) if value >= 1 else 0.1
    return next(size * n for n in (1, 2, 4, 6, 8, 10, 20) if size * n >= value)


def _run(verdict: Verdict, folder: str, number: int) -> dict[str, Any]:
    return {
        "n": number,
        "dir": folder,
        "experiment": verdict["experiment"],
        "verdict": verdict["verdict"],
        "mark": MARKS[verdict["verdict"]],
        "valid": verdict["valid"],
        "recovery": recovery_time(verdict),
        "why": not_passed(verdict),
        "title": verdict.get("title", ""),
        "family": family(verdict),
        "strip": _strip(verdict),
    }


def _strip(verdict: Verdict) -> dict[str, Any] | None:
    """Two outlines in a box of 200 x 40, the ok on top of the failed; None of an older run."""
    found = verdict.get("strip") or {}
    good, bad = found.get("ok", []), found.get("failed", [])
    if not good:
        return None
    top = max(g + b for g, b in zip(good, bad, strict=True)) or 1
    wide = 200 / len(good)

    def outline(values: Sequence[int], below: Sequence[int]) -> str:
        return "".join(
            f"M{n * wide:.1f} {40 - 40 * low / top:.1f}h{wide:.1f}V{40 - 40 * (low + v) / top:.1f}"
            f"h-{wide:.1f}z"
            for n, (v, low) in enumerate(zip(values, below, strict=True))
            if v
        )

    at = verdict["recovery"]["injected_at"]
    return {
        "ok": outline(good, bad),
        "bad": outline(bad, [0] * len(bad)),
        "hit": None if at is None else round(at / found["step"] * wide, 1),
        "text": f"{sum(good)} requests ok, {sum(bad)} failed",
    }
