"""A gate's judgement over a set: each rule's verdict with its reason, then the worst of them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from vqchaos.checks.base import Verdict, worst
from vqchaos.compare import Limit, compare
from vqchaos.compare_words import describe
from vqchaos.errors import UsageError, VqchaosError
from vqchaos.experiment.gate import (
    Gate,
    RecoveryLimit,
    Regression,
    Rule,
    Skipped,
    Valid,
    Verdicts,
)
from vqchaos.saved import load_runs
from vqchaos.summary import recovery_times
from vqchaos.units import format_duration, parse_share

Runs = Sequence[Mapping[str, Any]]
_STATES: dict[str, Verdict] = {"same": "pass", "regression": "fail", "unclear": "unknown"}
_Answer = tuple[Verdict, str]


def judge_gate(
    gate: Gate, file: Path, summary: Mapping[str, Any], verdicts: Runs
) -> dict[str, Any]:
    """summary.json's ``gate``. ``verdicts``: verdict.json of each run. A rule that cannot be judged
    is ``unknown`` and says why."""
    rows: list[dict[str, Any]] = []
    for rule in gate.rules:
        kind = str(rule.type)
        try:
            verdict, why = _JUDGES[type(rule)](rule, gate, file, summary, verdicts)
        except VqchaosError as error:
            verdict, why = "unknown", str(error)
        except Exception as error:  # hours of runs must not be lost for a kept file that is odd
            verdict, why = "unknown", f"{type(error).__name__}: {error}"
        rows.append({"name": rule.name or kind, "type": kind, "verdict": verdict, "why": why})
    return {
        "name": gate.name,
        "title": gate.title,
        "verdict": worst([row["verdict"] for row in rows]),
        "rules": rows,
    }


def require_known(gate: Gate, file: Path, experiments: Collection[str]) -> None:
    """What the rules name is there. Raises UsageError: nothing is run for a gate that cannot be
    judged."""
    for rule in gate.rules:
        if isinstance(rule, Regression):
            load_runs(gate.base_of(rule, file))
        named: Sequence[str] = ()
        if isinstance(rule, RecoveryLimit):
            named = (rule.experiment,)
        elif isinstance(rule, Verdicts):
            named = rule.experiments or ()
        for name in named:
            if name not in experiments:
                close = difflib.get_close_matches(name, experiments, n=1)
                raise UsageError(
                    f"{file}: no experiment of these is called '{name}'"
                    + (f" (did you mean '{close[0]}'?)" if close else ""),
                    hint=f"there is {', '.join(sorted(experiments))}",
                )


def _verdicts(
    rule: Verdicts, _gate: Gate, _file: Path, summary: Mapping[str, Any], verdicts: Runs
) -> _Answer:
    wanted = rule.experiments
    mine = [v for v in verdicts if wanted is None or v["experiment"] in wanted]
    names = {v["experiment"] for v in mine}
    missing = [name for name in wanted or [] if name not in names]
    missing += [name for name in summary.get("not_run", []) if wanted is None or name in wanted]
    states: list[Verdict] = [v["verdict"] if v["valid"] else "unknown" for v in mine]
    # A void run hides no failure of its own.
    states += [v["verdict"] for v in mine if not v["valid"]]
    states += ["unknown"] * len(missing)
    bad = sorted({f"{v['experiment']} {v['verdict']}" for v in mine if v["verdict"] != "pass"})
    bad += [f"{name} was not run" for name in dict.fromkeys(missing)]
    if not states:
        return "unknown", "nothing was run"
    return worst(states), "; ".join(bad) or f"{len(mine)} of {len(mine)} runs passed"


def _recovery(
    rule: RecoveryLimit, _gate: Gate, _file: Path, summary: Mapping[str, Any], verdicts: Runs
) -> _Answer:
    mine = recovery_times(v for v in verdicts if v["experiment"] == rule.experiment)
    if not mine:
        return "unknown", f"no valid run of {rule.experiment} has a recovery time"
    spread = summary["recovery"]["by_experiment"][rule.experiment]
    watched = max((time for time, cut in mine if cut), default=0.0)
    answers: list[_Answer] = []
    if rule.median is not None:
        answers.append(_within("median", spread["median"], rule.median, watched))
    if rule.upper is not None and spread["interval"] is None:
        apart = " (the first stands apart)" if spread["n"] < len(mine) else ""
        few = f"{spread['n']} runs{apart} have no interval: repeat the experiment more often"
        answers.append(("unknown", few))
    elif rule.upper is not None:
        high = spread["interval"][1]
        answers.append(_within("upper end of the interval", high, rule.upper, watched))
    if rule.worst is not None:
        slowest = max(time for time, _ in mine)
        known = slowest if slowest > rule.worst or not watched else None
        answers.append(_within("worst", known, rule.worst, watched))
    found = worst([verdict for verdict, _ in answers])
    return found, f"{rule.experiment}, n = {spread['n']}: " + "; ".join(why for _, why in answers)


def _within(what: str, value: float | None, limit: float, watched: float) -> _Answer:
    """None: longer than the longest that was watched in vain."""
    if value is None:
        seen = f"{what} beyond the {format_duration(watched)} watched"
        fails = limit <= watched
        return ("fail" if fails else "unknown"), f"{seen}, limit {format_duration(limit)}"
    said = f"{what} {format_duration(value)}, limit {format_duration(limit)}"
    return ("pass" if value <= limit else "fail"), said


def _skipped(
    rule: Skipped, _gate: Gate, _file: Path, summary: Mapping[str, Any], _verdicts: Runs
) -> _Answer:
    names = [str(item["experiment"]) for item in summary.get("skipped", [])]
    said = f"{len(names)} skipped" + (f" ({', '.join(names)})" if names else "")
    return ("pass" if len(names) <= rule.max else "fail"), f"{said}, at most {rule.max}"


def _valid(
    rule: Valid, _gate: Gate, _file: Path, summary: Mapping[str, Any], verdicts: Runs
) -> _Answer:
    counts: dict[str, int] = dict.fromkeys(summary.get("not_run", []), 0)
    for verdict in verdicts:
        name = str(verdict["experiment"])
        counts[name] = counts.get(name, 0) + bool(verdict["valid"])
    few = [f"{name} has {count}" for name, count in counts.items() if count < rule.min]
    if few or not counts:
        return "unknown", ("; ".join(few) or "nothing was run") + f", at least {rule.min}"
    return "pass", f"at least {rule.min} valid runs of each"


def _regression(
    rule: Regression, gate: Gate, file: Path, _summary: Mapping[str, Any], verdicts: Runs
) -> _Answer:
    base = load_runs(gate.base_of(rule, file))
    drop = parse_share(rule.max_drop)
    found = compare(base, list(verdicts), Limit.parse(rule.max), max_drop=drop)
    lines = [line for line in found.lines if line.state == found.state] or found.lines
    said = "; ".join(f"{line.experiment}, {line.what}: {describe(line)}" for line in lines[:3])
    more = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
    return _STATES[found.state], "; ".join(filter(None, [*found.notes[:2], said + more]))


_JUDGES: dict[type[Rule], Callable[..., _Answer]] = {
    Verdicts: _verdicts,
    RecoveryLimit: _recovery,
    Skipped: _skipped,
    Valid: _valid,
    Regression: _regression,
}
