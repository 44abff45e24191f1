"""Files in, models out: the kind of a file is told by the one key that it must have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from vqchaos import __version__
from vqchaos.errors import InvalidFile, Problem
from vqchaos.experiment.gameday import GameDay
from vqchaos.experiment.gate import Gate
from vqchaos.experiment.model import Experiment
from vqchaos.experiment.problems import to_problems
from vqchaos.experiment.rules import broken_rules
from vqchaos.experiment.sets import apply_sets
from vqchaos.stack.config import (
    AnyStackFile,
    AttachStackFile,
    DockerStackFile,
    LocalStackFile,
    StackFile,
)
from vqchaos.yamlfile import Document, load, shown

KINDS = {
    "faults": "experiment",
    "kind": "stack",
    "steps": "game day",
    "rules": "gate",
    "space": "search space",
}
_STACKS: dict[str, type[BaseModel]] = {
    "local": LocalStackFile,
    "docker": DockerStackFile,
    "attach": AttachStackFile,
}
_LATER_STACKS = ("kubernetes", "ray")


def kind_of(document: Document) -> str:
    """``experiment``, ``stack``, … Raises InvalidFile if no key or several tell it."""
    found = [key for key in KINDS if key in document.value]
    if len(found) == 1:
        return KINDS[found[0]]
    if not found:
        message = "neither an experiment (`faults:`) nor a stack (`kind:`): one is required"
        raise InvalidFile(sorted([*document.problems, document.problem((), message)]))
    names = " and ".join(f"`{key}:`" for key in found)
    raise InvalidFile([document.problem((found[1],), f"{names} cannot both be here", key=True)])


def load_experiment(path: Path, sets: Sequence[str] = ()) -> Experiment:
    """Raises InvalidFile with every problem of the file."""
    document = load(path)
    apply_sets(document, sets)
    if "faults" not in document.value and kind_of(document) != "experiment":
        raise InvalidFile([document.problem((), f"a {kind_of(document)}, not an experiment")])
    return _experiment(document)


def _experiment(document: Document) -> Experiment:
    try:
        experiment = Experiment.model_validate(document.value)
    except ValidationError as error:
        found = to_problems(error, document, Experiment)
        raise InvalidFile(sorted(document.problems + found)) from None
    broken = [document.problem(path, text) for path, text in broken_rules(experiment)]
    _raise(document.problems + broken)
    return experiment


def load_gate(path: Path) -> Gate:
    """Raises InvalidFile with every problem of the file."""
    document = load(path)
    if "rules" not in document.value:
        raise InvalidFile([document.problem((), "not a gate: the key `rules` is missing")])
    return _gate(document)


def _gate(document: Document) -> Gate:
    try:
        gate = Gate.model_validate(document.value)
    except ValidationError as error:
        raise InvalidFile(sorted(document.problems + to_problems(error, document, Gate))) from None
    _raise(document.problems)
    return gate


def load_gameday(path: Path) -> GameDay:
    """Raises InvalidFile with every problem of the file; its experiments are not looked at."""
    document = load(path)
    if "steps" not in document.value:
        raise InvalidFile([document.problem((), "not a game day: the key `steps` is missing")])
    return _gameday(document)


def _gameday(document: Document) -> GameDay:
    try:
        plan = GameDay.model_validate(document.value)
    except ValidationError as error:
        found = to_problems(error, document, GameDay)
        raise InvalidFile(sorted(document.problems + found)) from None
    _raise(document.problems)
    return plan


def load_stack(path: Path, sets: Sequence[str] = ()) -> AnyStackFile:
    """Raises InvalidFile with every problem of the file."""
    document = load(path)
    apply_sets(document, sets)
    if "kind" not in document.value:
        raise InvalidFile([document.problem((), "not a stack: the key `kind` is missing")])
    return _stack(document)


def _stack(document: Document) -> AnyStackFile:
    kind = document.value["kind"]
    if kind in _LATER_STACKS:
        message = f"stacks of kind '{kind}' are not in this version ({__version__})"
        raise InvalidFile([document.problem(("kind",), message)])
    model = _STACKS.get(kind) if isinstance(kind, str) else None
    if model is None:
        message = f"kind: expected local, docker or attach, found '{shown(kind)}'"
        raise InvalidFile([document.problem(("kind",), message)])
    adapter: TypeAdapter[AnyStackFile] = TypeAdapter(StackFile)
    try:
        stack = adapter.validate_python(document.value)
    except ValidationError as error:
        found = to_problems(error, document, model)
        raise InvalidFile(sorted(document.problems + found)) from None
    _raise(document.problems)
    return stack


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise InvalidFile(sorted(problems))


def load_any(path: Path) -> Any:
    """Whatever kind of file it is. Raises InvalidFile."""
    document = load(path)
    kind = kind_of(document)
    if kind == "experiment":
        return _experiment(document)
    if kind == "stack":
        return _stack(document)
    if kind == "gate":
        return _gate(document)
    if kind == "game day":
        return _with_experiments(path, document)
    message = f"a {kind}: not in this version ({__version__})"
    raise InvalidFile([document.problem((), message)])


def _with_experiments(path: Path, document: Document) -> GameDay:
    """A plan is in order only if the experiments that it names are."""
    plan = _gameday(document)
    problems: list[Problem] = []
    for number, step in enumerate(plan.steps):
        if step.experiment is None:
            continue
        try:
            load_experiment(step.file(path), step.set_)
        except InvalidFile as error:
            place = ("steps", number, "set" if step.set_ else "experiment")
            problems += [document.problem(place, str(problem)) for problem in error.problems]
    _raise(problems)
    return plan


def find_experiments(folder: Path) -> tuple[list[Path], list[Path]]:
    """The experiments of a folder, and the YAML files that are something else; sorted. A file
    that is no valid YAML counts as an experiment, so that its error is shown."""
    experiments: list[Path] = []
    others: list[Path] = []
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".yaml", ".yml")):
        try:
            mine = "faults" in load(path).value
        except InvalidFile:
            mine = True
        (experiments if mine else others).append(path)
    return experiments, others


def validate_files(paths: Sequence[Path]) -> list[Problem]:
    """Every problem of every file; a folder stands for the YAML files in it."""
    problems: list[Problem] = []
    for path in paths:
        files = [path]
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml"))
            if not files:
                problems.append(Problem(str(path), 0, 0, "no YAML file in this folder"))
        for file in files:
            try:
                load_any(file)
            except InvalidFile as error:
                problems += error.problems
    return problems
