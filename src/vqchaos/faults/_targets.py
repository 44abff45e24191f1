"""Resolving the processes of a role, for the process faults."""

from __future__ import annotations

import signal
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from vqchaos.errors import FaultError
from vqchaos.faults._replica import Target, role_alone, target_schema
from vqchaos.faults.base import Fault, State, World
from vqchaos.stack.protocols import Capability, ProcessRef

ProcessRole = Literal["server", "engine", "worker"]


class ProcessTarget(Target):
    """Which processes: those of a role, below each server or some of them."""

    role: ProcessRole = Field(default="engine", description="server, engine or worker")


AnyTarget = Annotated[
    ProcessTarget, BeforeValidator(role_alone), target_schema("server", "engine", "worker")
]


class ProcessFault(Fault):
    """A fault of processes that live below the servers."""

    family: ClassVar[str] = "processes"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.PROCESSES})

    target: AnyTarget = Field(
        default=ProcessTarget(), description="A role, or {role, replica: 1 | any | all, count}"
    )

    def target_name(self) -> str | None:
        return str(self.target)

    def targets(self, world: World) -> list[str]:
        found = matching(world, self.target)
        if self.target.replica != "any":
            return [describe(ref) for ref in found]
        names = ", ".join(describe(ref) for ref in found)
        return [f"one of {names}"] * self.target.count


def matching(world: World, target: Target) -> list[ProcessRef]:
    """The live processes that the target means, all that ``any`` could be. Raises FaultError if
    there are too few."""
    found = world.processes.find(target.role)
    if not found:
        raise FaultError(
            f"no {target.role} process was found below the server",
            hint="is the stack up (`vqchaos status`)? A server on one GPU has no worker",
        )
    there = sorted({ref.replica for ref in found})
    if isinstance(target.replica, int):
        found = [ref for ref in found if ref.replica == target.replica]
    if not found or len(there) < target.count:
        raise FaultError(
            f"{target}: a {target.role} process was found below replica "
            f"{', '.join(map(str, there))} only"
        )
    return found


def resolve(world: World, target: Target, seed: int) -> list[ProcessRef]:
    """As ``matching``; of ``any``, those of the replicas that the seed draws."""
    found = matching(world, target)
    drawn = target.draw((ref.replica for ref in found), seed)
    return [ref for ref in found if ref.replica in drawn]


def describe(ref: ProcessRef) -> str:
    """For plans: which process, by all that identifies it."""
    return f"process {ref.pid} ({ref.role}, {ref.title})"


def hit(world: World, refs: list[ProcessRef], number: signal.Signals, done: str) -> None:
    """The signal to each. Raises FaultError, after the last, for those that were gone before."""
    gone = [describe(ref) for ref in refs if not world.processes.signal(ref, number)]
    if gone:
        raise FaultError(f"{', '.join(gone)} was gone before it could be {done}")


def to_state(refs: list[ProcessRef]) -> list[dict[str, Any]]:
    """JSON-able; back with ``from_state``."""
    return [asdict(ref) for ref in refs]


def from_state(state: State) -> list[ProcessRef]:
    """The targets of a ledger entry; 0.1 wrote a single one."""
    return [ProcessRef(**data) for data in state.get("processes") or [state["process"]]]
