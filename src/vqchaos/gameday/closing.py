"""The end of a game day: summary, page and minutes from the records and the runs' verdicts; also
of one that was killed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqchaos.errors import ExitCode, worst
from vqchaos.gameday.minutes import FILE, read_minutes
from vqchaos.report.files import write_set
from vqchaos.report.minutes import minutes_data
from vqchaos.saved import VERDICT, load_beside
from vqchaos.summary import judge_set

Verdict = Mapping[str, Any]


def close(
    folder: Path,
    records: Sequence[Mapping[str, Any]],
    runs: Sequence[tuple[str, Verdict]],
    codes: Sequence[ExitCode] = (),
) -> dict[str, Any]:
    """Writes what a set has, and minutes.md; returns summary.json's content. ``codes``: what the
    exit code is not better than; of equals the first. Raises OSError."""
    summary = summarise(records, runs, codes)
    write_set(folder, summary, [verdict for _, verdict in runs])
    return summary


def summarise(
    records: Sequence[Mapping[str, Any]],
    runs: Sequence[tuple[str, Verdict]],
    codes: Sequence[ExitCode] = (),
) -> dict[str, Any]:
    """summary.json's content, with the minutes."""
    passed_over = [r for r in records if r.get("kind") == "step.ended" and r["how"] == "skipped"]
    skipped = [
        {"experiment": str(r["name"]), "source": f"step {r['step']}", "reason": str(r["why"])}
        for r in passed_over
    ]
    summary = judge_set(runs, skipped=skipped)
    summary["exit_code"] = int(worst([*codes, ExitCode(int(summary["exit_code"]))]))
    data = minutes_data(records)
    summary["label"] = data["title"] or data["name"]
    summary["gameday"] = data
    return summary


def close_killed(folder: Path) -> dict[str, Any]:
    """Of a session that was killed: its minutes, and the runs that had been judged. Raises
    OSError, UsageError for a verdict that cannot be read."""
    records = read_minutes(folder / FILE)
    kinds = ("run.started", "run.ended")
    names = dict.fromkeys(str(r["dir"]) for r in records if r.get("kind") in kinds and r.get("dir"))
    runs = [(name, load_beside(folder, name)) for name in names if _judged(folder, name)]
    return close(folder, records, runs, [ExitCode.UNKNOWN])


def _judged(folder: Path, name: str) -> bool:
    """A name that leads elsewhere is left to ``load_beside``, which refuses it."""
    return Path(name).name != name or (folder.parent / name / VERDICT).is_file()
