"""Saved runs and sets rendered again."""

from __future__ import annotations

from pathlib import Path

from vqchaos.errors import UsageError
from vqchaos.saved import load_summary, load_verdict, verdicts_of


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

    verdict = load_verdict(folder)
    try:
        events = read(folder / "history.jsonl")
    except HistoryError as error:
        raise UsageError(str(error)) from error
    run = RunView(events, load_experiment(folder / "experiment.yaml"))
    return render_run(folder, verdict, run, out)


def _set(folder: Path, out: Path | None) -> Path:
    from vqchaos.report.files import render_set

    summary = load_summary(folder)
    return render_set(folder, summary, verdicts_of(folder, summary), out)


def _killed_gameday(folder: Path, out: Path | None) -> Path:
    """Of a session that never came to its summary: that is made now."""
    from vqchaos.gameday.closing import close_killed

    close_killed(folder)
    return _set(folder, out)


def _hint(folder: Path) -> str:
    if not folder.is_dir():
        return "there is no such folder"
    runs = sorted(p.parent.name for p in folder.glob("*/history.jsonl"))
    return f"name one of its runs: {folder / runs[-1]}" if runs else "name a folder below runs/"
