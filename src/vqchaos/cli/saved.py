"""Saved runs and sets, read from their folders to be rendered again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqchaos.errors import UsageError

_RUN = frozenset({"experiment", "verdict", "valid", "checks", "recovery", "outcomes", "latency"})
_SET = frozenset({"runs", "recovery", "verdict", "exit_code"})


def render(folder: Path, out: Path | None) -> Path:
    """Renders a run or a set; returns where its page is. Raises UsageError for a folder that is
    neither or cannot be read, InvalidFile for an experiment that is not in order."""
    if (folder / "summary.json").is_file():
        how = _set
    elif (folder / "history.jsonl").is_file():
        how = _run
    elif (folder / "minutes.jsonl").is_file():
        how = _killed_gameday
    else:
        raise UsageError(
            f"{folder}: neither a run's folder (no history.jsonl) nor a set's (no summary.json)",
            hint=_hint(folder),
        )
    try:
        return how(folder, out)
    except OSError as error:
        where = error.filename or out or folder
        raise UsageError(
            f"cannot write the report: {where}: {error.strerror}",
            hint="name a writable file with --out FILE",
        ) from error


def _run(folder: Path, out: Path | None) -> Path:
    from vqchaos.experiment.files import load_experiment
    from vqchaos.history.store import HistoryError, read
    from vqchaos.report.files import render_run
    from vqchaos.view import RunView

    verdict = _load(folder / "verdict.json", _RUN, "judge it with `vqchaos judge RUN --save`")
    try:
        events = read(folder / "history.jsonl")
    except HistoryError as error:
        raise UsageError(str(error)) from error
    run = RunView(events, load_experiment(folder / "experiment.yaml"))
    return render_run(folder, verdict, run, out)


def _set(folder: Path, out: Path | None) -> Path:
    from vqchaos.report.files import render_set

    summary = _load(folder / "summary.json", _SET, None)
    return render_set(folder, summary, verdicts_of(folder, summary), out)


def verdicts_of(folder: Path, summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The verdicts of a set's runs, in their order. Raises UsageError."""
    hint = "a set's runs lie beside its folder: move them together"
    return [
        _load(folder.resolve().parent / Path(str(item["dir"])).name / "verdict.json", _RUN, hint)
        for item in summary["runs"]
    ]


def _killed_gameday(folder: Path, out: Path | None) -> Path:
    """Of a session that never came to its summary: that is made now."""
    from vqchaos.gameday.closing import close_killed

    try:
        close_killed(folder)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(f"{folder}: a run of this game day cannot be read: {error}") from error
    return _set(folder, out)


def _load(path: Path, keys: frozenset[str], hint: str | None) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}", hint=hint) from error
    if not isinstance(found, dict) or not keys <= found.keys():
        raise UsageError(f"{path}: not a {path.name} of vqchaos", hint=hint)
    return found


def _hint(folder: Path) -> str:
    if not folder.is_dir():
        return "there is no such folder"
    runs = sorted(p.parent.name for p in folder.glob("*/history.jsonl"))
    return f"name one of its runs: {folder / runs[-1]}" if runs else "name a folder below runs/"
