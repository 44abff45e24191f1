"""What a run does and how it is measured: an experiment without its checks.

Views, recovery and checks read this much of an experiment; the whole of it knows the checks.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vqchaos.faults import AnyFault
from vqchaos.load.workload import ObserverSettings, Settings, Workload
from vqchaos.stop_rules import AnyStopRule
from vqchaos.units import Duration, Share

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class Phases(Settings):
    """How long each phase lasts; ``recovery`` is a limit, it ends early."""

    warmup: Duration = Field(default=5.0, description="Traffic before anything counts")
    baseline: Duration = Field(default=20.0, description="What everything is compared with")
    fault: Duration = Field(
        default=10.0, description="From the first injection on; a start-up fault may end it sooner"
    )
    recovery: Duration = Field(
        default=180.0, description="The longest that is waited for recovery; it ends early"
    )
    settle: Duration = Field(default=10.0, description="After recovery; impact here is a relapse")


class Recovered(Settings):
    """What "recovered" means: a window in which every request sent was served, and in time."""

    for_: Annotated[Duration, Field(alias="for", description="How long it lasts")] = 5.0
    successes: Annotated[
        int, Field(ge=1, description="Requests of the workload that it holds, at least")
    ] = 10
    slowdown: Annotated[
        float, Field(gt=1, description="Latency in it over the baseline's, at most")
    ] = 2.0


class SteadyState(Settings):
    """When a baseline is good enough to measure against."""

    requests: Annotated[int, Field(ge=1, description="Requests in it, at least")] = 20
    ok: Share = Field(default=0.99, description="Of these, the share that ended ok, at least")


class CanarySettings(Settings):
    """Known questions, asked while the workload pauses: before the baseline, of a server that
    started under a fault, and at the end."""

    enabled: bool = Field(default=True, description="Whether they are asked at all")
    golden: str | None = Field(
        default=None,
        description="A file that `vqchaos golden` wrote, from this file's folder; null: the demo's "
        "own for the demo model, else this run's baseline",
    )
    under_load: bool = Field(
        default=False,
        description="Also once after the recovery, while the load goes on; judged as load allows",
    )


class Scenario(Settings):
    """One experiment file but for ``checks``."""

    version: Annotated[int, Field(ge=1, le=1, description="Of the file format")] = 1
    name: Name = Field(description="Names the run's folder; what gates and `compare` go by")
    title: str = Field(default="", description="One line for reports")
    hypothesis: str = Field(default="", description="What a good stack does, for people")
    labels: list[str] = Field(default_factory=list, description="For your own use")
    seed: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Arrivals, random targets and flipped bits replay by it; null: drawn, recorded",
    )
    workload: Workload | None = Field(
        default=None, description="The one workload; short for `workloads` with one, `clients`"
    )
    workloads: dict[str, Workload] | None = Field(
        default=None, description="Several, by name; this or `workload`"
    )
    phases: Phases = Field(default=Phases(), description="How long each phase lasts")
    recovered: Recovered = Field(default=Recovered(), description="When clients count as served")
    repeat: Annotated[int, Field(ge=1, le=1000)] = Field(default=1, description="How many runs")
    faults: Annotated[list[AnyFault], Field(min_length=1)] = Field(description="What goes wrong")
    abort_when: list[AnyStopRule] = Field(
        default_factory=list, description="What ends the run at once, everything reverted"
    )
    allow: list[str] | None = Field(
        default=None,
        description="The only fault types that may be here; required where the stack is production",
    )
    max_targets: Annotated[int, Field(ge=1)] = Field(
        default=1, description="How many things one fault may hit; more is refused before it does"
    )
    steady_state: SteadyState = Field(
        default=SteadyState(), description="A baseline that is not so makes the run void"
    )
    observer: ObserverSettings = Field(
        default=ObserverSettings(), description="How often the probes ask, and how long they wait"
    )
    canary: CanarySettings = Field(
        default=CanarySettings(), description="Questions whose answers are known"
    )
    requires: list[str] = Field(
        default_factory=list,
        description="Capabilities of the stack without which this is skipped, as a fault's needs",
    )
    min_valid: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Valid runs that the set's verdict needs; null: all"
    )

    def traffic(self) -> dict[str, Workload]:
        """The workloads by name; ``workload:`` is short for one named ``clients``."""
        if self.workloads is not None:
            return dict(self.workloads)
        return {"clients": self.workload or Workload()}
