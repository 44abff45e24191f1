"""JSON Schema of the files, for editors and for other programs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import SchemaSerializer, core_schema

from vqchaos import checks, faults
from vqchaos.errors import UsageError
from vqchaos.experiment.gameday import GameDay
from vqchaos.experiment.gate import Gate
from vqchaos.experiment.model import Experiment
from vqchaos.stack.config import AttachStackFile, DockerStackFile, LocalStackFile

KINDS = ("experiment", "stack", "gate", "gameday")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _AsInFiles(GenerateJsonSchema):
    """A default as a file would have it, ``20s``: pydantic's is the number that the model holds."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if type(made.get("default")) in (int, float):
            written = SchemaSerializer(schema["schema"]).to_python(made["default"], mode="json")
            made["default"] = written if isinstance(written, str) else made["default"]
        return made

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        """What is empty by default is so here too."""
        factory: Any = schema.get("default_factory")
        return factory() if factory in (dict, list) else super().get_default_value(schema)


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


def part_schema(cls: type[BaseModel]) -> dict[str, Any]:
    """The schema of one part of a file, such as a fault, with its own ``$defs``."""
    return cls.model_json_schema(by_alias=True, mode="validation", schema_generator=_AsInFiles)


def _flat(cls: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    schema = part_schema(cls)
    definitions.update(schema.pop("$defs", {}))
    return schema


def _member(cls: type[BaseModel], definitions: dict[str, Any]) -> dict[str, str]:
    definitions[cls.__name__] = _flat(cls, definitions)
    return {"$ref": f"#/$defs/{cls.__name__}"}
