"""``container_kill``: a container's first process dies at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.faults._containers import ContainerFault, docker, hit, judge, names_of
from vqchaos.faults.base import State, Verification, World


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

    def verify(self, world: World, state: State) -> Verification:
        return judge(
            world,
            state,
            lambda seen: None if seen.restarted else "still runs, since before",
            "ended, by the time of its latest start or its state",
        )

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        return "a kill has no undo; the stack brings itself back"

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        return Verification("yes", f"nothing stays of a kill of {names_of(state)}")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return docker("start", state)
