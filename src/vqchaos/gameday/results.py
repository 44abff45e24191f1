"""What one run of a game day came to, in the words of the screen and of the minutes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqchaos.errors import ExitCode
from vqchaos.report.markdown import not_passed
from vqchaos.report.words import recovery_line
from vqchaos.text import one_line

Verdict = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """``how``: pass, fail, unknown, void, aborted, interrupted or unclean. Times in seconds since
    the injection; ``reverted_after`` since the abort."""

    step: int
    name: str
    folder: Path
    verdict: Verdict
    how: str
    by_people: float | None = None
    by_whom: str = ""
    reverted_after: float | None = None
    injected: bool = True  # a fault was in force


def how_it_ended(verdict: Verdict, *, aborted: bool, by_signal: bool) -> str:
    code = int(verdict["exit_code"])
    if code == ExitCode.UNCLEAN:
        return "unclean"
    if code > 128:  # else it was over before the key could end it
        return "interrupted" if by_signal or not aborted else "aborted"
    return str(verdict["verdict"]) if verdict["valid"] else "void"


def sentence(result: Result) -> str:
    """The verdict in one sentence; the reasons stand below it."""
    verdict = result.verdict
    if result.how == "unclean":
        return "UNCLEAN: something could not be reverted; run `vqchaos heal` now"
    if result.how in ("aborted", "interrupted"):
        return f"{result.how}; nothing was judged"
    checks = [c for c in verdict["checks"] if c["verdict"] == "pass"]
    said = f"{len(checks)} of {len(verdict['checks'])} checks passed"
    if result.how == "void":
        return "void: this run shows nothing"
    return f"{result.how}: {said}; {one_line(recovery_line(verdict))}"


def reasons(result: Result) -> list[str]:
    """Each check with its reason, or why the run is void; one a line."""
    verdict = result.verdict
    lines = [] if verdict["valid"] else [f"void: {one_line(r)}" for r in verdict["void_reasons"]]
    if result.how not in ("aborted", "interrupted") and verdict["valid"]:
        signs = {"pass": "ok  ", "fail": "FAIL", "unknown": "?   "}
        lines += [
            f"{signs.get(str(c['verdict']), '?   ')} {one_line(c['name'])}: {one_line(c['why'])}"
            for c in verdict["checks"]
        ]
    lines += [f"- {one_line(f['kind'])}: {one_line(f['text'])}" for f in verdict["findings"]]
    return lines


def record_of(result: Result) -> dict[str, Any]:
    """For the minutes."""
    verdict = result.verdict
    found = verdict["recovery"]
    start = found["injected_at"]
    wall = verdict["started_wall"]

    def since(moment: str) -> float | None:
        at = found[moment]
        return None if at is None or start is None else round(float(at) - float(start), 3)

    aborted = result.how in ("aborted", "interrupted")
    why = "" if aborted else one_line(not_passed(verdict), 500)
    if aborted and not result.injected:
        why = "nothing was in force"
    return {
        "step": result.step,
        "name": result.name,
        "dir": result.folder.name,
        "how": result.how,
        "why": why,
        "verdict": verdict["verdict"],
        "valid": verdict["valid"],
        "injected_wall": None if wall is None or start is None else round(wall + start, 3),
        "by_people": None if result.by_people is None else round(result.by_people, 3),
        "by_whom": result.by_whom,
        "by_probe": since("probe_detected_at"),
        "by_clients": since("detected_at"),
        "recovered": None if aborted else since("recovered_at"),
        "reverted_after": None
        if result.reverted_after is None
        else round(result.reverted_after, 3),
    }
