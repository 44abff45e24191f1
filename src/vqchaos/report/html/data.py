"""What the page of a run shows, as plain JSON values: from its verdict and its history. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from vqchaos.history.events import PHASES, PILOT, StartAttempt
from vqchaos.recovery.outage import outages
from vqchaos.report.html.lanes import lanes, long_lies
from vqchaos.report.html.logs import LogLine, excerpt
from vqchaos.report.html.moments import marks, moments
from vqchaos.report.html.series import dots, edges, series
from vqchaos.report.words import AFTER, MARKS, counts, quantity, recovery_line, replica_table
from vqchaos.units import format_duration, format_share
from vqchaos.view import Group, RunView

Verdict = Mapping[str, Any]
CORRUPTED = ("corrupted", "malformed", "misrouted")
_MARGIN = 10.0  # seconds around the fault that are shown finely
_ROWS = 48  # of the table that stands for the chart
_TAIL = 20  # lines of a failed start's log


@dataclass(frozen=True, slots=True)
class Material:
    """What lies in the run's folder beside verdict and history."""

    experiment: str = ""  # the YAML as resolved
    stack: Mapping[str, Any] = field(default_factory=dict)
    logs: Sequence[LogLine] = ()


def run_data(verdict: Verdict, run: RunView, material: Material) -> dict[str, Any]:
    """All that the page of a run shows."""
    zero = verdict["recovery"]["injected_at"]
    happened, more = moments(run)
    lines, left_out = excerpt(material.logs, zero or 0.0)
    columns, rows = replica_table(verdict)
    return {
        "verdict": verdict,
        "mark": MARKS[verdict["verdict"]],
        "sentence": sentence(verdict),
        "judged": judged(verdict),
        "tiles": tiles(verdict),
        "zero": zero,
        "duration": format_duration(run.watched_until),
        "chart": chart(verdict, run),
        "marks": marks(verdict),
        "steps": steps(verdict),
        "checks": [_check(check) for check in verdict["checks"]],
        "traffic": _traffic(verdict),
        "replicas": {"columns": columns, "rows": rows},
        "findings": findings(verdict, run),
        "moments": happened,
        "moments_more": more,
        "logs": lines,
        "logs_left_out": left_out,
        "attempts": [
            {"outcome": a.outcome, "cause": a.cause, "tail": "\n".join(a.log_tail[-_TAIL:])}
            for a in run.all(StartAttempt)
            if a.log_tail or a.cause
        ],
        "experiment": material.experiment,
        "hypothesis": getattr(run.experiment, "hypothesis", "") or "",
        "versions": _versions(material.stack),
        "stack": material.stack,
        "ended": "" if run.ended is None else run.ended.how,
    }


# ---------------------------------------------------------------- on top


def sentence(verdict: Verdict) -> str:
    """The verdict in one sentence."""
    if not verdict["valid"]:
        return "This run is void: it shows nothing."
    line = recovery_line(verdict)
    return f"{line[:1].upper()}{line[1:]}."


def judged(verdict: Verdict) -> str:
    """What the checks came to: ``1 of 3 checks failed: recovery_time``."""
    checks = verdict["checks"]
    if not checks:
        return "Nothing was judged: the experiment has no checks."
    parts = []
    for said, words in (("fail", "failed"), ("unknown", "could not be judged")):
        names = [str(c["name"]) for c in checks if c["verdict"] == said]
        if names:
            parts.append(f"{len(names)} of {len(checks)} checks {words}: {', '.join(names)}")
    one = "the one check passed" if len(checks) == 1 else f"all {len(checks)} checks passed"
    text = "; ".join(parts) or one
    return f"{text[:1].upper()}{text[1:]}."


