"""``process_kill``: the server, its engine or its worker dies at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import ClassVar, Literal

from vqchaos.clock import wait_until
from vqchaos.faults._targets import (
    ProcessFault,
    describe,
    from_state,
    hit,
    resolve,
    to_state,
)
from vqchaos.faults.base import State, Ticket, Verification, World

_PATIENCE = 5.0  # seconds for the kernel to take a killed process away


class ProcessKill(ProcessFault):
    """SIGKILL to each process of a role below the server, named by PID and start time.
    Nothing is undone: that the service comes back is the stack's own work, and is measured."""

    held: ClassVar[bool] = False
    cuts_streams: ClassVar[bool] = True
    summary: ClassVar[str] = "Kills the API server, the engine core or a worker (SIGKILL)."
    graceful: ClassVar[str] = (
        "Requests in flight fail at once, health says so, a supervisor starts a new server, and "
        "nothing of the old one stays."
    )
    undo: ClassVar[str] = "none; the stack brings itself back"

    type: Literal["process_kill"]

    def plan(self, world: World) -> list[str]:
        kills = [f"SIGKILL to {target}" for target in self.targets(world)]
        return [*kills, f"undo: {self.undo}"]

    def capture(self, world: World, ticket: Ticket) -> State:
        return {
            "processes": to_state(resolve(world, self.target, ticket.seed)),
            "token": ticket.token,
        }

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        effect()
        hit(world, from_state(state), signal.SIGKILL, "killed")

    def verify(self, world: World, state: State) -> Verification:
        refs, status = from_state(state), world.processes.status
        named = ", ".join(map(describe, refs))
        if wait_until(
            lambda: all(status(ref) == "gone" for ref in refs), _PATIENCE, world.clock, every=0.01
        ):
            return Verification("yes", f"gone: {named}")
        return Verification("no", f"still lives, of {named}")

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        return "a kill has no undo; the stack brings itself back"

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        return Verification("yes", "nothing stays of a kill")
