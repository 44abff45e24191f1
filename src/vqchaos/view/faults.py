"""The faults of a run as the history tells them, and the evidence of those that others made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from vqchaos.history.events import (
    Event,
    FaultFailed,
    FaultInjected,
    FaultRecorded,
    FaultReverted,
    FaultUndone,
    FaultVerified,
)

EXTERNAL = "external"
_RANK = {"no": 0, "none": 1, "yes": 2}
_BEFORE = ("capture", "inject", "verify")


@dataclass(slots=True)
class FaultRecord:
    """One fault and how far it got; moments are seconds since the run's start."""

    name: str
    type: str = ""
    target: str | None = None
    held: bool = False
    startup: bool = False
    recorded_at: float | None = None
    injected: list[tuple[float, str]] = field(default_factory=list)  # (moment, by)
    verified: str | None = None
    verified_at: float | None = None
    verified_why: str = ""
    reverted_at: float | None = None
    times: dict[str, FaultUndone | None] = field(default_factory=dict)  # each entry's last proof
    error: str | None = None  # of capture, inject or verify
    revert_error: str | None = None

    @property
    def injected_at(self) -> float | None:
        return self.injected[0][0] if self.injected else None

    @property
    def injected_by(self) -> str:
        return self.injected[0][1] if self.injected else ""

    @property
    def undone(self) -> FaultUndone | None:
        """The proof of its undo, of the time that fared worst; None if there is none for one."""
        proofs = self.times.values()
        found = [proof for proof in proofs if proof is not None]
        failed = [proof for proof in found if proof.answer == "no"]
        if failed or len(found) < len(proofs) or not found:
            return failed[0] if failed else None
        return found[-1]

    @property
    def in_force(self) -> bool:
        """Announced in the ledger, and never proven undone."""
        return self.recorded_at is not None and not self._proven

    @property
    def revert_failed(self) -> str | None:
        """Why its revert failed, if it did and no later one was proven."""
        if self._proven:
            return None
        proof = self.undone
        if self.revert_error is not None or proof is not None:
            why = proof.why if proof is not None else ""
            return self.revert_error or why or "the world is not as it was before"
        return None

    @property
    def _proven(self) -> bool:
        proof = self.undone
        return proof is not None and proof.answer != "no"


def fault_records(events: Iterable[Event]) -> list[FaultRecord]:
    """The faults in order of their first event."""
    found: dict[str, FaultRecord] = {}

    def at(name: str) -> FaultRecord:
        return found.setdefault(name, FaultRecord(name))

    for event in events:
        match event:
            case FaultRecorded():
                record = at(event.fault)
                record.type, record.target = event.kind, event.target
                record.held, record.startup = event.held, event.startup
                if record.recorded_at is None:
                    record.recorded_at = event.t
                record.times[event.entry] = None
            case FaultInjected():
                at(event.fault).injected.append((event.t, event.by))
            case FaultVerified():
                record = at(event.fault)
                # Of several times, the one that fared worst.
                worst = 3 if record.verified is None else _RANK.get(record.verified, 0)
                if _RANK.get(event.answer, 0) < worst:
                    record.verified, record.verified_at = event.answer, event.t
                    record.verified_why = event.why
            case FaultReverted():
                at(event.fault).reverted_at = event.t
            case FaultUndone():
                times = at(event.fault).times
                times[event.entry or next(reversed(times), "")] = event
            case FaultFailed():
                record = at(event.fault)
                if event.step in _BEFORE:
                    record.error = f"{event.step}: {event.error}"
                else:
                    record.revert_error = f"{event.step}: {event.error}"
            case _:
                pass
    for record in found.values():
        record.injected.sort()
    return list(found.values())


def external_without_moment(faults: Iterable[FaultRecord]) -> bool:
    """Whether a fault that somebody else makes has begun and nobody marked its moment."""
    return any(f.type == EXTERNAL and not f.injected for f in faults)
