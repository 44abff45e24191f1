"""``process_pause``: the server, its engine or its worker hangs."""

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

_PATIENCE = 2.0


class ProcessPause(Fault):
    """SIGSTOP to one process; SIGCONT to that very process undoes it. A hang, not a crash: no
    connection breaks, and vLLM's health goes on answering 200."""

    held: ClassVar[bool] = True
    family: ClassVar[str] = "processes"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.PROCESSES})
    summary: ClassVar[str] = "Hangs the API server, the engine core or a worker (SIGSTOP)."
    graceful: ClassVar[str] = (
        "Health stops saying 200, clients get an error in bounded time, and service goes on when "
        "the process does."
    )

    type: Literal["process_pause"]
    target: ProcessRole = Field(default="engine", description="server, engine or worker")

    def plan(self, world: World) -> list[str]:
        ref = resolve(world, self.target)
        return [f"SIGSTOP to {describe(ref)}", "undo: SIGCONT to that very process"]

    def capture(self, world: World, ticket: Ticket) -> State:
        ref = resolve(world, self.target)
        if world.processes.status(ref) == "stopped":
            raise FaultError(f"{describe(ref)} is stopped already", hint="continue it first")
        return {"process": to_state(ref), "token": ticket.token}

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        ref = from_state(state["process"])
        effect()
        if not world.processes.signal(ref, signal.SIGSTOP):
            raise FaultError(f"{describe(ref)} was gone before it could be stopped")

    def verify(self, world: World, state: State) -> Verification:
        ref = from_state(state["process"])
        processes = world.processes
        if wait_until(
            lambda: processes.status(ref) == "stopped", _PATIENCE, world.clock, every=0.01
        ):
            return Verification("yes", f"{describe(ref)} is stopped")
        return Verification("no", f"{describe(ref)} is {processes.status(ref)}")

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        ref = from_state(state["process"])
        if not world.processes.signal(ref, signal.SIGCONT):
            return "the process is gone; there is nothing to continue"
        return ""

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        ref = from_state(state["process"])
        processes = world.processes
        if wait_until(
            lambda: processes.status(ref) != "stopped", _PATIENCE, world.clock, every=0.01
        ):
            return Verification("yes", f"{describe(ref)} is {processes.status(ref)}")
        return Verification("no", f"{describe(ref)} is still stopped")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return [f"kill -CONT {state['process']['pid']}"]
