"""What every check is: frozen settings and one pure function of the run to a result.

A check sees a ``RunView`` (see ``vqchaos.view``), never the stack; a saved run is judged again
offline. No data, or a check that crashed, is ``unknown``, never ``pass``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from vqchaos.view import RunView

Verdict = Literal["pass", "unknown", "fail"]
SEVERITY: dict[str, int] = {"pass": 0, "unknown": 1, "fail": 2}
Phase = Literal["warmup", "baseline", "fault", "recovery", "settle"]

ReplicaName = Annotated[str, Field(min_length=1, max_length=64)]
OF_REPLICA = "null: whoever answered; else only what this replica did"


def worst(verdicts: list[Verdict]) -> Verdict:
    """``pass`` < ``unknown`` < ``fail``; of nothing: ``unknown``."""
    return max(verdicts, key=SEVERITY.__getitem__, default="unknown")


class Known(BaseModel):
    """A failure that the team accepts until a date: it reads as a pass and stays a finding. A pass
    is then a fail, so that `known` is taken out when the cause is mended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    why: str = Field(description="What is known, for reports")
    until: Annotated[date, Field(strict=False)] = Field(
        description="YYYY-MM-DD; from the day after, it fails again"
    )


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found. ``observed`` and ``limit`` are in ``unit`` (s, share, ratio, count)."""

    verdict: Verdict
    why: str
    observed: float | str | None = None
    limit: float | str | None = None
    unit: str = ""
    findings: list[str] = field(default_factory=list)


class Check(BaseModel):
    """Base of all check settings; one subclass a file, registered in ``checks/__init__``.

    Class facts, for the catalogue: ``summary`` — what it judges; ``observes`` — what its result's
    ``observed`` is, and ``units`` in which units that may be (empty: it says so in words).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, strict=True)

    summary: ClassVar[str]
    observes: ClassVar[str]
    units: ClassVar[tuple[str, ...]]

    type: str
    name: str | None = Field(default=None, description="How reports call it; default its type")
    known: Known | None = Field(
        default=None, description="An accepted failure: {why: TEXT, until: YYYY-MM-DD}"
    )

    def judge(self, run: RunView) -> Result:
        """The verdict on one run."""
        raise NotImplementedError

    def describe(self) -> str:
        """What it asks, in a line, for the plan."""
        raise NotImplementedError

    def requests_needed(self) -> int:
        """How many requests its phase needs before it can tell; 0 if it counts none."""
        return 0
