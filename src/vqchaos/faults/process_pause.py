"""``process_pause``: the server, its engine or its worker hangs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import ClassVar, Literal

from vqchaos.clock import wait_until
from vqchaos.errors import FaultError
from vqchaos.faults._targets import (
    ProcessFault,
    describe,
    from_state,
    hit,
    resolve,
    to_state,
)
from vqchaos.faults.base import State, Ticket, Verification, World

_PATIENCE = 2.0


class ProcessPause(ProcessFault):
    """SIGSTOP to each process of a role; SIGCONT to those very processes undoes it. A hang, not a
    crash: no connection breaks, and vLLM's health goes on answering 200."""

    held: ClassVar[bool] = True
    summary: ClassVar[str] = "Hangs the API server, the engine core or a worker (SIGSTOP)."
    graceful: ClassVar[str] = (
        "Health stops saying 200, clients get an error in bounded time, and service goes on when "
        "the process does."
    )
    undo: ClassVar[str] = "SIGCONT to that very process"

    type: Literal["process_pause"]

    def plan(self, world: World) -> list[str]:
        stops = [f"SIGSTOP to {target}" for target in self.targets(world)]
        return [*stops, f"undo: {self.undo}"]

    def capture(self, world: World, ticket: Ticket) -> State:
        refs = resolve(world, self.target, ticket.seed)
        for ref in refs:
            if world.processes.status(ref) == "stopped":
                raise FaultError(f"{describe(ref)} is stopped already", hint="continue it first")
        return {"processes": to_state(refs), "token": ticket.token}

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        effect()
        hit(world, from_state(state), signal.SIGSTOP, "stopped")

    def verify(self, world: World, state: State) -> Verification:
        stopped = _settled(world, state, lambda status: status == "stopped")
        return Verification("yes" if stopped else "no", _statuses(world, state))

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        gone = [
            describe(ref)
            for ref in from_state(state)
            if not world.processes.signal(ref, signal.SIGCONT)
        ]
        return f"{', '.join(gone)} is gone; there is nothing to continue" if gone else ""

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        goes_on = _settled(world, state, lambda status: status != "stopped")
        return Verification("yes" if goes_on else "no", _statuses(world, state))

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return [f"kill -CONT {' '.join(str(ref.pid) for ref in from_state(state))}"]


def _settled(world: World, state: State, wanted: Callable[[str], bool]) -> bool:
    """Is the status of every target as wanted, within the patience?"""
    refs = from_state(state)
    return wait_until(
        lambda: all(wanted(world.processes.status(ref)) for ref in refs),
        _PATIENCE,
        world.clock,
        every=0.01,
    )


def _statuses(world: World, state: State) -> str:
    return ", ".join(
        f"{describe(ref)} is {world.processes.status(ref)}" for ref in from_state(state)
    )
