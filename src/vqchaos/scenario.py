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

    warmup: Duration = 5.0
    baseline: Duration = 20.0
    fault: Duration = 10.0
    recovery: Duration = 180.0
    settle: Duration = 10.0


class Recovered(Settings):
    """What "recovered" means: see MEASURE, the recovered window."""

    for_: Annotated[Duration, Field(alias="for")] = 5.0
    successes: Annotated[int, Field(ge=1)] = 10
    slowdown: Annotated[float, Field(gt=1)] = 2.0


class SteadyState(Settings):
    """When a baseline is good enough to measure against."""

    requests: Annotated[int, Field(ge=1)] = 20
    ok: Share = 0.99


class CanarySettings(Settings):
    """``golden``: a file that `vqchaos golden` wrote; null = the demo's own for the demo model,
    else this run's baseline. ``under_load``: asked once more after the recovery, while the load
    goes on, and judged as load allows."""

    enabled: bool = True
    golden: str | None = None
    under_load: bool = False


class Scenario(Settings):
    """One experiment file but for ``checks``."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    name: Name
    title: str = ""
    hypothesis: str = ""
    labels: list[str] = Field(default_factory=list)
    seed: Annotated[int, Field(ge=0)] | None = None
    workload: Workload | None = None
    workloads: dict[str, Workload] | None = None
    phases: Phases = Phases()
    recovered: Recovered = Recovered()
    repeat: Annotated[int, Field(ge=1, le=1000)] = 1
    faults: Annotated[list[AnyFault], Field(min_length=1)]
    abort_when: list[AnyStopRule] = Field(default_factory=list)
    allow: list[str] | None = None
    max_targets: Annotated[int, Field(ge=1)] = 1
    steady_state: SteadyState = SteadyState()
    observer: ObserverSettings = ObserverSettings()
    canary: CanarySettings = CanarySettings()
    requires: list[str] = Field(default_factory=list)
    min_valid: Annotated[int, Field(ge=1)] | None = None

    def traffic(self) -> dict[str, Workload]:
        """The workloads by name; ``workload:`` is short for one named ``clients``."""
        if self.workloads is not None:
            return dict(self.workloads)
        return {"clients": self.workload or Workload()}
