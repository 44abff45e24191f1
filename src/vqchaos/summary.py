"""summary.json: what several runs came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from vqchaos.checks.base import Verdict, worst
from vqchaos.errors import ExitCode
from vqchaos.errors import worst as worst_code
from vqchaos.stats import km_median, median_interval, quantile

SCHEMA = 1
_CODES = {"pass": ExitCode.PASS, "unknown": ExitCode.UNKNOWN, "fail": ExitCode.FAIL}


def judge_set(
    runs: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    skipped: Sequence[Mapping[str, str]] = (),
    min_valid: int | None = None,
) -> dict[str, Any]:
    """The content of summary.json. ``runs``: (folder's name, verdict.json) in their order.

    The verdict is the worst of the valid runs, at least ``unknown`` if fewer are valid than
    ``min_valid`` (default all); a fail is never hidden by a void run beside it. The exit code is
    that of the verdict, unless a run was unclean or interrupted. Void runs that ``min_valid``
    allows for do not count.
    """
    verdicts = [v for _, v in runs]
    valid: list[Verdict] = [v["verdict"] for v in verdicts if v["valid"]]
    needed = len(verdicts) if min_valid is None else min(min_valid, len(verdicts))
    if len(valid) < max(1, needed):
        valid.append("unknown")
    verdict = worst(valid)
    special = [ExitCode(int(v["exit_code"])) for v in verdicts]
    codes = [c for c in special if c is ExitCode.UNCLEAN or c > 128]
    return {
        "schema": SCHEMA,
        "runs": [
            {
                "dir": name,
                "experiment": v["experiment"],
                "verdict": v["verdict"],
                "valid": v["valid"],
            }
            for name, v in runs
        ],
        "skipped": [dict(item) for item in skipped],
        "recovery": _recovery(verdicts),
        "verdict": verdict,
        "exit_code": int(worst_code([_CODES[verdict], *codes])),
    }


def _recovery(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over all runs; where they are of several experiments, whose times have no common median,
    only the counts, and the figures of each."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for verdict in verdicts:
        groups.setdefault(str(verdict["experiment"]), []).append(verdict)
    found = figures(verdicts)
    if len(groups) > 1:
        found.update(median=None, interval=None, mean=None)
    by = {name: figures(group) for name, group in groups.items()}
    return {**found, "by_experiment": by}


def figures(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The spread of the recovery time: median with a bootstrap interval, Kaplan-Meier's where any
    run is censored; the mean (MTTR) only where none is. Void runs are counted, not used."""
    pairs = [
        (float(v["recovery"]["recovery_time"]), bool(v["recovery"]["censored"]))
        for v in verdicts
        if v["valid"] and v["recovery"]["recovery_time"] is not None
    ]
    times, cut = [t for t, _ in pairs], [c for _, c in pairs]
    censored = sum(cut)
    median = km_median(times, cut) if censored else quantile(times, 0.5)
    interval = median_interval(times, cut)
    return {
        "n": len(times),
        "void": sum(not v["valid"] for v in verdicts),
        "censored": censored,
        "median": _ms(median),
        "interval": None if interval is None else [_ms(bound) for bound in interval],
        "mean": _ms(fmean(times)) if times and not censored else None,
    }


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
