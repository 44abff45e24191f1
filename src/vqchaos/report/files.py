"""The report files of a run and of a set, written into their folders."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqchaos.report.junit import junit, set_junit
from vqchaos.report.markdown import run_summary, set_summary
from vqchaos.report.minutes import minutes_markdown
from vqchaos.report.prom import metrics, set_metrics

if TYPE_CHECKING:
    from vqchaos.report.html import Material
    from vqchaos.report.html.logs import LogLine
    from vqchaos.view import RunView

PAGE, INDEX = "report.html", "index.html"


def write_run(folder: Path, verdict: Mapping[str, Any], run: RunView | None = None) -> None:
    """verdict.json, junit.xml, summary.md and metrics.prom of one run; with its history
    report.html too. A page that cannot be made costs nothing else: why is in logs/report.txt."""
    _json(folder / "verdict.json", verdict)
    _others(folder, verdict)
    if run is None:
        return
    try:
        text = page(folder, verdict, run)
    except Exception as error:
        (folder / "logs").mkdir(exist_ok=True)
        _text(folder / "logs" / "report.txt", "".join(traceback.format_exception(error)))
    else:
        _text(folder / PAGE, text)


def write_set(
    folder: Path, summary: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]]
) -> None:
    """summary.json, junit.xml, summary.md, metrics.prom and index.html of a set, of a game day
    minutes.md too; ``verdicts`` in the order of its runs."""
    _json(folder / "summary.json", summary)
    _text(folder / "junit.xml", set_junit(summary, verdicts, name=folder.name))
    _text(folder / "summary.md", set_summary(summary, verdicts))
    _text(folder / "metrics.prom", set_metrics(summary, verdicts, name=folder.name))
    if "gameday" in summary:
        _text(folder / "minutes.md", minutes_markdown(summary["gameday"]))
    _text(folder / INDEX, set_index(folder, summary, verdicts))


def render_run(folder: Path, verdict: Mapping[str, Any], run: RunView, out: Path | None) -> Path:
    """A saved run's reports anew from the verdict it has; with ``out`` its page alone, there.
    Returns the page's path. Raises OSError."""
    text = page(folder, verdict, run)
    if out is None:
        _others(folder, verdict)
    _text(out or folder / PAGE, text)
    return out or folder / PAGE


def render_set(
    folder: Path,
    summary: Mapping[str, Any],
    verdicts: Sequence[Mapping[str, Any]],
    out: Path | None,
) -> Path:
    """As ``render_run``, of a saved set."""
    if out is None:
        write_set(folder, summary, verdicts)
        return folder / INDEX
    _text(out, set_index(folder, summary, verdicts))
    return out


def page(folder: Path, verdict: Mapping[str, Any], run: RunView) -> str:
    """report.html's text, with what lies in the run's folder beside verdict and history."""
    from vqchaos.report.html import run_data, run_page  # noqa: PLC0415 - jinja2 only where needed

    return run_page(run_data(verdict, run, _material(folder, verdict, run)))


def set_index(
    folder: Path, summary: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]]
) -> str:
    """index.html's text."""
    from vqchaos.report.html import set_data, set_page  # noqa: PLC0415 - jinja2 only where needed

    return set_page(set_data(summary, verdicts, folder.name))


def _others(folder: Path, verdict: Mapping[str, Any]) -> None:
    _text(folder / "junit.xml", junit(verdict))
    _text(folder / "summary.md", run_summary(verdict))
    _text(folder / "metrics.prom", metrics(verdict))


def _material(folder: Path, verdict: Mapping[str, Any], run: RunView) -> Material:
    from vqchaos.report.html import Material  # noqa: PLC0415 - jinja2 only where needed

    try:
        experiment = (folder / "experiment.yaml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        experiment = ""
    try:
        stack = json.loads((folder / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stack = {}
    return Material(
        experiment=experiment,
        stack=stack if isinstance(stack, dict) else {},
        logs=list(_logs(folder / "logs", verdict, run)),
    )


def _logs(folder: Path, verdict: Mapping[str, Any], run: RunView) -> Iterator[LogLine]:
    """The telling lines around the fault, of all logs; a log that cannot be read is passed over."""
    from vqchaos.report.html import logs  # noqa: PLC0415 - jinja2 only where needed

    found, wall = verdict["recovery"], verdict["started_wall"]
    if found["injected_at"] is None or wall is None:
        return
    since = found["injected_at"] - logs.BEFORE
    until = (found["recovered_at"] or run.watched_until) + logs.AFTER
    for path in sorted(folder.glob("*.log")):
        try:
            with path.open(encoding="utf-8", errors="replace") as lines:
                yield from logs.near(lines, path.stem, float(wall), since, until)
        except OSError:
            continue


def _json(path: Path, data: Mapping[str, Any]) -> None:
    _text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def _text(path: Path, text: str) -> None:
    """Whole or not at all; half a surrogate from a target's bytes is no reason to fail."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", errors="replace")
    part.replace(path)
