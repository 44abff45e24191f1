"""summary.json: what several runs came to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from vqchaos.checks.base import Verdict, worst
from vqchaos.errors import ExitCode
from vqchaos.errors import worst as worst_code
from vqchaos.stats import LEAST_FOR_INTERVAL, median_interval, median_of, repeats_for

SCHEMA = 1
_LEAST_OTHERS = 5
_SAME = 0.1  # seconds: recovery times are not told apart below this
_WORTH = 0.75  # a precision is worth proposing if the interval shrinks by a quarter at least
_NOTHING: dict[str, Any] = {
    "median": None,
    "interval": None,
    "mean": None,
    "first": None,
    "repeats": None,
}
CODES = {"pass": ExitCode.PASS, "unknown": ExitCode.UNKNOWN, "fail": ExitCode.FAIL}


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
                "first": _is_first(v, verdicts),
            }
            for name, v in runs
        ],
        "skipped": [dict(item) for item in skipped],
        "recovery": _recovery(verdicts),
        "verdict": verdict,
        "exit_code": int(worst_code([CODES[verdict], *codes])),
    }


def _recovery(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over all runs; where they are of several experiments, whose times have no common median,
    only the counts, and the figures of each."""
    by = {name: figures(group) for name, group in groups_of(verdicts).items()}
    if len(by) == 1:
        return {**next(iter(by.values())), "by_experiment": by}
    counts = {key: sum(found[key] for found in by.values()) for key in ("n", "void", "censored")}
    return {**_NOTHING, **counts, "by_experiment": by}


def _is_first(verdict: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]]) -> bool:
    """Whether it is its experiment's first in the set, whose caches no repeat had warmed."""
    name = verdict["experiment"]
    return verdict is next(v for v in verdicts if v["experiment"] == name)


def groups_of(verdicts: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The runs of each experiment, in order."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for verdict in verdicts:
        groups.setdefault(str(verdict["experiment"]), []).append(verdict)
    return groups


def figures(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The spread of the recovery time of one experiment's runs, in their order.

    Median with a bootstrap interval (Kaplan-Meier's where any run is censored), the mean (MTTR)
    only where none is. Void runs are counted, not used. ``first``: the first run, where it differs
    so much from the others (see ``_stands_apart``) that it is told apart and is in no figure, nor
    in ``n``. ``repeats``: how many more runs the next better precision needs, in seconds.
    """
    first, pairs = _apart(verdicts)
    times, cut = [t for t, _ in pairs], [c for _, c in pairs]
    censored = sum(cut)
    interval = median_interval(times, cut)
    return {
        "n": len(times),
        "void": sum(not v["valid"] for v in verdicts),
        "censored": censored,
        "median": _ms(median_of(times, cut)),
        "interval": None if interval is None else [_ms(bound) for bound in interval],
        "mean": _ms(fmean(times)) if times and not censored else None,
        "first": None if first is None else {"recovery_time": _ms(first[0]), "censored": first[1]},
        "repeats": _repeats(len(times), interval),
    }


def recovery_times(verdicts: Iterable[Mapping[str, Any]]) -> list[tuple[float, bool]]:
    """(recovery time in seconds, is it censored) of each valid run with an injected fault."""
    return [
        (float(v["recovery"]["recovery_time"]), bool(v["recovery"]["censored"]))
        for v in verdicts
        if v["valid"] and v["recovery"]["recovery_time"] is not None
    ]


def _apart(
    verdicts: Sequence[Mapping[str, Any]],
) -> tuple[tuple[float, bool] | None, list[tuple[float, bool]]]:
    """(the first run if it stands apart, the runs that the figures are of)."""
    first, others = recovery_times(verdicts[:1]), recovery_times(verdicts[1:])
    if first and _stands_apart(first[0], others):
        return first[0], others
    return None, [*first, *others]


def _stands_apart(first: tuple[float, bool], others: Sequence[tuple[float, bool]]) -> bool:
    """Whether the first run, whose caches nothing had warmed, lies further from the others than
    they lie from one another. Only of enough others; by chance at most 6 of 100 such sets."""
    if len(others) < _LEAST_OTHERS or any(cut for _, cut in others):
        return False
    low, high = min(t for t, _ in others), max(t for t, _ in others)
    width = max(high - low, _SAME)
    beyond = first[0] > high + width  # a censored one is longer still
    return beyond or (first[0] < low - width and not first[1])


def _repeats(count: int, interval: Sequence[float | None] | None) -> dict[str, Any] | None:
    """{"precision": ± seconds, "more": runs}; ``precision`` null: for an interval at all. None
    where nothing is to be gained, or the interval has no end."""
    if count < LEAST_FOR_INTERVAL:
        return {"precision": None, "more": LEAST_FOR_INTERVAL - count}
    if interval is None or interval[0] is None or interval[1] is None:
        return None
    half = (interval[1] - interval[0]) / 2
    if half < _SAME:
        return None
    wanted = _nice_below(half * _WORTH)
    total = repeats_for(count, half, wanted)
    return None if total is None else {"precision": wanted, "more": total - count}


def _nice_below(value: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not above ``value``."""
    power = 10.0 ** math.floor(math.log10(value))
    return round(next(n for n in (5, 2, 1) if n * power <= value * (1 + 1e-9)) * power, 6)


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
