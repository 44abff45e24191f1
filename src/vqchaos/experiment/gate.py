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
    experiments: Annotated[list[Name], Field(min_length=1)] | None = Field(
        default=None, description="By name; null: all"
    )


class RecoveryLimit(Rule):
    """How soon an experiment's repeats recover: their median, the upper end of its 95 % interval
    (which says how sure that is), or the worst. A run that did not recover counts as longer."""

    type: Literal["recovery_time"]
    experiment: Name = Field(description="By name")
    median: Duration | None = Field(default=None, description="The longest median that passes")
    upper: Duration | None = Field(
        default=None, description="The same, of the upper end of its 95 % interval"
    )
    worst: Duration | None = Field(default=None, description="The same, of the slowest run")

    @model_validator(mode="after")
    def _a_limit(self) -> Self:
        if self.median is None and self.upper is None and self.worst is None:
            raise ValueError("expected `median`, `upper`, `worst` or more of them")
        return self


class Skipped(Rule):
    """Few enough experiments were skipped for what the stack cannot do."""

    type: Literal["skipped"]
    max: Annotated[int, Field(ge=0, description="At most so many")] = 0


class Valid(Rule):
    """Enough runs of each experiment are valid."""

    type: Literal["valid"]
    min: Annotated[int, Field(ge=1, description="At least so many")]


class Regression(Rule):
    """`vqchaos compare` against a set that was kept."""

    type: Literal["regression"]
    base: str = Field(description="The kept set's folder, from the gate file's")
    max: str = Field(default="10%", description="How much slower is accepted: a share or a time")
    max_drop: str = Field(
        default="5%", description="How much availability may be lost under the fault, in points"
    )

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
    """One gate file: rules over a set of runs."""

    version: Annotated[int, Field(ge=1, le=1, description="Of the file format")] = 1
    name: Name = Field(default="gate", description="How summaries call it")
    title: str = Field(default="", description="One line for summaries")
    on_fail: Literal["continue", "stop"] = Field(
        default="continue", description="stop: the set ends after the first run that fails"
    )
    rules: Annotated[list[AnyRule], Field(min_length=1)] = Field(
        description="All must hold; they alone decide"
    )

    def base_of(self, rule: Regression, file: Path) -> Path:
        """A relative folder is one beside the gate's file."""
        return file.resolve().parent / rule.base
