"""The format's page is current, and old histories are judged the same for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools import history_format

from vqchaos.history.events import SCHEMA
from vqchaos.history.store import read
from vqchaos.judge import judge_folder

DATA = Path(__file__).resolve().parent.parent / "data"
OLD = DATA / "schema-1"


def test_the_page_is_what_the_events_say() -> None:
    """If this fails: `python tools/history_format.py`."""
    assert history_format.PAGE.read_text(encoding="utf-8") == history_format.page()


def test_each_schema_has_a_stored_history() -> None:
    assert {p.name for p in DATA.glob("schema-*")} == {f"schema-{n + 1}" for n in range(SCHEMA)}
    assert len(read(OLD / "history.jsonl")) == 262


def differences(old: Any, new: Any, place: str = "") -> list[str]:
    """Where ``new`` lacks or changes something of ``old``; additions are none."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [d for k, v in old.items() for d in differences(v, new.get(k), f"{place}.{k}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [d for n, (a, b) in pairs for d in differences(a, b, f"{place}[{n}]")]
    return [] if old == new else [f"{place}: {old!r} is now {new!r}"]


def test_an_old_history_is_judged_as_it_was() -> None:
    """But for words and for the digest, which has the defaults of keys that are newer in it."""
    golden = yaml.safe_load((OLD / "verdict.json").read_text(encoding="utf-8"))
    assert not differences(golden, judge_folder(OLD, save=False))
    assert differences(golden, {**golden, "verdict": "pass"}) == [".verdict: 'fail' is now 'pass'"]


def judged(seed: str, *more: str) -> tuple[int, bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "vqchaos", "judge", str(OLD), "--json", *more],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        check=False,
    )
    assert not done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("edited", [False, True], ids=["its own checks", "edited checks"])
def test_two_processes_judge_to_the_same_byte(edited: bool, tmp_path: Path) -> None:
    more: list[str] = []
    if edited:
        experiment = yaml.safe_load((OLD / "experiment.yaml").read_text(encoding="utf-8"))
        experiment["checks"] = [
            {"type": "recovery_time", "max": "1s"},
            {"type": "outcomes", "share": {"ok": 0.5, "refused": 0.6}},
        ]
        path = tmp_path / "edited.yaml"
        path.write_text(yaml.safe_dump(experiment), encoding="utf-8")
        more = ["--checks", str(path)]
    code, first = judged("1", *more)
    assert (code, judged("4242", *more)) == (1, (code, first))
    assert first.count(b'"type": "outcomes"') == 1
    assert (b"18.1s after the last injection, limit 1s" in first) is edited
