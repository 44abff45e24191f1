"""``--set faults.NAME.for=5s``: values of the command line, put into a document before it is
validated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vqchaos.errors import InvalidFile, Problem
from vqchaos.yamlfile import TEXT_KEYS, Document, Step, scalar, shown


def apply_sets(document: Document, sets: Sequence[str]) -> None:
    """Changes ``document.value``. List items go by name, type or index.

    Raises InvalidFile, its place the ``--set`` itself.
    """
    problems = [p for text in sets if (p := _apply(document, text)) is not None]
    if problems:
        raise InvalidFile(problems)


def _apply(document: Document, text: str) -> Problem | None:
    place = f"--set {shown(text)}"
    path, equals, value = text.partition("=")
    parts = path.split(".")
    if not equals or not all(parts):
        return Problem(place, 0, 0, "expected PATH=VALUE, such as phases.baseline=8s")
    target: Any = document.value
    for part in parts[:-1]:
        step = _step(target, part)
        if step is None:
            return Problem(place, 0, 0, f"nothing called '{shown(part)}'{_choices(target)}")
        target = target.setdefault(step, {}) if isinstance(target, dict) else target[step]
    last = parts[-1]
    if isinstance(target, list):
        index = _step(target, last)
        if index is None:
            return Problem(place, 0, 0, f"nothing called '{shown(last)}'{_choices(target)}")
        target[index] = scalar(value)
    elif isinstance(target, dict):
        target[last] = value if TEXT_KEYS & set(parts) else scalar(value)
    else:
        return Problem(place, 0, 0, f"'{parts[-2]}' is a value: nothing can be set in it")
    return None


def _step(target: Any, part: str) -> Any:
    if isinstance(target, dict):
        return part
    if not isinstance(target, list):
        return None
    for key in ("name", "type"):
        for index, item in enumerate(target):
            if isinstance(item, dict) and item.get(key) == part:
                return index
    if part.isdigit() and int(part) < len(target):
        return int(part)
    return None


def _choices(target: Any) -> str:
    if not isinstance(target, list):
        return ""
    names: list[Step] = [
        str(item.get("name") or item.get("type")) for item in target if isinstance(item, dict)
    ]
    return f"; there is {', '.join(str(n) for n in names)}" if names else ""
