"""verdict.json: its model, and what its keys mean (the design's "What a run leaves")."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """One fault. ``injected_by`` is vqchaos, a person, or the evidence of an external one."""

    name: str
    type: str
    target: str | None
    held: bool
    injected_at: float | None
    injected_by: str
    verified: str | None
    verified_at: float | None
    reverted_at: float | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One check. ``known`` has ``why``, ``until`` and ``state``: accepted, fixed, expired or
    unused (the check is unknown)."""

    name: str
    type: str
    phase: str | None
    workload: str | None
    verdict: str
    observed: float | str | None
    limit: float | str | None
    unit: str
    why: str
    known: dict[str, str] | None = None
    replica: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All of verdict.json. Moments are seconds since the run's start, rounded to 1 ms.

    ``by_replica`` holds the clients' requests by who answered → phase → outcome → count; what
    nobody answered is under ``none``. It is empty if no answer named a replica. ``strip`` is the
    run in a few dozen steps of time (see ``view.strip``)."""

    schema: int = SCHEMA
    vqchaos_version: str
    run: str
    experiment: str
    title: str
    experiment_digest: str
    stack: str
    stack_digest: str | None
    seed: int | None
    started_wall: float | None
    verdict: str
    exit_code: int
    valid: bool
    void_reasons: list[str]
    impact: str | None
    in_flight_at_injection: int | None
    pilot_share: float | None
    faults: list[FaultRow]
    checks: list[CheckRow]
    recovery: dict[str, Any]
    outcomes: dict[str, dict[str, dict[str, int]]]
    latency: dict[str, dict[str, dict[str, float | None]]]
    by_replica: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    strip: dict[str, Any] = field(default_factory=dict)
    findings: list[dict[str, str]] = field(default_factory=list)
    leftovers: list[dict[str, str]] = field(default_factory=list)
    residue: list[dict[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The content of verdict.json, as JSON values."""
        return asdict(self)
