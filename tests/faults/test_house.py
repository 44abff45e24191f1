"""What a fault is not done without."""

from __future__ import annotations

import inspect
import re

import pytest

from tests.faults.samples import EXPERIMENTS, faults_in, files
from vqchaos.faults import PLANNED, REGISTRY
from vqchaos.faults.base import Fault

HERE = EXPERIMENTS.parent / "tests" / "faults"
README = (EXPERIMENTS.parent / "README.md").read_text(encoding="utf-8")

each_type = pytest.mark.parametrize("kind", list(REGISTRY))


@each_type
def test_it_has_a_test_file(kind: str) -> None:
    assert (HERE / f"test_{kind}.py").is_file()


@each_type
def test_it_has_an_example_that_uses_it(kind: str) -> None:
    assert files(kind)
    for path in files(kind):
        assert kind in {fault.type for fault in faults_in(path)}


@each_type
def test_it_has_a_row_in_the_readme_that_names_its_example(kind: str) -> None:
    row = re.search(rf"^\| `{kind}` \|(.+)\|(.+)\|$", README, re.MULTILINE)
    assert row, f"no row for {kind}"
    example = row[2].strip().strip("`")
    assert set(files(kind)) & set(EXPERIMENTS.parent.glob(example)), example


@each_type
def test_its_class_says_what_it_does(kind: str) -> None:
    cls = REGISTRY[kind]
    assert cls.__doc__
    assert cls.__doc__ != Fault.__doc__
    assert len((inspect.getdoc(cls) or "").split()) >= 8


@each_type
def test_its_facts_are_sentences(kind: str) -> None:
    cls = REGISTRY[kind]
    for text in (cls.summary, cls.graceful):
        assert text[0].isupper()
        assert text.endswith(".")


@each_type
def test_each_setting_of_its_own_is_described(kind: str) -> None:
    for name in REGISTRY[kind].model_fields.keys() - Fault.model_fields.keys():
        field = REGISTRY[kind].model_fields[name]
        described = field.description or name == "timeout"
        assert described, f"{kind}.{name} has no description"


def test_the_readme_names_no_fault_that_does_not_exist() -> None:
    table = README.split("| fault |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(REGISTRY)


def test_what_exists_is_not_planned() -> None:
    assert not PLANNED & REGISTRY.keys()


def test_every_example_belongs_to_a_fault() -> None:
    known = {path for kind in REGISTRY for path in files(kind)}
    assert set(EXPERIMENTS.glob("*.yaml")) == known
