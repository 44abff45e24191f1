"""Which of several replicas a fault means."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, WithJsonSchema

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
