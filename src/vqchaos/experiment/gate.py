"""The frozen model of a gate: what a set of runs must show before a release goes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from vqchaos.load.workload import Settings
from vqchaos.scenario import Name
from vqchaos.units import Duration, parse_duration, parse_share


class Rule(Settings):
    """What every rule has."""

    name: str | None = Field(default=None, description="Default its type")


class Verdicts(Rule):
    """Every run passes; of the experiments that are named, or of all. A void run is unknown."""

    type: Literal["verdicts"]
    experiments: Annotated[list[Name], Field(min_length=1)] | None = None


class RecoveryLimit(Rule):
    """How soon an experiment's repeats recover: their median, the upper end of its 95 % interval
    (which says how sure that is), or the worst. A run that did not recover counts as longer."""

    type: Literal["recovery_time"]
    experiment: Name
    median: Duration | None = None
    upper: Duration | None = Field(default=None, description="Of the median's 95 % interval")
    worst: Duration | None = None

    @model_validator(mode="after")
    def _a_limit(self) -> Self:
        if self.median is None and self.upper is None and self.worst is None:
            raise ValueError("expected `median`, `upper`, `worst` or more of them")
        return self


class Skipped(Rule):
    """What the stack could not do: at most so many experiments."""

    type: Literal["skipped"]
    max: Annotated[int, Field(ge=0)] = 0


class Valid(Rule):
    """At least so many valid runs of each experiment."""

    type: Literal["valid"]
    min: Annotated[int, Field(ge=1)]


class Regression(Rule):
    """`vqchaos compare` against a set that was kept: ``base`` is its folder, from the gate's file.
    ``max``: how much slower is accepted, a share or a time."""

    type: Literal["regression"]
    base: str
    max: str = "10%"
    max_drop: str = "5%"

    @field_validator("max")
    @classmethod
    def _a_share_or_time(cls, text: str) -> str:
        parse_share(text) if text.strip().endswith("%") else parse_duration(text)
        return text

    @field_validator("max_drop")
    @classmethod
    def _a_share(cls, text: str) -> str:
        parse_share(text)
        return text


AnyRule = Annotated[
    Verdicts | RecoveryLimit | Skipped | Valid | Regression, Field(discriminator="type")
]
RULES: tuple[type[Rule], ...] = (Verdicts, RecoveryLimit, Skipped, Valid, Regression)


class Gate(Settings):
    """One gate file. ``on_fail: stop`` ends the set after the first run that fails."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    name: Name = "gate"
    title: str = ""
    on_fail: Literal["continue", "stop"] = "continue"
    rules: Annotated[list[AnyRule], Field(min_length=1)]

    def base_of(self, rule: Regression, file: Path) -> Path:
        """A relative folder is one beside the gate's file."""
        return file.resolve().parent / rule.base
