"""What the observer process is told: one JSON line on its standard input, nothing on its command
line and nothing in its environment, so that API keys show nowhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqchaos.errors import UsageError
from vqchaos.load.plan import LoadPlan
from vqchaos.probes.golden import Canary, GoldenAnswer, built_in_canaries, read_golden
from vqchaos.stack.protocols import DockerSource, Endpoints, ProbeSources

if TYPE_CHECKING:
    from vqchaos.load.workload import ObserverSettings, Workload

CANARY_DEADLINE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverConfig:
    """The runner's side. ``origin`` is the raw monotonic second that is t = 0. ``golden`` is a
    golden file; without one the built-in canaries are asked, and only compared within the run."""

    origin: float
    endpoints: Endpoints = field(repr=False)
    workloads: Mapping[str, Workload]
    settings: ObserverSettings
    seed: int
    golden: Path | None = None
    canary: bool = True
    sources: ProbeSources = field(default_factory=ProbeSources)

    def job(self) -> Job:
        """Resolved for the process; reads every file it names. Raises UsageError."""
        canaries: list[Canary] = []
        if self.canary and self.golden is not None:
            canaries = list(read_golden(self.golden).canaries)
        elif self.canary:
            canaries = built_in_canaries()
        ends = self.endpoints
        plans = [
            LoadPlan.of(name, workload, url=url_of(name, workload, ends), model=ends.model)
            for name, workload in self.workloads.items()
        ]
        for plan in plans:
            plan.check()
        s = self.settings
        return Job(
            origin=self.origin,
            seed=self.seed,
            client_url=ends.client_url,
            direct_url=ends.direct_url,
            health_url=_with_path(ends.health_url, "/health"),
            metrics_url=_with_path(ends.metrics_url, "/metrics"),
            model=ends.model,
            headers=dict(ends.headers),
            ca_file=ends.ca_file,
            replica_header=ends.replica_header,
            router_stats=ends.router_stats,
            plans=plans,
            canaries=canaries,
            health_interval=s.health_interval,
            health_timeout=s.health_timeout,
            pilot_interval=s.pilot_interval,
            pilot_deadline=s.pilot_deadline,
            metrics_interval=s.metrics_interval,
            processes_interval=s.processes_interval,
            launcher_events=self.sources.events,
            docker=self.sources.docker,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The process's side: plain values. ``headers`` are secret."""

    origin: float
    seed: int
    client_url: str
    direct_url: str
    health_url: str
    metrics_url: str
    model: str
    headers: dict[str, str] = field(repr=False)
    ca_file: str | None
    plans: list[LoadPlan]
    canaries: list[Canary]
    health_interval: float
    health_timeout: float
    pilot_interval: float
    pilot_deadline: float
    metrics_interval: float
    processes_interval: float
    launcher_events: str | None
    docker: DockerSource | None = None
    replica_header: str | None = None
    router_stats: str | None = None

    def dumps(self) -> str:
        """One line of JSON, with the secrets."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def loads(cls, line: str | bytes) -> Job:
        data: dict[str, Any] = json.loads(line)
        data["plans"] = [LoadPlan(**plan) for plan in data["plans"]]
        data["canaries"] = [
            GoldenAnswer(**canary) if "text" in canary else Canary(**canary)
            for canary in data["canaries"]
        ]
        if data.get("docker") is not None:
            data["docker"] = DockerSource(**data["docker"])
        return cls(**data)


def url_of(name: str, workload: Workload, ends: Endpoints) -> str:
    """Where this workload goes. Raises UsageError for an endpoint that the stack does not name."""
    if workload.endpoint is None:
        return ends.client_url
    if workload.endpoint in ends.named:
        return ends.named[workload.endpoint]
    there = ", ".join(sorted(ends.named))
    raise UsageError(
        f"workload '{name}': the stack has no endpoint '{workload.endpoint}'; "
        + (f"there is {there}" if there else "it names none"),
        hint="name it in the stack's file: `endpoints: {NAME: URL}`; without `endpoint` a workload "
        "goes where clients go",
    )


def _with_path(url: str, path: str) -> str:
    """A URL without a path gets the usual one."""
    scheme, _, rest = url.rstrip("/").partition("://")
    return f"{scheme}://{rest}" if "/" in rest else f"{scheme}://{rest}{path}"
