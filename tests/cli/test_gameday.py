"""``vqchaos gameday`` without a terminal, and its files' errors; the screen is tested beside it."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import FakeWorld
from tests.runner.fake_stack import FakeStack
from tests.scripted_server import ScriptedServer
from vqchaos.cli import gameday
from vqchaos.cli.app import run
from vqchaos.errors import ExitCode, InvalidFile, UsageError

ROOT = Path(__file__).resolve().parents[2]
PLAN = str(ROOT / "examples" / "gameday.yaml")


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("lacking", ["stdin", "stdout", "stderr"])
def test_without_a_terminal_it_refuses_and_says_the_way_out(
    lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.StringIO() if name == lacking else Tty())
    with pytest.raises(UsageError) as caught:
        gameday._require_terminal()
    assert caught.value.exit_code == ExitCode.USAGE
    assert lacking in caught.value.message
    assert "vqchaos run" in str(caught.value.hint)


@pytest.mark.parametrize("term", ["dumb", "", "unknown", None])
def test_a_terminal_that_cannot_be_drawn_on_is_refused(
    term: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, Tty())
    if term is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", term)
    with pytest.raises(UsageError, match="TERM is"):
        gameday._require_terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    gameday._require_terminal()


def test_the_command_ends_with_2_and_touches_nothing(tmp_path: Path) -> None:
    near, far = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "vqchaos", "gameday", PLAN, "--out", str(tmp_path / "runs")],
        cwd=ROOT, stdin=far, capture_output=True, text=True, check=False,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm"},
    )  # fmt: skip
    os.close(near)
    os.close(far)
    assert done.returncode == ExitCode.USAGE
    assert "a game day needs a terminal, and stdout, stderr is none" in done.stderr
    assert "→ `vqchaos run`" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_screen_library_is_imported_by_this_command_alone() -> None:
    words = ["-X", "importtime", "-m", "vqchaos", "validate", PLAN]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == ExitCode.PASS, done.stderr
    assert "textual" not in done.stderr


def test_every_problem_of_every_experiment_is_told_at_once(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("steps: [{experiment: a.yaml}, {pause: x}, {experiment: b.yaml}]\n")
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("faults: [{type: latencyy}]\n")
    with ScriptedServer() as http, pytest.raises(InvalidFile) as caught:
        gameday.load(plan, [], FakeStack(tmp_path, http, FakeWorld(tmp_path / "world")))
    files = {Path(problem.file).name for problem in caught.value.problems}
    assert files == {"a.yaml", "b.yaml"}
    assert all(problem.line for problem in caught.value.problems)


def test_sets_of_the_command_line_come_after_the_steps(tmp_path: Path) -> None:
    with ScriptedServer() as http:
        stack = FakeStack(tmp_path, http, FakeWorld(tmp_path / "world"))
        loaded = gameday.load(Path(PLAN), ["phases.fault=30s"], stack)
    plans = [plan for plan in loaded.planned if plan is not None]
    assert [plan.experiment.name for plan in plans] == ["latency", "process-pause", "process-kill"]
    assert all(plan.experiment.phases.fault == 30.0 for plan in plans)
    assert all(plan.named for plan in plans)


def test_a_gate_is_no_plan(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gameday, "_require_terminal", lambda: None)
    assert run(["gameday", str(ROOT / "examples" / "gate.yaml")]) == ExitCode.USAGE
    assert "not a game day" in capsys.readouterr().err