def tiles(verdict: Verdict) -> list[dict[str, str]]:
    """The numbers that matter: name, value, and what it is about. ``tone``: bad where it is not
    as it should be."""
    found, total = verdict["recovery"], after_fault(verdict)
    sent = sum(total.values()) - total["cancelled"]
    failed = sent - total["ok"]
    wrong = sum(total[o] for o in CORRUPTED)
    return [
        _recovery_tile(verdict),
        _tile(
            "Outage",
            "-"
            if found["outage"] is None
            else format_duration(found["outage"])
            if found["outage"]
            else "none",
            _longest(found),
            bad=bool(found["outage"]),
        ),
        _tile(
            "Failed requests",
            f"{failed:,}",
            f"{format_share(failed / sent)} of {sent:,} from the fault on" if sent else "none sent",
            bad=failed > 0,
        ),
        _tile("Hung", f"{total['hung']:,}", "past their deadline", bad=total["hung"] > 0),
        _tile("Corrupted", f"{wrong:,}", "wrong, garbled or misrouted", bad=wrong > 0),
        _latency_tile(verdict),
    ]


def after_fault(verdict: Verdict) -> Counter[str]:
    """The clients' requests from the fault phase on, by outcome."""
    total = Counter[str]()
    for workload, phases in verdict["outcomes"].items():
        if workload != PILOT:
            for phase in AFTER:
                total.update(phases.get(phase, {}))
    return total


def recovery_time(verdict: Verdict) -> str:
    """``18.1s``, ``> 33s``, ``no impact`` or ``-``."""
    found = verdict["recovery"]
    if not verdict["valid"] or found["recovery_time"] is None:
        return "-"
    if verdict["impact"] == "none":
        return "no impact"
    return ("> " if found["censored"] else "") + format_duration(found["recovery_time"])


def _recovery_tile(verdict: Verdict) -> dict[str, str]:
    found = verdict["recovery"]
    since = f"since the last {found['anchor']}" if found["anchor"] else "nothing was injected"
    if found["censored"]:
        since = f"not recovered, {since}"
    return _tile("Recovery time", recovery_time(verdict), since, bad=bool(found["censored"]))


def _longest(found: Mapping[str, Any]) -> str:
    if not found["outage"]:
        return "nobody was without tokens"
    if found["longest_outage"] < found["outage"]:
        return f"longest {format_duration(found['longest_outage'])}"
    return "nobody got a token"


def _latency_tile(verdict: Verdict) -> dict[str, str]:
    for workload, phases in verdict["latency"].items():
        before = phases.get("baseline", {}).get("ttft_p95")
        if workload == PILOT or before is None:
            continue
        under = phases.get("fault", {}).get("ttft_p95")
        note = f"baseline {format_duration(before)}, first token"
        value = "-" if under is None else format_duration(under)
        return _tile("TTFT p95 in the fault", value, note, bad=bool(under and under > 2 * before))
    return _tile("TTFT p95 in the fault", "-", "no baseline", bad=False)


def _tile(name: str, value: str, note: str, *, bad: bool) -> dict[str, str]:
    return {"name": name, "value": value, "note": note, "tone": "bad" if bad else ""}


# ---------------------------------------------------------------- the chart


def chart(verdict: Verdict, run: RunView) -> dict[str, Any]:
    """The figures behind the chart, and the table that stands for it."""
    requests = run.select(cancelled=True)
    end = max(run.watched_until, 1.0)
    zero = verdict["recovery"]["injected_at"]
    back = verdict["recovery"]["recovered_at"]
    focus = None
    if zero is not None:
        marked = [m["at"] for m in marks(verdict)]
        focus = (
            max(0.0, zero - _MARGIN),
            min(end, max([zero, *marked]) + _MARGIN if back is not None else end),
        )
    borders = edges(end, len(requests) / end, focus)
    found = series(requests, borders)
    for outcome in found["outcomes"]:
        del outcome["counts"]  # the chart draws rates: its intervals differ
    return {
        "x": borders,
        "zero": zero,
        "back": back,
        "focus": focus,
        **found,
        "dots": dots(requests),
        "lanes": lanes(run),
        "held": [
            [f["injected_at"], f["reverted_at"] or end]
            for f in verdict["faults"]
            if f["held"] and f["injected_at"] is not None
        ],
        "outages": [[round(a, 3), round(b, 3)] for a, b in outages(run)],
        "marks": marks(verdict),
        "table": _table(run, requests, end),
    }


