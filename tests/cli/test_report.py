"""``vqchaos report``: offline, from what lies in the folder, with clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.histories import experiment, killed
from vqchaos.cli.app import run
from vqchaos.cli.overview import overview
from vqchaos.errors import ExitCode
from vqchaos.history.store import Writer
from vqchaos.judge import judge_folder, judge_set
from vqchaos.report.files import write_set
from vqchaos.runner.folder import write_experiment

REPORTS = ("report.html", "junit.xml", "summary.md", "metrics.prom")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    with Writer(folder / "history.jsonl") as history:
        for event in killed().build():
            history.write(event)
    write_experiment(folder, experiment(checks=[{"type": "no_residue"}]))
    judge_folder(folder)
    return folder


@pytest.fixture
def a_set(saved: Path) -> Path:
    folder = saved.parent / "set"
    folder.mkdir()
    verdict = json.loads((saved / "verdict.json").read_text())
    write_set(folder, judge_set([("one", verdict)] * 2), [verdict] * 2)
    return folder


def test_it_stands_on_the_overview() -> None:
    assert "report     Render a saved run's or set's reports again, offline." in overview()


def test_a_run_is_rendered_again_from_the_verdict_it_has(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: (saved / name).read_bytes() for name in REPORTS}
    verdict = (saved / "verdict.json").read_bytes()
    for name in REPORTS:
        (saved / name).unlink()
    assert run(["report", str(saved)]) == ExitCode.PASS
    assert {name: (saved / name).read_bytes() for name in REPORTS} == before
    assert (saved / "verdict.json").read_bytes() == verdict
    assert capsys.readouterr().out == f"{saved}/report.html\n"


def test_a_log_of_the_folder_is_shown(saved: Path) -> None:
    (saved / "logs").mkdir()
    line = "2026-11-18T11:06:52.5Z <b>EngineDeadError</b>\n"  # 0.5 s after the fault
    (saved / "logs" / "server.log").write_text(line)
    assert run(["report", str(saved)]) == ExitCode.PASS
    page = (saved / "report.html").read_text()
    assert "&lt;b&gt;EngineDeadError&lt;/b&gt;" in page


def test_a_set_is_rendered_again(a_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (a_set / "index.html").read_bytes()
    (a_set / "index.html").unlink()
    assert run(["report", str(a_set)]) == ExitCode.PASS
    assert (a_set / "index.html").read_bytes() == before
    assert b'href="../one/report.html"' in before
    assert capsys.readouterr().out == f"{a_set}/index.html\n"


@pytest.mark.parametrize("kind", ["run", "set"])
def test_out_writes_the_page_and_nothing_else(
    kind: str, saved: Path, a_set: Path, tmp_path: Path
) -> None:
    folder = saved if kind == "run" else a_set
    page = folder / ("report.html" if kind == "run" else "index.html")
    wanted = page.read_bytes()
    for path in (page, folder / "junit.xml"):
        path.unlink()
    assert run(["report", str(folder), "--out", str(tmp_path / "x.html")]) == ExitCode.PASS
    assert (tmp_path / "x.html").read_bytes() == wanted
    assert not page.exists()
    assert not (folder / "junit.xml").exists()


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert run(["report", *(str(word) for word in words)]) == ExitCode.USAGE
    return capsys.readouterr().err


def test_a_folder_that_is_neither_names_one_that_is(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"name one of its runs: {saved}" in refused(capsys, saved.parent)
    assert "there is no such folder" in refused(capsys, saved / "nowhere")


def test_a_run_without_a_verdict_says_how_to_get_one(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (saved / "verdict.json").unlink()
    err = refused(capsys, saved)
    assert "verdict.json: No such file" in err
    assert f"vqchaos judge {saved} --save" in err


@pytest.mark.parametrize("text", ["{", "[]", '{"verdict": "pass"}'])
def test_a_verdict_that_is_none_is_named(
    saved: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (saved / "verdict.json").write_text(text)
    assert f"{saved}/verdict.json: not " in refused(capsys, saved)


def test_a_set_whose_run_is_gone_says_which(
    a_set: Path, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved.rename(saved.with_name("two"))
    err = refused(capsys, a_set)
    assert "one/verdict.json" in err
    assert "move them together" in err


@pytest.mark.parametrize("row", [{}, "one", {"dir": ".."}])
def test_a_set_whose_row_names_no_folder_is_an_error_of_usage(
    a_set: Path, row: object, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = json.loads((a_set / "summary.json").read_text())
    (a_set / "summary.json").write_text(json.dumps({**summary, "runs": [row]}))
    assert "expected the name of a folder beside the set's" in refused(capsys, a_set)


def test_a_killed_gameday_gets_its_summary(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = saved.parent / "day"
    day.mkdir()
    (day / "minutes.jsonl").write_text('{"kind": "run.ended", "step": 1, "dir": "one"}\n')
    verdict = (saved / "verdict.json").read_text()
    (saved / "verdict.json").write_text("{}")
    assert "one/verdict.json: not a verdict" in refused(capsys, day)
    (saved / "verdict.json").write_text(verdict)
    assert run(["report", str(day)]) == ExitCode.PASS
    [row] = json.loads((day / "summary.json").read_text())["runs"]
    assert row["dir"] == "one"


def test_a_broken_history_is_named(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (saved / "history.jsonl").write_text("no\nhistory\n")
    assert "history.jsonl:1: not an event" in refused(capsys, saved)


def test_a_place_that_cannot_be_written_is_named(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(capsys, saved, "--out", saved / "nowhere" / "x.html")
    assert "cannot write the report" in err
    assert "--out FILE" in err
