from __future__ import annotations

from pathlib import Path

import pytest

from vqchaos.errors import InvalidFile
from vqchaos.experiment.files import load_any, load_gate
from vqchaos.experiment.gate import RULES, Gate
from vqchaos.experiment.schema import schema_of

WHOLE = """\
version: 1
name: release
on_fail: stop
rules:
  - {type: verdicts}
  - {type: recovery_time, experiment: engine-kill, median: 60s, upper: 1m30s}
  - {type: skipped, max: 1}
  - {type: valid, min: 6}
  - {type: regression, base: kept/set, max: 2s}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gate.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_gate_is_told_by_its_rules(tmp_path: Path) -> None:
    gate = load_gate(write(tmp_path, WHOLE))
    assert load_any(tmp_path / "gate.yaml") == gate
    assert [rule.type for rule in gate.rules] == [
        "verdicts", "recovery_time", "skipped", "valid", "regression",
    ]  # fmt: skip
    assert {type(rule) for rule in gate.rules} == set(RULES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: []\n", "at least 1"),
        ("rules: [{type: verdict}]\n", "did you mean 'verdicts'?"),
        ("rules: [{max: 1}]\n", "'type' is missing"),
        ("rules: [{type: skipped, maximum: 1}]\n", "maximum"),
        ("rules: [{type: recovery_time, experiment: x}]\n", "expected `median`, `upper`, `worst`"),
        ("rules: [{type: recovery_time, experiment: x, median: 60}]\n", "with a unit"),
        ("rules: [{type: regression, base: x, max: fast}]\n", "duration"),
        ("rules: [{type: verdicts}]\non_fail: retry\n", "on_fail"),
        ("name: x\n", "rules"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        load_gate(write(tmp_path, text))
    assert any(said in str(problem) for problem in caught.value.problems), caught.value.problems


def test_the_schemas_of_all_kinds_of_files() -> None:
    assert schema_of("gate")["properties"]["rules"]["minItems"] == 1
    assert len(schema_of("stack")["anyOf"]) == 3, "local, docker, attach"
    assert Gate.model_fields.keys() == schema_of("gate")["properties"].keys()
