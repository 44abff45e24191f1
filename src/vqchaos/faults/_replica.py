"""Which of several replicas a fault means."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

REPLICA_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 1},
        {"type": "string", "enum": ["any", "all"]},
    ]
}


def _replica(value: object) -> object:
    """One message, where a union would give two."""
    number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if number or value in ("any", "all"):
        return value
    raise ValueError("expected a number from 1, any or all")


Replica = Annotated[
    int | Literal["any", "all"], BeforeValidator(_replica), WithJsonSchema(REPLICA_SCHEMA)
]


class Target(BaseModel):
    """A role's replicas. ``any`` is drawn from the run's seed. Subclasses say which roles."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    role: str
    replica: Replica = Field(default="all", description="A number from 1, any or all")
    count: Annotated[int, Field(ge=1)] = Field(default=1, description="How many, with any")

    @model_validator(mode="after")
    def _counts_only_any(self) -> Self:
        if self.count != 1 and self.replica != "any":
            raise ValueError("`count` goes with `replica: any`")
        return self

    def __str__(self) -> str:
        if self.replica == "all":
            return self.role
        if self.replica == "any":
            return f"any {self.role}" if self.count == 1 else f"any {self.count} of {self.role}"
        return f"{self.role} {self.replica}"

    def draw(self, there: Iterable[int], seed: int) -> list[int]:
        """Of the replicas that are there, the ones that are meant; fewer than ``count`` if there
        are too few."""
        found = sorted(set(there))
        if self.replica == "any":
            return sorted(random.Random(seed).sample(found, min(self.count, len(found))))
        return [number for number in found if self.replica in ("all", number)]


class ServerTarget(BaseModel):
    """The one server whose start is broken: a refused start is judged by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    role: Literal["server"] = "server"
    replica: Annotated[int, Field(ge=1)] = Field(default=1, description="A number from 1")

    def __str__(self) -> str:
        return self.role if self.replica == 1 else f"{self.role} {self.replica}"


def role_alone(value: object) -> object:
    """``target: server`` is short for ``target: {role: server}``."""
    return {"role": value} if isinstance(value, str) else value


AnyServer = Annotated[
    ServerTarget,
    BeforeValidator(role_alone),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": ["server"]},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "role": {"type": "string", "enum": ["server"]},
                        "replica": {"type": "integer", "minimum": 1},
                    },
                },
            ]
        }
    ),
]


def target_schema(*roles: str) -> WithJsonSchema:
    """A role, or role, replica and count."""
    role = {"type": "string", "enum": list(roles)}
    count = {"type": "integer", "minimum": 1}
    whole = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"role": role, "replica": REPLICA_SCHEMA, "count": count},
    }
    return WithJsonSchema({"anyOf": [role, whole]})
