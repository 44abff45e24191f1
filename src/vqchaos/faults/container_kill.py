"""``container_kill``: a container's first process dies at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.errors import StackError
from vqchaos.faults._containers import ContainerFault, cases, docker, hit, judge, names_of
from vqchaos.faults.base import State, Ticket, Verification, World
from vqchaos.stack.container_protocols import ContainerRef

# A large process on a busy machine needs CPU time to let go of its memory: Docker was seen to
# notice the end of a vLLM 27 s after the kill.
_PATIENCE = 45.0


class ContainerKill(ContainerFault):
    """SIGKILL to the first process, as a crash, so that the restart policy acts. ``via: docker`` is
    ``docker kill``: Docker takes that for the user's wish and suppresses the restart policy, so the
    container stays down, and the recovery time is infinite by construction."""

    held: ClassVar[bool] = False
    cuts_streams: ClassVar[bool] = True
    summary: ClassVar[str] = "Kills a container, as a crash, so that its restart policy acts."
    graceful: ClassVar[str] = (
        "Requests in flight fail at once, a router sends new ones elsewhere, and the restart "
        "policy brings the container back."
    )
    undo: ClassVar[str] = (
        "none; its restart policy brings it back, if it has one (after `via: docker` nothing does)"
    )

    type: Literal["container_kill"]
    via: Literal["crash", "docker"] = Field(
        default="crash",
        description="crash: its restart policy acts; docker: `docker kill`, and it does not",
    )

    def plan(self, world: World) -> list[str]:
        if self.via == "docker":
            return [
                *(f"docker kill {name}" for name in self.targets(world)),
                "undo: none; Docker will not start it again by itself (`docker start` does)",
            ]
        return [
            *(f"SIGKILL to the first process of {name}" for name in self.targets(world)),
            "undo: none; its restart policy brings it back, if it has one",
        ]

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        effect()
        if self.via == "docker":
            hit(state, lambda case: world.containers.kill(case.ref, signal.SIGKILL))
        else:
            hit(state, lambda case: world.containers.crash(case.ref))

    def look(self, world: World, ref: ContainerRef, ticket: Ticket) -> State:
        return super().look(world, ref, ticket) | {"since": world.clock.wall()}

    def verify(self, world: World, state: State) -> Verification:
        found = judge(
            world,
            state,
            lambda seen: None if seen.restarted else "still runs, since before",
            "ended, by the time of its latest start or its state",
            _PATIENCE,
        )
        if found.answer == "yes":
            return replace(found, why=found.why + _out_of_memory(world, state))
        return found

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        return "a kill has no undo; the stack brings itself back"

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        return Verification("yes", f"nothing stays of a kill of {names_of(state)}")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return docker("start", state)


def _out_of_memory(world: World, state: State) -> str:
    """By Docker's events, not by the exit code: a kill and an out-of-memory kill are both 137."""
    try:
        ooms = sum(world.containers.ooms(case.ref, case.was["since"]) for case in cases(state))
    except StackError:
        return ""
    return f"; and {ooms} out-of-memory kill(s)" if ooms else "; no out-of-memory kill"
