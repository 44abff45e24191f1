"""Saved runs and sets, read from their folders and checked for what others rely on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqchaos.errors import UsageError

SUMMARY = "summary.json"
VERDICT = "verdict.json"
_SET = {"runs": list, "recovery": dict, "verdict": str, "exit_code": int}
_RUN = {
    "experiment": str, "verdict": str, "valid": bool, "checks": list, "recovery": dict,
    "outcomes": dict, "latency": dict,
}  # fmt: skip


def load_runs(folder: Path) -> list[dict[str, Any]]:
    """The verdicts of a set's folder, of one run's, or of all runs in a folder.

    Raises UsageError for anything else, or a run of the set that is not beside it.
    """
    if (folder / SUMMARY).is_file():
        found = verdicts_of(folder, load_summary(folder))
    elif (folder / VERDICT).is_file():
        found = [load_verdict(folder)]
    else:
        runs = sorted(p.parent for p in folder.glob(f"*/{VERDICT}")) if folder.is_dir() else []
        found = [load_verdict(run) for run in runs]
    if not found:
        raise UsageError(
            f"{folder}: no runs to compare: expected a set's folder ({SUMMARY}), a run's "
            f"({VERDICT}), or a folder with runs in it",
            hint="`vqchaos run FILE --repeat 10` makes a set",
        )
    return found


def load_summary(folder: Path) -> dict[str, Any]:
    """A set's summary.json. Raises UsageError."""
    path = folder / SUMMARY
    data = _json(path)
    if wrong := _wrong(data, _SET):
        raise UsageError(f"{path}: not a set's summary: wrong or missing {', '.join(wrong)}")
    return data


def load_verdict(folder: Path) -> dict[str, Any]:
    """A run's verdict.json. Raises UsageError."""
    path = folder / VERDICT
    again = f"write it anew with `vqchaos judge {folder} --save`"
    together = "a set's runs lie beside its folder: move them together"
    data = _json(path, again if folder.is_dir() else together)
    wrong = _wrong(data, _RUN)
    if "recovery" not in wrong and not {"recovery_time", "censored"} <= data["recovery"].keys():
        wrong.append("recovery")
    if wrong:
        raise UsageError(f"{path}: not a verdict: wrong or missing {', '.join(wrong)}", hint=again)
    return data


def verdicts_of(folder: Path, summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The verdicts of a set's runs, in their order. Raises UsageError."""
    rows = summary["runs"]
    return [
        load_beside(folder, row.get("dir") if isinstance(row, Mapping) else None) for row in rows
    ]


def load_beside(folder: Path, name: object) -> dict[str, Any]:
    """The verdict of a run of this set: its folder lies beside the set's. Raises UsageError, also
    for a name that leads elsewhere."""
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".."):
        raise UsageError(
            f"{folder}: a run of this set is called {name!r}: expected the name of a folder "
            "beside the set's"
        )
    return load_verdict(folder.resolve().parent / name)


def _wrong(data: Mapping[str, Any], kinds: Mapping[str, type]) -> list[str]:
    return [key for key, kind in kinds.items() if not isinstance(data.get(key), kind)]


def _json(path: Path, hint: str | None = None) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}", hint=hint) from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: not a JSON object", hint=hint)
    return data
