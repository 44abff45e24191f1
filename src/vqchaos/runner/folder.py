"""The folder of one run: its name, and the files written into it."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from vqchaos.errors import UsageError
from vqchaos.experiment.model import Experiment


def make_folder(out: Path, label: str, wall: float) -> Path:
    """``OUT/20261123T211804Z-LABEL-7f3a``, mode 0700. Raises UsageError if it cannot be made."""
    stamp = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        out.mkdir(parents=True, exist_ok=True)
        while True:
            folder = out / f"{stamp}-{label}-{secrets.token_hex(2)}"
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise UsageError(
            f"cannot make a run folder in {out}: {error.strerror}",
            hint="name a writable folder with --out DIR",
        ) from error


def write_text(path: Path, text: str) -> None:
    """Whole or not at all: a reader never meets half a file."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def write_json(path: Path, data: Any) -> None:
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, sort_keys=False) + "\n")


def write_experiment(folder: Path, experiment: Experiment) -> None:
    """As resolved: every default filled in, so that the run can be judged alone."""
    text = yaml.safe_dump(experiment.resolved(), sort_keys=False, allow_unicode=True)
    write_text(folder / "experiment.yaml", text)
