"""summary.md: a run or a set in Markdown, good for a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vqchaos.report.spread import set_recovery
from vqchaos.report.words import MARKS, counts, quantity, recovery_line, replica_table, timeline
from vqchaos.text import one_line

Verdict = Mapping[str, Any]
_SPECIAL = re.compile(r"([\\`*_\[\]{}|~#])")
_SIGNS = {"pass": "✅", "unknown": "❔", "fail": "❌"}


def escape(value: object, longest: int = 400) -> str:
    """Text as text: no markup, no HTML, nobody mentioned, no link made of it."""
    text = one_line(value, longest)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text).replace("@", "&#64;").replace("://", ":&#47;&#47;")


def run_summary(verdict: Verdict) -> str:
    """One run."""
    out = [
        f"## {_SIGNS[verdict['verdict']]} {escape(verdict['experiment'])}: {verdict['verdict']}",
        "",
    ]
    if verdict.get("title"):
        out += [f"{escape(verdict['title'])}", ""]
    if not verdict["valid"]:
        out += ["**This run is void: it shows nothing.**", ""]
        out += [f"- {escape(reason)}" for reason in verdict["void_reasons"]] + [""]
    out += [f"**Recovery:** {escape(recovery_line(verdict))}", ""]
    if steps := timeline(verdict):
        out += [" → ".join(f"{name} {_at(at)}" for name, at, _ in steps), ""]
    if verdict["checks"]:
        out += ["| | check | observed | limit | why |", "|---|---|---|---|---|"]
        for check in verdict["checks"]:
            cells = (
                f"{MARKS[check['verdict']]} {check['verdict']}",
                escape(check["name"]),
                escape(quantity(check["observed"], check["unit"])),
                escape(quantity(check["limit"], check["unit"])),
                escape(check["why"]),
            )
            out.append("| " + " | ".join(cells) + " |")
        out.append("")
    out += _replicas(verdict)
    out += _outcomes(verdict)
    if verdict["findings"]:
        out += ["### Findings", ""]
        out += [f"- {escape(f['kind'])}: {escape(f['text'])}" for f in verdict["findings"]] + [""]
    about = f"Run {escape(verdict['run'])} on stack {escape(verdict['stack'])}"
    out.append(f"{about}, vqchaos {escape(verdict['vqchaos_version'])}, seed {verdict['seed']}")
    return "\n".join(out) + "\n"


def set_summary(summary: Mapping[str, Any], verdicts: Sequence[Verdict]) -> str:
    """A set: a line a run, then what is common."""
    out = [f"## {_SIGNS[summary['verdict']]} {len(verdicts)} runs: {summary['verdict']}", ""]
    out += ["| | experiment | recovery | what was not passed |", "|---|---|---|---|"]
    for verdict in verdicts:
        cells = (
            f"{_SIGNS[verdict['verdict']]} {verdict['verdict']}",
            escape(verdict["experiment"]),
            escape(recovery_line(verdict)),
            escape(not_passed(verdict), 600),
        )
        out.append("| " + " | ".join(cells) + " |")
    for item in summary.get("skipped", []):
        out.append(f"| - skipped | {escape(item['experiment'])} | | {escape(item['reason'])} |")
    if found := set_recovery(summary):
        out += ["", f"**Recovery over the set:** {escape(found)}"]
    if gate := summary.get("gate"):
        out += [
            "",
            f"**{_SIGNS[gate['verdict']]} Gate {escape(gate['name'])}: {gate['verdict']}**",
            "",
        ]
        out += [
            f"- {_SIGNS[r['verdict']]} {escape(r['name'])}: {escape(r['why'], 600)}"
            for r in gate["rules"]
        ]
    return "\n".join(out) + "\n"


def not_passed(verdict: Verdict) -> str:
    """Why a run is not a pass, in one line; empty if it is."""
    if not verdict["valid"]:
        return "void: " + "; ".join(verdict["void_reasons"])
    return "; ".join(
        f"{c['name']}: {c['why']}" for c in verdict["checks"] if c["verdict"] != "pass"
    )


def _at(seconds: float) -> str:
    return "0.0" if seconds == 0 else f"{seconds:+.1f}"


def _replicas(verdict: Verdict) -> list[str]:
    columns, rows = replica_table(verdict)
    if not rows:
        return []
    lines = [columns, ["---"] * len(columns), *([escape(c) or "-" for c in row] for row in rows)]
    return [*("| " + " | ".join(line) + " |" for line in lines), ""]


def _outcomes(verdict: Verdict) -> list[str]:
    rows = []
    for workload, phases in verdict["outcomes"].items():
        for phase, outcomes in phases.items():
            figures = verdict["latency"].get(workload, {}).get(phase, {})
            cells = (
                escape(workload),
                escape(phase),
                str(sum(outcomes.values())),
                str(outcomes.get("ok", 0)),
                escape(counts(outcomes)) or "-",
                quantity(figures.get("ttft_p50"), "s"),
                quantity(figures.get("ttft_p95"), "s"),
            )
            rows.append("| " + " | ".join(cells) + " |")
    if not rows:
        return []
    head = "| workload | phase | requests | ok | not ok | TTFT p50 | TTFT p95 |"
    return ["<details><summary>Outcomes and latency</summary>", "", head,
            "|---|---|---|---|---|---|---|", *rows, "", "</details>", ""]  # fmt: skip
