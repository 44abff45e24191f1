"""When a run is void: it shows nothing, whatever its checks say."""

from __future__ import annotations

from vqchaos.history.events import PILOT, ProcessExited, ProcessStopped
from vqchaos.units import format_duration, format_share
from vqchaos.view.canaries import against_golden
from vqchaos.view.evidence import health_text
from vqchaos.view.run import RunView

_REACTION = 1.25  # a latency ratio that counts as a reaction


def golden_mismatches(run: RunView) -> list[str]:
    """Baseline canaries that differ from the golden answers: damaged before the run."""
    out = []
    for probe in run.canaries.get("baseline", []):
        judged = against_golden(probe)
        if judged is not None and judged.state == "changed":
            out.append(f"canary '{probe.name}' is not the golden answer: {judged.why}")
    return out


def baseline_problems(run: RunView) -> list[str]:
    """Why the baseline is not steady; empty if it is."""
    steady = run.experiment.steady_state
    groups = run.baseline_requests
    seen = [
        group.where(lambda kind: kind.outcome != "cancelled")
        for name, group in groups.items()
        if name != PILOT
    ]
    count = sum(map(len, seen))
    out = []
    if count < steady.requests:
        out.append(
            f"{count} requests ended in the baseline, {steady.requests} are needed "
            "(raise `rate` or `phases.baseline`)"
        )
    ok = sum(group.count("ok") for group in seen)
    if count and ok / count < steady.ok:
        bad = (group.where(lambda kind: kind.outcome != "ok") for group in seen)
        first = next(group[0] for group in bad if group)
        out.append(
            f"{format_share(ok / count)} of {count} baseline requests were ok, "
            f"{format_share(steady.ok)} are needed; the first that was not, at "
            f"{first.ended:.1f} s: {first.outcome}" + (f", {first.detail}" if first.detail else "")
        )
    out += [
        f"canary '{probe.name}' got no good answer in the baseline: {probe.outcome}"
        + (f", {probe.detail}" if probe.detail else "")
        for probe in run.canaries.get("baseline", [])
        if probe.outcome != "ok"
    ]
    return out + golden_mismatches(run)


def reactions(run: RunView) -> list[str]:
    """What reacted from the first injection on: processes, health, outcomes, latency."""
    since = run.first_injection
    if since is None:
        return []
    out = []
    moved = [
        e for e in run.processes if e.t >= since and isinstance(e, (ProcessExited, ProcessStopped))
    ]
    if moved:
        out.append(f"the {moved[0].role} process at {moved[0].t:.1f} s")
    usual = run.evidence.usual or "200"
    other = run.health.saying(lambda probe: health_text(probe) != usual)
    changed = run.health.first(other & (run.health.t >= since))
    if changed is not None:
        out.append(f"health said {health_text(changed)} at {changed.t:.1f} s")
    after = run.troubles.pick(run.troubles.at >= since)
    bad = min(((t, r.outcome) for t, r in after), default=None)
    if bad is not None:
        out.append(f"a request: {bad[1]} at {bad[0]:.1f} s")
    slow = run.slowness(run.select("fault"))
    if slow is not None and slow[0] > _REACTION:
        out.append(f"first tokens came {slow[0]:.1f} times as late ({slow[1]})")
    return out


def void_reasons(run: RunView) -> list[str]:
    """Every reason, the most basic first; empty if the run is valid."""
    out: list[str] = []
    ended = run.ended
    if ended is None:
        out.append("the history is incomplete: it has no end (was the runner killed?)")
    elif ended.how == "void":
        out.append(ended.why or "the runner called it void")
    elif ended.how not in ("completed", "stopped"):
        out.append(
            f"the run was not completed: {ended.how}" + (f", {ended.why}" if ended.why else "")
        )
    # A run that ended before its faults has a cut baseline: that it was thin is no news.
    cut = bool(out) and run.phase("fault") is None
    out += [
        f"the baseline was not steady: {problem}"
        for problem in (golden_mismatches(run) if cut else baseline_problems(run))
        if not any(problem in said for said in out)
    ]
    out += _fault_reasons(run, out)
    limit, lag = run.experiment.observer.max_lag, run.lag
    if lag is not None and lag[0] > limit:
        out.append(
            f"the observer itself was late: lag {lag[1]} {format_duration(lag[0])}, at most "
            f"{format_duration(limit)} (is the machine that sends the load overloaded?)"
        )
    return out


def _fault_reasons(run: RunView, said: list[str]) -> list[str]:
    out = []
    for fault in run.faults:
        message = (fault.error or "").partition(": ")[2]
        if fault.error is not None and not any(message in s for s in said):
            out.append(f"fault '{fault.name}' failed at {fault.error}")
        if fault.verified == "no":
            why = f": {fault.verified_why}" if fault.verified_why else ""
            out.append(f"fault '{fault.name}' did not take hold{why}")
    blind = [f.name for f in run.faults if f.verified == "none"]
    if blind and not reactions(run):
        out.append(
            f"fault '{blind[0]}' cannot be verified, and nothing reacted: no process, health, "
            "outcome or latency changed"
        )
    elif run.first_injection is None and not said and not out:
        out.append("nothing was injected")
    return out
