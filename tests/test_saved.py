"""Saved runs and sets are read where they lie; what is none is an error of usage, never a crash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.saved_sets import saved
from tests.test_compare import runs
from vqchaos.errors import UsageError
from vqchaos.saved import load_runs, load_summary, load_verdict, verdicts_of


def test_sets_runs_and_folders_of_runs_are_read(tmp_path: Path) -> None:
    made = runs(40, 3)
    path = saved(tmp_path / "runs", "set", made)
    assert load_runs(path) == made
    assert load_runs(tmp_path / "runs" / "set-1") == [made[1]]
    assert load_runs(tmp_path / "runs") == made
    assert verdicts_of(path, load_summary(path)) == made


def test_a_set_is_read_from_inside_its_folder_and_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = runs(40, 2)
    path = saved(tmp_path / "runs", "set", made)
    (tmp_path / "last").symlink_to(path)
    assert load_runs(tmp_path / "last") == made
    monkeypatch.chdir(path)
    assert load_runs(Path()) == made
    assert load_runs(Path("../set-1/../set")) == made


def changed(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "row",
    [{}, {"dir": None}, {"dir": 7}, {"dir": ""}, {"dir": ".."}, {"dir": "."}, {"dir": "../x"},
     {"dir": "/etc"}, {"dir": "set-0/"}, "set-0", None, 7, []],
)  # fmt: skip
def test_a_row_without_a_folders_name_is_an_error_of_usage(tmp_path: Path, row: object) -> None:
    path = saved(tmp_path, "set", runs(40, 1))
    changed(path / "summary.json", runs=[{"dir": "set-0"}, row])
    with pytest.raises(UsageError, match="expected the name of a folder beside the set's"):
        load_runs(path)


@pytest.mark.parametrize("wrong", [{"runs": {}}, {"recovery": None}, {"exit_code": "0"}])
def test_a_summary_that_is_none_names_what_is_wrong(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = saved(tmp_path, "set", runs(40, 1))
    changed(path / "summary.json", **wrong)
    [key] = wrong
    with pytest.raises(UsageError, match=f"not a set's summary: wrong or missing {key}$"):
        load_runs(path)


@pytest.mark.parametrize("wrong", [{"valid": 1}, {"recovery": {}}, {"recovery": []}])
def test_a_verdict_that_is_none_names_what_is_wrong(tmp_path: Path, wrong: dict[str, Any]) -> None:
    run = saved(tmp_path, "set", runs(40, 1)).with_name("set-0")
    changed(run / "verdict.json", **wrong)
    [key] = wrong
    with pytest.raises(UsageError, match=f"not a verdict: wrong or missing {key}$") as caught:
        load_verdict(run)
    assert caught.value.hint == f"write it anew with `vqchaos judge {run} --save`"


@pytest.mark.parametrize(("text", "said"), [("[", "not JSON"), ("[]", "not a JSON object")])
def test_a_file_that_is_no_object_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = saved(tmp_path, "set", runs(40, 1))
    for file in (path / "summary.json", tmp_path / "set-0" / "verdict.json"):
        before = file.read_text()
        file.write_text(text)
        with pytest.raises(UsageError, match=f"{file}: {said}"):
            load_runs(path)
        file.write_text(before)


def test_a_set_without_runs_is_none_to_compare(tmp_path: Path) -> None:
    path = saved(tmp_path, "set", [])
    assert verdicts_of(path, load_summary(path)) == []
    with pytest.raises(UsageError, match="no runs to compare"):
        load_runs(path)


def test_the_hint_fits_what_is_gone(tmp_path: Path) -> None:
    path = saved(tmp_path, "set", runs(40, 1))
    (tmp_path / "set-0" / "verdict.json").unlink()
    with pytest.raises(UsageError, match="No such file") as caught:
        load_runs(path)
    assert "vqchaos judge" in str(caught.value.hint)
    (tmp_path / "set-0").rmdir()
    with pytest.raises(UsageError, match="No such file") as caught:
        load_runs(path)
    assert "move them together" in str(caught.value.hint)
