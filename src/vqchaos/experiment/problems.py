"""What pydantic found, in the words and at the places of the user's file."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vqchaos import __version__
from vqchaos import checks as checks_package
from vqchaos import faults as faults_package
from vqchaos.errors import Problem
from vqchaos.yamlfile import Document, Step, shown

_EXPECTED = {
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "list_type": "expected a list",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "model_attributes_type": "expected a mapping",
    "date_from_datetime_parsing": "expected a date such as 2027-06-30",
    "date_parsing": "expected a date such as 2027-06-30",
    "date_type": "expected a date such as 2027-06-30",
    "path_type": "expected a path",
}


def to_problems(
    error: ValidationError, document: Document, model: type[BaseModel]
) -> list[Problem]:
    """One problem for each thing wrong, in file order, each once."""
    out: list[Problem] = []
    for details in error.errors(include_url=False):
        path = _path(details["loc"], document)
        problem = _one(details, path, document, model)
        if problem not in out:
            out.append(problem)
    return sorted(out)


def _path(loc: Sequence[int | str], document: Document) -> tuple[Step, ...]:
    """The part of pydantic's location that the file has: tags of unions are left out."""
    steps: tuple[Step, ...] = ()
    value: Any = document.value
    for part in loc:
        inside = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if inside or (isinstance(value, dict) and part in value):
            value = value[part]
        elif part == loc[-1] and isinstance(part, str):
            return (*steps, part)  # a key that the file lacks
        else:
            continue
        steps = (*steps, part)
    return steps


def _one(
    details: ErrorDetails, path: tuple[Step, ...], document: Document, model: type[BaseModel]
) -> Problem:
    kind = details["type"]
    where = dotted(path)
    found = details.get("input")
    if kind == "extra_forbidden":
        known = _known_keys(path[:-1], document, model)
        message = f"unknown key '{shown(path[-1])}'" + _nearest(str(path[-1]), known)
        if path[:-1]:
            message += f" in {dotted(path[:-1])}"
        return document.problem(path, message, key=True)
    if kind == "missing":
        name = path[-1] if path else "?"
        place = dotted(path[:-1])
        return document.problem(
            path[:-1], f"'{name}' is missing" + (f" in {place}" if place else "")
        )
    if kind in ("unknown_fault", "unknown_check"):
        package = faults_package if kind == "unknown_fault" else checks_package
        return document.problem(_type_path(path), _unknown(kind, found, details, package))
    if kind == "union_tag_not_found":
        return document.problem(path, f"'type' is missing in {where}")
    if kind == "union_tag_invalid":
        context = details.get("ctx") or {}
        name, there = str(context["tag"]), str(context["expected_tags"]).replace("'", "")
        message = f"{where}: unknown type '{shown(name)}'; there is {there}"
        return document.problem(_type_path(path), message + _nearest(name, there.split(", ")))
    return document.problem(path, f"{where}: {_expected(details)}{_found(found, details)}")


def _type_path(path: tuple[Step, ...]) -> tuple[Step, ...]:
    return path if path and path[-1] == "type" else (*path, "type")


def _unknown(kind: str, found: object, details: ErrorDetails, package: Any) -> str:
    context = details.get("ctx") or {}
    name = str(context.get("found", found))
    what = "fault type" if kind == "unknown_fault" else "check"
    if name in package.PLANNED:
        return f"{what} '{name}' is not in this version ({__version__})"
    return f"unknown {what} '{shown(name)}'" + _nearest(name, [*package.REGISTRY, *package.PLANNED])


def _expected(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx") or {}
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind in ("literal_error", "enum"):
        expected = str(context.get("expected", "")).replace("'", "")
        found = str(details.get("input"))
        choices = expected.replace(" or ", ", ").split(", ")
        return f"expected {expected}" + _nearest(found, choices, mark=";")
    if kind == "value_error":
        return str(context.get("error", details["msg"])).removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        return f"expected text like {context.get('pattern')}"
    for bound, word in (
        ("ge", "at least"),
        ("gt", "more than"),
        ("le", "at most"),
        ("lt", "below"),
    ):
        if bound in context:
            return f"expected {word} {context[bound]}"
    message = details["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _found(found: object, details: ErrorDetails) -> str:
    if details["type"] == "value_error" and isinstance(found, dict):
        return ""
    if isinstance(found, (dict, list)):
        return ", found " + ("a mapping" if isinstance(found, dict) else "a list")
    if found is None:
        return ", found nothing"
    return f", found '{shown(found)}'"


def _nearest(name: str, known: Sequence[str], mark: str = ";") -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"{mark} did you mean '{near[0]}'?" if near else ""


def _known_keys(path: Sequence[Step], document: Document, model: type[BaseModel]) -> list[str]:
    """The keys that the mapping at ``path`` may have."""
    cls: type[BaseModel] | None = model
    value: Any = document.value
    for step in path:
        if isinstance(value, dict) or (isinstance(value, list) and isinstance(step, int)):
            value = value[step]  # type: ignore[index]
        if isinstance(value, dict):
            cls = _class_at(path, value, model)
    return [] if cls is None else keys_of(cls)


def keys_of(cls: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in cls.model_fields.items()]


def _class_at(
    path: Sequence[Step], value: dict[str, Any], model: type[BaseModel]
) -> type[BaseModel] | None:
    kind = value.get("type")
    if path[0] == "faults" and len(path) == 2:
        return faults_package.REGISTRY.get(str(kind))
    if path[0] == "checks" and len(path) == 2:
        return checks_package.REGISTRY.get(str(kind))
    cls: type[BaseModel] | None = model
    for step in path:
        if cls is None:
            return None
        info = next((i for name, i in cls.model_fields.items() if (i.alias or name) == step), None)
        cls = _model_in(info.annotation) if info is not None else cls
    return cls


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model class in an annotation such as ``Workload | None`` or ``dict[str, Workload]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found is not None:
            return found
    return None


def dotted(path: Sequence[Step]) -> str:
    """``faults[0].target``."""
    out = ""
    for step in path:
        out += f"[{step}]" if isinstance(step, int) else (f".{step}" if out else str(step))
    return shown(out, 80)
