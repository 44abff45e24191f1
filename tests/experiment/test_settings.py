from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from vqchaos.experiment.schema import part_schema, schema_of
from vqchaos.experiment.settings import Setting, settings_of
from vqchaos.stack.config import Url
from vqchaos.units import Duration, Rate, Share, Size


class Inner(BaseModel):
    depth: int = 1


class Sample(BaseModel):
    wait: Annotated[Duration, Field(gt=0, le=600)] = Field(default=0.25, description="So long")
    room: Annotated[Size, Field(ge=1024)] | None = 64 * 1024**2
    speed: Rate
    least: Share = 0.99
    at: Url
    words: Annotated[list[str], Field(min_length=1)] | None = None
    mode: Literal["a", "b"] | bool = "a"
    step: Annotated[int, Field(ge=256, le=1024, multiple_of=128)] = 256
    ratio: Annotated[float, Field(gt=1)] = 2
    inner: Inner = Inner()
    more: dict[str, Inner] = Field(default_factory=dict)
    renamed_: str = Field(default="", alias="renamed")


FOUND = {s.key: s for s in settings_of(part_schema(Sample), str.lower, Sample)}


@pytest.mark.parametrize(
    ("key", "kind", "default"),
    [
        ("wait", "duration > 0s, <= 600s", "250ms"),
        ("room", "size >= 1KiB or null", "64MiB"),
        ("speed", "rate", "required"),
        ("least", "share", "0.99"),
        ("at", "URL", "required"),
        ("words", "list of text (1 or more) or null", "null"),
        ("mode", "`a`, `b` or true or false", "a"),
        ("step", "integer 256 to 1024 in steps of 128", "256"),
        ("ratio", "number > 1", "2"),
        ("inner", "inner", "see there"),
        ("more", "mapping to inner", "{}"),
        ("renamed", "text", '""'),
    ],
)
def test_a_key_in_words(key: str, kind: str, default: str) -> None:
    assert (FOUND[key].kind, FOUND[key].default) == (kind, default)


def test_the_meaning_is_the_fields_own() -> None:
    assert FOUND["wait"] == Setting("wait", "duration > 0s, <= 600s", "250ms", "So long")


def test_a_default_in_the_schema_is_what_a_file_may_say() -> None:
    """An editor offers it: a number would be refused where a duration is expected."""
    schema = schema_of("experiment")
    phases = schema["$defs"]["Phases"]["properties"]
    assert phases["warmup"]["default"] == "5s"
    assert schema["properties"]["checks"]["default"] == []
