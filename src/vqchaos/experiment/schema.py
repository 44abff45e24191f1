"""JSON Schema of the files, for editors and for other programs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from vqchaos import checks, faults
from vqchaos.errors import UsageError
from vqchaos.experiment.gameday import GameDay
from vqchaos.experiment.gate import Gate
from vqchaos.experiment.model import Experiment
from vqchaos.stack.config import AttachStackFile, DockerStackFile, LocalStackFile

KINDS = ("experiment", "stack", "gate", "gameday")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of one kind of file. Raises UsageError for another word."""
    if kind not in KINDS:
        raise UsageError(f"no schema of '{kind}'", hint=f"there is {', '.join(KINDS)}")
    definitions: dict[str, Any] = {}
    if kind == "stack":
        kinds = (LocalStackFile, DockerStackFile, AttachStackFile)
        members = [_member(cls, definitions) for cls in kinds]
        schema: dict[str, Any] = {"title": "A stack of vqchaos", "anyOf": members}
    elif kind == "gate":
        schema = {**_flat(Gate, definitions), "title": "A gate of vqchaos"}
    elif kind == "gameday":
        schema = {**_flat(GameDay, definitions), "title": "A game day of vqchaos"}
    else:
        schema = _flat(Experiment, definitions)
        schema["title"] = "An experiment of vqchaos"
        properties = schema["properties"]
        for key, registry in (("faults", faults.REGISTRY), ("checks", checks.REGISTRY)):
            members = [_member(cls, definitions) for _, cls in sorted(registry.items())]
            properties[key]["items"] = {"anyOf": members}
    return {"$schema": _DIALECT, **schema, "$defs": definitions}


def _flat(cls: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    schema = cls.model_json_schema(by_alias=True, mode="validation")
    definitions.update(schema.pop("$defs", {}))
    return schema


def _member(cls: type[BaseModel], definitions: dict[str, Any]) -> dict[str, str]:
    definitions[cls.__name__] = _flat(cls, definitions)
    return {"$ref": f"#/$defs/{cls.__name__}"}
