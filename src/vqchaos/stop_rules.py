"""``abort_when``: what ends a run at once, because it hurts more than it may."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vqchaos.load.workload import Settings
from vqchaos.units import Duration, Share, format_duration, format_share


class StopRule(Settings):
    """What every rule has."""

    workload: str | None = Field(default=None, description="null: all of them together")
    for_: Annotated[
        Duration, Field(alias="for", gt=0, description="Over how long it is looked at")
    ] = 5.0

    @property
    def whose(self) -> str:
        return self.workload or "all workloads"


class StopAvailability(StopRule):
    """The share of requests that were answered well. No answer at all while some wait is 0."""

    type: Literal["availability"]
    below: Share = Field(description="A share under this ends the run")

    def describe(self) -> str:
        limit, span = format_share(self.below), format_duration(self.for_)
        return f"availability of {self.whose} under {limit} over {span}"


class StopTtft(StopRule):
    """The median time to the first token of the requests that were answered well."""

    type: Literal["ttft"]
    above: Annotated[Duration, Field(gt=0, description="A median over this ends the run")]

    def describe(self) -> str:
        limit, span = format_duration(self.above), format_duration(self.for_)
        return f"median time to first token of {self.whose} over {limit} over {span}"


AnyStopRule = Annotated[StopAvailability | StopTtft, Field(discriminator="type")]
