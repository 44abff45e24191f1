"""``external``: somebody else breaks the stack; vqchaos only measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from vqchaos.faults.base import Fault, State, Ticket, Verification, World
from vqchaos.stack.protocols import Capability


class External(Fault):
    """Injects nothing. The injection is the first evidence in the history: a process that exits or
    stops, a change of health, a request that fails or stalls."""

    held: ClassVar[bool] = False
    family: ClassVar[str] = "anything"
    needs: ClassVar[frozenset[Capability]] = frozenset()
    summary: ClassVar[str] = "Somebody else breaks the stack during the fault phase."
    graceful: ClassVar[str] = "As the hypothesis of the experiment says."
    undo: ClassVar[str] = "yours"

    type: Literal["external"]

    def plan(self, world: World) -> list[str]:
        return [
            "inject nothing: break the stack yourself during the fault phase",
            f"undo: {self.undo}",
        ]

    def capture(self, world: World, ticket: Ticket) -> State:
        return {"token": ticket.token}

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        effect()

    def verify(self, world: World, state: State) -> Verification:
        return Verification("none", "somebody else injects; the history shows whether it was felt")

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        return "nothing was injected"

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        return Verification("none", "whoever injected it undoes it")