def _table(run: RunView, requests: Group, end: float) -> dict[str, Any]:
    """The same figures in at most ``_ROWS`` rows, for those who read a table better."""
    count = max(1, min(_ROWS, int(end)))
    borders = [round(end * n / count, 3) for n in range(count + 1)]
    found = series(requests, borders)
    names = [o["name"] for o in found["outcomes"]]
    rows = []
    for n, (start, _) in enumerate(pairwise(borders)):
        rows.append(
            {
                "from": start,
                "phase": run.sent_in(start),
                "counts": [o["counts"][n] for o in found["outcomes"]],
                "ttft_p50": quantity(found["ttft_p50"][n], "s"),
                "ttft_p95": quantity(found["ttft_p95"][n], "s"),
                "e2e_p95": quantity(found["e2e_p95"][n], "s"),
            }
        )
    return {"names": names, "rows": rows}


def steps(verdict: Verdict) -> list[dict[str, Any]]:
    """The way back, a row a stage: where its bar starts and how long it is, in percent."""
    found = marks(verdict)
    if len(found) < 2:
        return []
    zero = found[0]["at"]
    total = max(m["at"] - zero for m in found) or 1.0
    out, before = [], zero
    for mark in found:
        since = max(0.0, mark["at"] - before)
        start = (min(before, mark["at"]) - zero) / total * 100
        out.append(
            {
                **mark,
                "since": mark["at"] - zero,
                "took": "" if mark["n"] == 1 else format_duration(since),
                "x": round(min(start, 99.0), 2),
                "width": round(max(0.6, since / total * 100), 2),
            }
        )
        before = max(before, mark["at"])
    return out


# ---------------------------------------------------------------- below it


def _check(check: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": check["name"],
        "type": check["type"],
        "verdict": check["verdict"],
        "mark": MARKS[check["verdict"]],
        "place": [check[k] for k in ("phase", "workload", "replica") if check.get(k)],
        "observed": quantity(check["observed"], check["unit"]),
        "limit": quantity(check["limit"], check["unit"]),
        "why": check["why"],
        "known": check["known"],
    }


def _traffic(verdict: Verdict) -> list[dict[str, Any]]:
    out = []
    for workload, phases in verdict["outcomes"].items():
        for phase in (p for p in PHASES if p in phases):
            outcomes = phases[phase]
            figures = verdict["latency"].get(workload, {}).get(phase, {})
            out.append(
                {
                    "workload": workload,
                    "phase": phase,
                    "sent": sum(outcomes.values()),
                    "ok": outcomes.get("ok", 0),
                    "bad": counts(outcomes),
                    **{
                        key: quantity(figures.get(key), "s")
                        for key in ("ttft_p50", "ttft_p95", "itl_p95", "e2e_p95")
                    },
                }
            )
    return out


def findings(verdict: Verdict, run: RunView) -> list[dict[str, str]]:
    """The verdict's findings; health's lies too where no check is about them; what was left."""
    out = [{"kind": f["kind"], "text": f["text"]} for f in verdict["findings"]]
    if not any(c["type"] == "health_truthful" for c in verdict["checks"]):
        said = {
            "dead_200": "said 200 while nothing was served",
            "old_200": "said 200 of the process before the restart",
        }
        for lie in long_lies(run):
            what = said.get(lie.kind, f"said {lie.said} while tokens were served")
            text = f"health lied for {format_duration(lie.duration)}: it {what}"
            out.append({"kind": "health", "text": text})
    return out + [{"kind": "residue", "text": text} for text in _residue(verdict["residue"])]


def _residue(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each kind; three of it by name, verdict.json has all."""
    kinds: dict[str, list[str]] = {}
    for item in items:
        named = " ".join(str(item[k]) for k in ("name", "detail") if item.get(k))
        kinds.setdefault(str(item.get("kind", "thing")), []).append(named)
    return [
        f"{len(named)} {kind.replace('_', ' ')}: {'; '.join(named[:3])}"
        + (f"; and {len(named) - 3} more" if len(named) > 3 else "")
        for kind, named in kinds.items()
    ]


def _versions(stack: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = stack.get("versions")
    pairs = list(found.items()) if isinstance(found, Mapping) else []
    named = ("model", "model_fingerprint", "served_model_name", "kind", "environment", "url")
    pairs += [(key, stack[key]) for key in named if stack.get(key)]
    return [(str(key), _flat(value)) for key, value in pairs]


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    return str(value)
