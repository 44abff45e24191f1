from __future__ import annotations

from pathlib import Path

import pytest

from vqchaos.errors import InvalidFile
from vqchaos.experiment.files import (
    find_experiments,
    load_any,
    load_experiment,
    load_gameday,
    validate_files,
)
from vqchaos.experiment.gameday import GameDay
from vqchaos.experiment.schema import schema_of

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = (ROOT / "experiments" / "latency.yaml").read_text(encoding="utf-8")


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "slow.yaml").write_text(EXPERIMENT, encoding="utf-8")
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_game_day_is_told_by_its_steps(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "name: day\ntitle: A day\nsteps:\n"
        "  - {experiment: slow.yaml, ask: 'Who sees it?', repeat: 2, set: [phases.fault=1m]}\n"
        "  - {pause: Open the dashboard, name: look}\n",
    )
    plan = load_gameday(path)
    assert load_any(path) == plan
    slow, look = plan.steps
    assert slow.file(path) == tmp_path / "slow.yaml"
    assert (slow.repeat, slow.set_, slow.ask) == (2, ["phases.fault=1m"], "Who sees it?")
    assert (look.pause, look.name) == ("Open the dashboard", "look")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("steps: []\n", 1, "at least 1"),
        ("steps: 5\n", 1, "list"),
        ("steps: true\n", 1, "list"),
        ("steps:\n  - {}\n", 2, "expected one of `experiment` and `pause`"),
        ("steps:\n  - {pause: x, experiment: slow.yaml}\n", 2, "expected one of"),
        ("steps:\n  - {pause: x, repeat: 2}\n", 2, "a pause has no `repeat`"),
        ("steps:\n  - {pause: ' '}\n", 2, "expected text"),
        ("steps:\n  - {experiment: slow.yaml, repeat: 0}\n", 2, "at least 1"),
        ("steps:\n  - {experimant: slow.yaml}\n", 2, "did you mean 'experiment'?"),
        ("steps:\n  - {pause: x, name: A B}\n", 2, "text like"),
        ("steps:\n  - {pause: x, name: a}\n  - {pause: y, name: a}\n", 1, "called 'a'"),
        ("steps:\n  - {experiment: none.yaml}\n", 2, "none.yaml"),
        ("steps:\n  - {experiment: slow.yaml, set: [faults.x.for=1s]}\n", 2, "--set faults.x"),
        ("steps:\n  - {experiment: slow.yaml, set: [phases.fault=1]}\n", 2, "with a unit"),
        ("steps:\n  - {experiment: plan.yaml}\n", 2, "a game day, not an experiment"),
        ("steps: [{pause: x}]\nrules: []\n", 2, "cannot both be here"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    [problem] = validate_files([write(tmp_path, text)])
    assert said in problem.message
    assert problem.line == line
    assert problem.column


def test_a_gate_is_no_game_day(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="not a game day"):
        load_gameday(write(tmp_path, "rules: []\n"))


def test_a_folder_of_experiments_passes_over_the_plan(tmp_path: Path) -> None:
    plan = write(tmp_path, "steps: [{pause: x}]\n")
    assert find_experiments(tmp_path) == ([tmp_path / "slow.yaml"], [plan])


def test_the_schema_knows_every_key() -> None:
    schema = schema_of("gameday")
    assert set(schema["properties"]) == set(GameDay.model_fields)
    step = schema["$defs"]["Step"]["properties"]
    assert set(step) == {"experiment", "pause", "name", "ask", "repeat", "set"}
    assert all("description" in field for name, field in step.items())


def test_the_example_is_in_order() -> None:
    path = ROOT / "examples" / "gameday.yaml"
    assert validate_files([path]) == []
    plan = load_gameday(path)
    files = [step.file(path) for step in plan.steps if step.experiment is not None]
    names = [load_experiment(file).name for file in files]
    assert names == ["latency", "process-pause", "process-kill"]
