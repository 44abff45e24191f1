"""The frozen model of a game day: the steps that people take together, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from vqchaos.load.workload import Settings
from vqchaos.scenario import Name

_Text = Annotated[str, Field(max_length=2000)]


class Step(Settings):
    """One step: an experiment that is run once people confirm it, or a pause in which they do
    something by hand."""

    experiment: str | None = Field(
        default=None, description="An experiment's file, relative to this one"
    )
    pause: _Text | None = Field(default=None, description="What people do by hand, then confirm")
    name: Name | None = Field(default=None, description="Default the experiment's")
    ask: _Text = Field(default="", description="What is on the screen before the step starts")
    repeat: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="Run it so often; default from the experiment"
    )
    set_: Annotated[list[str], Field(alias="set")] = Field(
        default_factory=list,
        description="As --set: values of the experiment, such as phases.fault=1m",
    )

    @field_validator("experiment", "pause")
    @classmethod
    def _something(cls, text: str | None) -> str | None:
        if text is not None and not text.strip():
            raise ValueError("expected text")
        return text

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.experiment is None) == (self.pause is None):
            raise ValueError("expected one of `experiment` and `pause`")
        if self.pause is not None and (self.repeat is not None or self.set_):
            raise ValueError("a pause has no `repeat` and no `set`")
        return self

    def file(self, plan: Path) -> Path:
        """The experiment's file: a relative one lies beside the plan's."""
        assert self.experiment is not None
        return plan.parent / self.experiment


class GameDay(Settings):
    """One game day's file."""

    version: Annotated[int, Field(ge=1, le=1)] = Field(
        default=1, description="Of the file's format"
    )
    name: Name = Field(default="gameday", description="How the minutes call it")
    title: str = Field(default="", description="One line, on the screen and in the minutes")
    steps: Annotated[list[Step], Field(min_length=1, max_length=200)] = Field(
        description="In order; each waits for a key"
    )

    @model_validator(mode="before")
    @classmethod
    def _named_once(cls, data: Any) -> Any:
        steps = data.get("steps") if isinstance(data, dict) else None
        if not isinstance(steps, list):  # its own field says so
            return data
        names = [s.get("name") for s in steps if isinstance(s, dict)]
        for name in names:
            if isinstance(name, str) and names.count(name) > 1:
                raise ValueError(f"two steps are called '{name[:64]}'")
        return data
