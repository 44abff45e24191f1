from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.experiment.malformed import CASES, HEAD, LATENCY
from vqchaos.errors import InvalidFile
from vqchaos.experiment.files import (
    find_experiments,
    load_any,
    load_experiment,
    load_stack,
    validate_files,
)
from vqchaos.experiment.model import Experiment
from vqchaos.yamlfile import parse

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.yaml")) + sorted(
    (ROOT / "src/vqchaos/data/tour").glob("*.yaml")
)


def problems_of(path: Path) -> list[tuple[int, int, str]]:
    with pytest.raises(InvalidFile) as caught:
        load_any(path)
    return [(p.line, p.column, p.message) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "line", "column", "said"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_a_malformed_file_is_named(  # how fast: benchmarks/validation.py
    tmp_path: Path, text: str | bytes, line: int, column: int, said: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    problems = problems_of(path)
    assert [m for at_line, at_column, m in problems if (at_line, at_column) == (line, column)], (
        problems
    )
    assert any(
        said in m and (at_line, at_column) == (line, column) for at_line, at_column, m in problems
    ), problems
    assert all("\n" not in m and m.isprintable() and len(m) < 300 for *_, m in problems)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "version: 1\nname: x\nname: y\nworkloda: {}\n"
        "faults:\n  - {type: latncy}\n  - {type: latency, latency: 5, streem: up}\n"
        "phases: {fault: 10}\n"
    )
    assert [(line, column) for line, column, _ in problems_of(path)] == [
        (3, 1),
        (4, 1),
        (6, 12),
        (7, 30),
        (7, 33),
        (8, 17),
    ]


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "no such file" in problems_of(tmp_path / "none.yaml")[0][2]
    assert "a folder" in problems_of(tmp_path)[0][2]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.name)
def test_what_ships_is_in_order_and_survives_a_round_trip(path: Path) -> None:
    experiment = load_experiment(path)
    assert experiment.title
    assert experiment.hypothesis
    text = yaml.safe_dump(experiment.resolved(), sort_keys=False)
    again = Experiment.model_validate(parse(text, "again").value)
    assert again.resolved() == experiment.resolved()
    assert again.checks == experiment.checks
    assert again.faults == experiment.faults


def test_the_shipped_stack_is_in_order() -> None:
    stack = load_stack(ROOT / "stacks" / "local.yaml")
    assert (stack.name, stack.kind, stack.model) == ("local", "local", "demo")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: kubernetes\nname: x\n", "not in this version"),
        ("kind: dokcer\nname: x\n", "expected local, docker or attach"),
        ("kind: local\nname: x\nmemory_limt: 8GiB\n", "did you mean 'memory_limit'?"),
        ("kind: local\nname: x\nmemory_limit: 8\n", "expected a size"),
        ("kind: attach\nname: x\nmodel: m\n", "'url' is missing"),
        ("space: {}\n", "not in this version"),
    ],
)
def test_stacks_and_other_kinds(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert any(said in message for *_, message in problems_of(path))


def test_arguments_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "kind: local\nname: x\nengine: {args: [--x, 0.90, yes, 010, 1e3], env: {A: no}}\n"
    )
    engine: Any = load_stack(path).model_dump()["engine"]
    assert engine["args"] == ["--x", "0.90", "yes", "010", "1e3"]
    assert engine["env"] == {"A": "no"}


class TestSet:
    def load(self, tmp_path: Path, *sets: str) -> Experiment:
        path = tmp_path / "x.yaml"
        path.write_text(HEAD + "faults: [{type: latency, name: slow, latency: 1s}]\n")
        return load_experiment(path, sets=sets)

    def test_by_name_type_and_index(self, tmp_path: Path) -> None:
        for item in ("slow", "0"):
            experiment = self.load(tmp_path, f"faults.{item}.for=5s", "phases.baseline=8s")
            assert experiment.faults[0].for_ == 5
            assert experiment.phases.baseline == 8

    def test_into_what_the_file_leaves_out(self, tmp_path: Path) -> None:
        assert self.load(tmp_path, "workload.stream=false").traffic()["clients"].stream is False

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("phases.baseline", "expected PATH=VALUE"),
            ("=5", "expected PATH=VALUE"),
            ("faults.slwo.for=5s", "nothing called 'slwo'; there is slow"),
            ("name.x=5", "is a value"),
            ("phases.baseline=8", "did you mean 8s?"),
            ("phazes.baseline=8s", "did you mean 'phases'?"),
        ],
    )
    def test_a_wrong_one_is_named(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(InvalidFile) as caught:
            self.load(tmp_path, text)
        assert said in str(caught.value)


def test_a_folder_holds_experiments_and_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEAD + LATENCY)
    (tmp_path / "b.yml").write_text("kind: local\nname: x\n")
    (tmp_path / "c.yaml").write_text("faults: [")
    (tmp_path / "d.txt").write_text("nothing")
    experiments, others = find_experiments(tmp_path)
    assert [p.name for p in experiments] == ["a.yaml", "c.yaml"]
    assert [p.name for p in others] == ["b.yml"]
    assert [Path(p.file).name for p in validate_files([tmp_path])] == ["c.yaml"]


def test_a_fault_may_end_with_its_phase_also_where_floats_do_not_add_up(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    fault = "{type: latency, latency: 300ms, at: 100ms, for: %s}"
    text = f"name: x\nphases: {{fault: 300ms}}\nfaults: [{fault}]\n"
    path.write_text(text % "200ms", encoding="utf-8")
    assert load_experiment(path).faults[0].for_ == 0.2
    path.write_text(text % "201ms", encoding="utf-8")
    with pytest.raises(InvalidFile, match="ends after the fault phase"):
        load_experiment(path)


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_taken_or_refused_in_good_order(data: bytes) -> None:
    _loads_or_refuses(data)


@given(st.text(alphabet="{}[]:,-&*!#|>'\"%@` \n\tabname: faults1.5~<", max_size=200))
@settings(max_examples=500, deadline=None)
def test_any_yaml_like_text_is_taken_or_refused_in_good_order(text: str) -> None:
    _loads_or_refuses(text.encode())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from([*Experiment.model_fields, "unknown"])


@given(st.dictionaries(KEYS, VALUES))
@settings(max_examples=300, deadline=None)
def test_any_values_below_our_keys_are_taken_or_refused_in_good_order(data: Any) -> None:
    data["faults"] = data.get("faults", [{"type": "external"}])
    _loads_or_refuses(yaml.safe_dump(data, allow_unicode=True).encode("utf-8", "surrogatepass"))


def _loads_or_refuses(data: bytes) -> None:
    from vqchaos.experiment import files

    try:
        document = parse(data, "x.yaml")
        if "faults" in document.value:
            files._experiment(document)
        else:
            files.kind_of(document)
    except InvalidFile as error:
        if not error.problems:
            raise AssertionError("refused without a reason") from error
