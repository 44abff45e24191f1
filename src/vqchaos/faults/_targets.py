"""Resolving the processes of a role, for the process faults."""

from __future__ import annotations

from typing import Any, Literal

from vqchaos.errors import FaultError
from vqchaos.faults.base import World
from vqchaos.stack.protocols import ProcessRef

ProcessRole = Literal["server", "engine", "worker"]


def resolve(world: World, role: str) -> ProcessRef:
    """The one live process of that role. Raises FaultError if there is none, or more than one."""
    found = world.processes.find(role)
    if not found:
        raise FaultError(
            f"no {role} process was found below the server",
            hint="is the stack up (`vqchaos status`)? A server on one GPU has no worker",
        )
    if len(found) > 1:
        pids = ", ".join(str(ref.pid) for ref in found)
        raise FaultError(f"{len(found)} {role} processes match (PIDs {pids}); max_targets is 1")
    return found[0]


def describe(ref: ProcessRef) -> str:
    """For plans: which process, by all that identifies it."""
    return f"process {ref.pid} ({ref.role}, {ref.title})"


def to_state(ref: ProcessRef) -> dict[str, Any]:
    """JSON-able; back with ``from_state``."""
    return {
        "pid": ref.pid,
        "start_time": ref.start_time,
        "role": ref.role,
        "group": ref.group,
        "session": ref.session,
        "title": ref.title,
    }


def from_state(data: dict[str, Any]) -> ProcessRef:
    return ProcessRef(**data)
