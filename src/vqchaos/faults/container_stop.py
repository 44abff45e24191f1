"""``container_stop``: a container is stopped, and stays so for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.faults._containers import ContainerFault, docker, hit, judge, undo_each
from vqchaos.faults.base import State, Verification, World
from vqchaos.units import Duration, format_duration

_FINE = ("running", "paused", "gone")


class ContainerStop(ContainerFault):
    """``docker stop``: SIGTERM, SIGKILL after ``grace``. The restart policy does not act on it; the
    undo starts the container. Its address and its name are gone meanwhile."""

    held: ClassVar[bool] = True
    cuts_streams: ClassVar[bool] = True
    summary: ClassVar[str] = "Stops a container, and starts it again at the end."
    graceful: ClassVar[str] = (
        "Requests in flight end in good order, new ones go elsewhere or are refused at once, and "
        "service is back when the model is loaded."
    )

    type: Literal["container_stop"]
    grace: Duration = Field(default=10.0, description="From SIGTERM to SIGKILL, whole seconds")

    def plan(self, world: World) -> list[str]:
        after = format_duration(self.grace)
        return [
            *(f"docker stop {name}, SIGKILL after {after}" for name in self.targets(world)),
            "undo: start that very container",
        ]

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        effect()
        hit(state, lambda case: world.containers.stop(case.ref, self.grace))

    def verify(self, world: World, state: State) -> Verification:
        return judge(
            world,
            state,
            lambda seen: None if seen.now.status == "exited" else f"is {seen.now.status}",
            "stopped",
        )

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        return undo_each(world, state, lambda seen: world.containers.start(seen.ref))

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        return judge(
            world,
            state,
            lambda seen: None if seen.now.status in _FINE else f"is {seen.now.status}",
            "not stopped",
        )

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return docker("start", state)
