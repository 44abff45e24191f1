"""The settings of a file's parts in words: each key's type, bounds, default and meaning.

From the JSON Schema, for ``vqchaos faults NAME`` and the pages of docs/reference. What a schema
cannot say of a text, the bounds of a duration or a size, comes from the model's own fields.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from vqchaos.stack.config import URL_PATTERN
from vqchaos.units import (
    DURATION_PATTERN,
    RATE_PATTERN,
    SHARE_PATTERN,
    SIZE_PATTERN,
    duration_text,
    format_size,
    parse_duration,
    parse_size,
)

Schema = dict[str, Any]
# Says which part of a file a `$ref` means; gets the name that the schema has for it.
Named = Callable[[str], str]

_TEXTS = {
    DURATION_PATTERN: "duration",
    SIZE_PATTERN: "size",
    RATE_PATTERN: "rate",
    URL_PATTERN: "URL",
}
_SIGNS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
_LIMITS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
REQUIRED, OWN = "required", "see there"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. ``kind`` is its type with bounds, ``default`` as a file has it, or ``required``."""

    key: str
    kind: str
    default: str
    meaning: str


def settings_of(schema: Schema, named: Named, model: type[BaseModel] | None) -> list[Setting]:
    """The keys of one object of a schema, in its order. ``model`` is what it was made from."""
    required = schema.get("required", [])
    bounds = {} if model is None else _bounds(model)
    return [
        Setting(
            key,
            _bounded(kind_of(part, named), bounds.get(key, "")),
            REQUIRED if key in required else _default(part),
            part.get("description", ""),
        )
        for key, part in schema.get("properties", {}).items()
    ]


def _bounded(kind: str, bounds: str) -> str:
    first, null, _ = kind.partition(" or null")
    return first + bounds + null


def kind_of(part: Schema, named: Named) -> str:
    """A type in words: ``duration``, ``integer >= 1``, ``list of text``, ``a or b``."""
    *first, last = dict.fromkeys(_kinds(part, named))
    return f"{', '.join(first)} or {last}" if first else last


def _kinds(part: Schema, named: Named) -> Iterator[str]:
    if "$ref" in part:
        yield named(part["$ref"].rpartition("/")[2])
    elif "const" in part or "enum" in part:
        yield from (f"`{value}`" for value in part.get("enum", [part.get("const")]))
    elif union := part.get("anyOf") or part.get("oneOf"):
        if any(one.get("pattern") == SHARE_PATTERN for one in union):
            yield "share"
        else:
            for one in union:
                yield from _kinds(one, named)
    else:
        yield _plain(part, named)


def _plain(part: Schema, named: Named) -> str:
    match part.get("type"):
        case "array":
            least = "" if "minItems" not in part else f" ({part['minItems']} or more)"
            return f"list of {kind_of(part.get('items', {}), named)}{least}"
        case "object" if "properties" in part:
            inner = [f"{key}: {kind_of(value, named)}" for key, value in part["properties"].items()]
            return "{" + "; ".join(inner) + "}"
        case "object":
            patterned = part.get("patternProperties", {}).values()
            values = next(iter(patterned), part.get("additionalProperties"))
            return f"mapping to {kind_of(values, named)}" if isinstance(values, dict) else "mapping"
        case "string":
            return _text(part)
        case "boolean":
            return "true or false"
        case "integer" | "number" as name:
            return " ".join([str(name), *_range(part)])
        case [*_]:
            return "text"  # any plain scalar, by its source text
        case name:
            return str(name or "anything")


def _text(part: Schema) -> str:
    if part.get("format") in ("path", "date"):
        return str(part["format"])
    if (pattern := part.get("pattern")) is not None:
        return _TEXTS.get(pattern, f"text like `{pattern}`")
    return "text" + (f" of at most {part['maxLength']}" if "maxLength" in part else "")


def _range(part: Schema) -> list[str]:
    step = [f"in steps of {part['multipleOf']}"] if "multipleOf" in part else []
    least, most = part.get("minimum"), part.get("maximum")
    if least is not None and most is not None:
        return [str(least) if least == most else f"{least} to {most}", *step]
    return [", ".join(f"{sign} {part[key]}" for key, sign in _SIGNS.items() if key in part), *step]


def _default(part: Schema) -> str:
    value = part.get("default")
    if isinstance(value, dict) and "$ref" in part:
        return OWN  # in that part's own table
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    patterns = {one.get("pattern") for one in [part, *part.get("anyOf", [])]}
    if SIZE_PATTERN in patterns:
        return _size(parse_size(value))
    if DURATION_PATTERN in patterns:
        return duration_text(parse_duration(value))
    return value or '""'


def _size(size: float) -> str:
    """As a file has it: ``8GiB``."""
    return format_size(size).replace(".0 ", "").replace(" ", "")


def _bounds(model: type[BaseModel]) -> dict[str, str]:
    """Of durations and sizes, by key: the schema has those as text."""
    found = {}
    for name, field in model.model_fields.items():
        held = [*field.metadata, *_metadata(field.annotation)]
        shown = next(
            (show for show in map(_shown_by, held) if show is not None),
            None,
        )
        if shown is None:
            continue
        limits = [
            f"{sign} {shown(value)}"
            for item in held
            for key, sign in _LIMITS.items()
            if (value := getattr(item, key, None)) is not None
        ]
        if limits:
            found[field.alias or name] = " " + ", ".join(limits)
    return found


def _metadata(annotation: Any) -> Iterator[Any]:
    for arg in get_args(annotation):
        for item in getattr(arg, "__metadata__", ()):
            yield from [item, *getattr(item, "metadata", ())]
        yield from _metadata(arg)


def _shown_by(item: Any) -> Callable[[Any], str] | None:
    schema = getattr(item, "json_schema", None)
    pattern = schema.get("pattern") if isinstance(schema, dict) else None
    return {DURATION_PATTERN: duration_text, SIZE_PATTERN: _size}.get(pattern or "")
