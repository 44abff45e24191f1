from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.report.verdicts import failing, nasty, passing
from vqchaos.judge import judge_set
from vqchaos.report.files import write_run, write_set


def test_a_run_leaves_its_four_files_whole(tmp_path: Path) -> None:
    write_run(tmp_path, nasty())
    assert {p.name for p in tmp_path.iterdir()} == {
        "verdict.json", "junit.xml", "summary.md", "metrics.prom"
    }  # fmt: skip


def test_a_set_leaves_one_suite_with_all_its_runs(tmp_path: Path) -> None:
    runs = [{**passing(), "run": "a"}, {**failing(), "run": "b"}]
    skipped = [{"experiment": "gpu", "reason": "no GPU here"}]
    summary = judge_set([("a", runs[0]), ("b", runs[1])], skipped=skipped)
    write_set(tmp_path, summary, runs)
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    root = ET.fromstring((tmp_path / "junit.xml").read_text())
    assert len(root) == 1
    assert root[0].get("skipped") == "1"
    assert "2 runs: fail" in (tmp_path / "summary.md").read_text()


def test_half_a_surrogate_is_no_reason_to_fail(tmp_path: Path) -> None:
    write_run(tmp_path, {**passing(), "stack": "\udcff"})
    assert (tmp_path / "verdict.json").is_file()
