"""Resolving the processes of a role, for the process faults."""

from __future__ import annotations

import signal
from dataclasses import asdict
from typing import Any, Literal

from vqchaos.errors import FaultError
from vqchaos.faults.base import State, World
from vqchaos.stack.protocols import ProcessRef

ProcessRole = Literal["server", "engine", "worker"]


def resolve(world: World, role: str) -> list[ProcessRef]:
    """All live processes of that role. Raises FaultError if there is none."""
    found = world.processes.find(role)
    if not found:
        raise FaultError(
            f"no {role} process was found below the server",
            hint="is the stack up (`vqchaos status`)? A server on one GPU has no worker",
        )
    return found


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
