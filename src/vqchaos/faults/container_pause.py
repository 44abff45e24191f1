"""``container_pause``: everything in a container hangs at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from vqchaos.faults._containers import ContainerFault, docker, hit, judge, undo_each
from vqchaos.faults.base import State, Verification, World


class ContainerPause(ContainerFault):
    """``docker pause``: the kernel freezes every process. Connections stay open and new ones are
    still accepted by the kernel, but nothing answers, health neither: a hang, not a crash."""

    held: ClassVar[bool] = True
    summary: ClassVar[str] = "Freezes a container (docker pause)."
    graceful: ClassVar[str] = (
        "A router gives up on it in bounded time, clients get an error and do not hang, and "
        "service goes on when the container does."
    )
    undo: ClassVar[str] = "unpause that very container"

    type: Literal["container_pause"]

    def plan(self, world: World) -> list[str]:
        return [
            *(f"docker pause {name}" for name in self.targets(world)),
            f"undo: {self.undo}",
        ]

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        effect()
        hit(state, lambda case: world.containers.pause(case.ref))

    def verify(self, world: World, state: State) -> Verification:
        return judge(
            world,
            state,
            lambda seen: None if seen.now.status == "paused" else f"is {seen.now.status}",
            "paused",
        )

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        return undo_each(world, state, lambda seen: world.containers.unpause(seen.ref))

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        return judge(
            world,
            state,
            lambda seen: "is paused" if seen.now.status == "paused" else None,
            "not paused",
        )

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return docker("unpause", state)
