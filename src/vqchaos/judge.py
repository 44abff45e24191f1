"""From a run's history to its verdict. ``judge`` is pure; ``judge_folder`` reads and writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqchaos import __version__
from vqchaos.checks.base import Check, Result, Verdict, worst
from vqchaos.errors import ExitCode, UsageError
from vqchaos.history.events import PHASES, PILOT, Event
from vqchaos.history.store import HistoryError, read, uncollected
from vqchaos.recovery import Recovery, recover
from vqchaos.recovery.figures import share_of_pilot
from vqchaos.report.files import write_run
from vqchaos.report.verdict import CheckRow, FaultRow, Judgement
from vqchaos.stats import samples_for
from vqchaos.summary import judge_set
from vqchaos.view import RunView
from vqchaos.view.strip import strip
from vqchaos.view.validity import golden_mismatches, reactions, void_reasons

if TYPE_CHECKING:
    from vqchaos.experiment.model import Experiment

__all__ = ["judge", "judge_folder", "judge_set"]

_CODES = {"pass": ExitCode.PASS, "unknown": ExitCode.UNKNOWN, "fail": ExitCode.FAIL}
Findings = list[dict[str, str]]


def judge(
    events: Sequence[Event],
    experiment: Experiment,
    *,
    stack: Mapping[str, Any] | None = None,
    today: date | None = None,
) -> Judgement:
    """The verdict on one run; the same events give the same bytes.

    ``stack`` is stack.json's content, for its digest. ``today`` decides which ``known:`` have
    expired: by default the day (UTC) on which the run started.
    """
    return judge_view(RunView(events, experiment), experiment, stack=stack, today=today)


def judge_view(
    run: RunView,
    experiment: Experiment,
    *,
    stack: Mapping[str, Any] | None = None,
    today: date | None = None,
) -> Judgement:
    """As ``judge``, of a history that is sorted out already."""
    started = run.started
    if today is None:
        wall = 0.0 if started is None else started.started_wall
        today = datetime.fromtimestamp(wall, UTC).date()
    findings: Findings = []
    rows = [_row(check, run, today, findings) for check in _named(experiment.checks)]
    recovery = recover(run)
    void = void_reasons(run)
    unclean = _unclean(run, findings)
    _say(run, recovery, findings, rows)
    verdict: Verdict = "unknown" if void else worst([_verdict_of(row) for row in rows])
    stopped = run.ended is not None and run.ended.how == "stopped"
    if stopped and run.ended is not None:
        findings.append({"kind": "stopped", "check": "abort_when", "text": run.ended.why})
    if (unclean or stopped) and not void:
        verdict = "fail"  # a revert that failed forbids a pass
    return Judgement(
        vqchaos_version=__version__ if started is None else started.vqchaos_version,
        run="" if started is None else started.run,
        experiment=experiment.name,
        title=experiment.title,
        experiment_digest=_digest(_essence(experiment)),
        stack="" if started is None else started.stack,
        stack_digest=None if stack is None else _digest(stack),
        seed=experiment.seed if started is None else started.seed,
        started_wall=None if started is None else started.started_wall,
        verdict=verdict,
        exit_code=int(_exit_code(run, verdict, unclean=unclean)),
        valid=not void,
        void_reasons=void,
        impact=recovery.impact,
        in_flight_at_injection=run.in_flight_at_injection,
        pilot_share=_rounded(share_of_pilot(run), 4),
        faults=_faults(run),
        checks=rows,
        recovery=recovery.as_dict(),
        outcomes=run.outcomes(),
        latency=_latency(run),
        by_replica=run.by_replica(),
        strip=strip(run),
        findings=findings,
        leftovers=run.leftovers,
        residue=run.residue or [],
    )


# ---------------------------------------------------------------- checks


def _named(checks: Sequence[Check]) -> list[tuple[str, Check]]:
    """Each check with its name; a type that is there twice gets numbers."""
    seen: dict[str, int] = {}
    out = []
    for check in checks:
        name = check.name or check.type
        seen[name] = seen.get(name, 0) + 1
        out.append((name if seen[name] == 1 else f"{name} {seen[name]}", check))
    return out


def _row(named: tuple[str, Check], run: RunView, today: date, findings: Findings) -> CheckRow:
    name, check = named
    try:
        result = check.judge(run)
    except Exception as error:
        why = f"the check itself failed: {type(error).__name__}: {error}"
        result = Result("unknown", why)
    verdict, why, known = _with_known(name, check, result, today, findings)
    if known is None or known["state"] != "accepted":
        findings += [{"kind": check.type, "check": name, "text": text} for text in result.findings]
    return CheckRow(
        name=name,
        type=check.type,
        phase=getattr(check, "phase", None),
        workload=getattr(check, "workload", None),
        replica=getattr(check, "replica", None),
        verdict=verdict,
        observed=result.observed,
        limit=result.limit,
        unit=result.unit,
        why=why,
        known=known,
    )


def _with_known(
    name: str, check: Check, result: Result, today: date, findings: Findings
) -> tuple[Verdict, str, dict[str, str] | None]:
    """(verdict, why, known) after the check's ``known:``: it turns a fail into a finding that does
    not count, a pass into a fail, and ends by its date."""
    if check.known is None:
        return result.verdict, result.why, None
    until = check.known.until.isoformat()
    known = {"why": check.known.why, "until": until}
    if today > check.known.until:
        why = f"{result.why} (its `known:` ended on {until})"
        return result.verdict, why, {**known, "state": "expired"}
    if result.verdict == "fail":
        text = f"{result.why}; accepted until {until}: {check.known.why}"
        findings.append({"kind": "known", "check": name, "text": text})
        return "pass", f"known failure, {text}", {**known, "state": "accepted"}
    if result.verdict == "pass":
        why = f"fixed: remove `known` ({check.known.why}); {result.why}"
        return "fail", why, {**known, "state": "fixed"}
    return result.verdict, result.why, {**known, "state": "unused"}


def _verdict_of(row: CheckRow) -> Verdict:
    return "pass" if row.verdict == "pass" else "fail" if row.verdict == "fail" else "unknown"


# ---------------------------------------------------------------- what else is to be said


def _unclean(run: RunView, findings: Findings) -> bool:
    """Whether something of ours may still be in force; says what."""
    dirty: Findings = []
    for fault in run.faults:
        if (why := fault.revert_failed) is not None:
            text = f"fault '{fault.name}' could not be reverted: {why}"
            dirty.append({"kind": "revert_failed", "text": text})
        elif fault.in_force:
            text = f"fault '{fault.name}' was never proven undone; `vqchaos heal` looks for it"
            dirty.append({"kind": "revert_failed", "text": text})
    for item in run.leftovers:
        detail = f" ({item['detail']})" if item.get("detail") else ""
        text = f"{item.get('kind', '')} {item.get('name', '')} is not as before the run{detail}"
        dirty.append({"kind": "leftover", "text": text})
    findings += dirty
    return bool(dirty)


def _say(run: RunView, recovery: Recovery, findings: Findings, rows: list[CheckRow]) -> None:
    """Findings that no check is about."""
    if not rows:
        text = "the experiment has no checks, so that nothing was judged"
        findings.append({"kind": "no_checks", "text": text})
    findings += [{"kind": "canary", "text": text} for text in golden_mismatches(run)]
    if recovery.relapses:
        times = "once" if recovery.relapses == 1 else f"{recovery.relapses} times"
        text = f"the service relapsed {times} after it had seemed to recover"
        findings.append({"kind": "relapse", "text": text})
    if run.residue and not any(row.type == "no_residue" for row in rows):
        text = f"the stack left {len(run.residue)} things of its own behind; no check is about them"
        findings.append({"kind": "residue", "text": text})
    reacted = reactions(run) if any(f.verified == "none" for f in run.faults) else []
    findings += [
        {"kind": "not_verified", "text": f"fault '{f.name}' cannot be verified; {reacted[0]}"}
        for f in run.faults
        if f.verified == "none" and reacted
    ]


def _exit_code(run: RunView, verdict: Verdict, *, unclean: bool) -> ExitCode:
    if unclean:
        return ExitCode.UNCLEAN
    ended = run.ended
    if ended is not None and ended.how == "interrupted":
        try:
            return ExitCode(128 + (ended.signal or 2))
        except ValueError:
            return ExitCode.SIGTERM
    return _CODES[verdict]


# ---------------------------------------------------------------- figures


def _faults(run: RunView) -> list[FaultRow]:
    return [
        FaultRow(
            name=f.name,
            type=f.type,
            target=f.target,
            held=f.held,
            injected_at=_rounded(f.injected_at),
            injected_by=f.injected_by,
            verified=f.verified,
            verified_at=_rounded(f.verified_at),
            reverted_at=_rounded(f.reverted_at),
            error=f.error or f.revert_failed,
        )
        for f in run.faults
    ]


def _latency(run: RunView) -> dict[str, dict[str, dict[str, float | None]]]:
    out: dict[str, dict[str, dict[str, float | None]]] = {}
    for name in [*run.workloads, PILOT]:
        for phase in PHASES:
            found = run.latency(phase, name)
            if found.count:
                out.setdefault(name, {})[phase] = {
                    "ttft_p50": _rounded(found.ttft_p50, 4),
                    "ttft_p95": _of_enough(found.ttft_p95, found.count),
                    "itl_p95": _of_enough(found.itl_p95, found.gaps),
                    "e2e_p95": _of_enough(found.e2e_p95, found.count),
                }
    return out


def _of_enough(p95: float | None, count: int) -> float | None:
    """A p95 of fewer values than it takes is only the highest of them: not given."""
    return _rounded(p95, 4) if count >= samples_for(0.95) else None


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


def _essence(experiment: Experiment) -> dict[str, Any]:
    """What makes two runs runs of the same experiment: not the seed, not how often."""
    left_out = {"seed", "repeat", "min_valid"}
    return {key: value for key, value in experiment.resolved().items() if key not in left_out}


def _digest(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


# ---------------------------------------------------------------- a run's folder


def judge_folder(
    folder: Path, experiment_file: Path | None = None, *, save: bool = True
) -> dict[str, Any]:
    """Judge a run where it lies, offline; the content of verdict.json.

    ``experiment_file`` brings other checks than the run's own. With ``save`` verdict.json,
    report.html, junit.xml, summary.md and metrics.prom are written anew. Raises UsageError if the
    folder holds no history that can be read, InvalidFile for an experiment that is not in order.
    """
    from vqchaos.experiment.files import load_experiment  # noqa: PLC0415 - YAML only comes in here

    try:
        events = read(folder / "history.jsonl")
    except HistoryError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"{folder}: cannot read its history: {error.strerror}") from error
    experiment = load_experiment(folder / "experiment.yaml")
    if experiment_file is not None:
        checks = load_experiment(experiment_file).checks
        experiment = experiment.model_copy(update={"checks": checks})
    with uncollected():
        run = RunView(events, experiment)
        verdict = judge_view(run, experiment, stack=_stack(folder)).as_dict()
    if save:
        write_run(folder, verdict, run)
    return verdict


def _stack(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
