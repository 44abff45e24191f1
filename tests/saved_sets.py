"""A set as it is saved: its folder, and its runs' beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def saved(folder: Path, name: str, verdicts: Sequence[Any]) -> Path:
    """The set's folder; the runs' are ``NAME-0`` and so on."""
    rows = []
    for n, found in enumerate(verdicts):
        run = folder / f"{name}-{n}"
        run.mkdir(parents=True)
        (run / "verdict.json").write_text(json.dumps(found))
        rows.append({"dir": run.name})
    path = folder / name
    path.mkdir()
    summary = {"runs": rows, "recovery": {}, "verdict": "pass", "exit_code": 0}
    (path / "summary.json").write_text(json.dumps(summary))
    return path
