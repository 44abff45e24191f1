"""The report files of a run and of a set, written into their folders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqchaos.report.junit import junit
from vqchaos.report.markdown import run_summary, set_summary
from vqchaos.report.prom import metrics


def write_run(folder: Path, verdict: Mapping[str, Any]) -> None:
    """verdict.json, junit.xml, summary.md and metrics.prom of one run."""
    _json(folder / "verdict.json", verdict)
    _text(folder / "junit.xml", junit([verdict], name=str(verdict["experiment"])))
    _text(folder / "summary.md", run_summary(verdict))
    _text(folder / "metrics.prom", metrics(verdict))


def write_set(
    folder: Path, summary: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]]
) -> None:
    """summary.json, junit.xml and summary.md of a set; ``verdicts`` in the order of its runs."""
    _json(folder / "summary.json", summary)
    skipped = summary.get("skipped", [])
    _text(folder / "junit.xml", junit(verdicts, name=folder.name, skipped=skipped))
    _text(folder / "summary.md", set_summary(summary, verdicts))


def _json(path: Path, data: Mapping[str, Any]) -> None:
    _text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def _text(path: Path, text: str) -> None:
    """Whole or not at all; half a surrogate from a target's bytes is no reason to fail."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", errors="replace")
    part.replace(path)
