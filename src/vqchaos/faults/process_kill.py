"""``process_kill``: the server, its engine or its worker dies at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.clock import wait_until
from vqchaos.errors import FaultError
from vqchaos.faults._targets import ProcessRole, describe, from_state, resolve, to_state
from vqchaos.faults.base import Fault, State, Ticket, Verification, World
from vqchaos.stack.protocols import Capability

_PATIENCE = 5.0  # seconds for the kernel to take a killed process away


class ProcessKill(Fault):
    """SIGKILL to one process, found by its role below the server and named by PID and start time.
    Nothing is undone: that the service comes back is the stack's own work, and is measured."""

    held: ClassVar[bool] = False
    cuts_streams: ClassVar[bool] = True
    family: ClassVar[str] = "processes"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.PROCESSES})
    summary: ClassVar[str] = "Kills the API server, the engine core or a worker (SIGKILL)."
    graceful: ClassVar[str] = (
        "Requests in flight fail at once, health says so, a supervisor starts a new server, and "
        "nothing of the old one stays."
    )

    type: Literal["process_kill"]
    target: ProcessRole = Field(default="engine", description="server, engine or worker")

    def plan(self, world: World) -> list[str]:
        ref = resolve(world, self.target)
        return [f"SIGKILL to {describe(ref)}", "undo: none; the stack brings itself back"]

    def capture(self, world: World, ticket: Ticket) -> State:
        return {"process": to_state(resolve(world, self.target)), "token": ticket.token}

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        ref = from_state(state["process"])
        effect()
        if not world.processes.signal(ref, signal.SIGKILL):
            raise FaultError(f"{describe(ref)} was gone before it could be killed")

    def verify(self, world: World, state: State) -> Verification:
        ref = from_state(state["process"])
        processes = world.processes
        if wait_until(lambda: processes.status(ref) == "gone", _PATIENCE, world.clock, every=0.01):
            return Verification("yes", f"{describe(ref)} is gone")
        return Verification("no", f"{describe(ref)} still lives")

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        return "a kill has no undo; the stack brings itself back"

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        return Verification("yes", "nothing stays of a kill")
