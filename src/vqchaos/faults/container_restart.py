"""``container_restart``: a container is stopped and started again by Docker."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.faults._containers import ContainerFault, docker, hit, judge, names_of
from vqchaos.faults.base import State, Verification, World
from vqchaos.units import Duration, format_duration


class ContainerRestart(ContainerFault):
    """``docker restart``, as in a rolling update: SIGTERM, SIGKILL after ``grace``, a new start.
    Docker returns when the container was started, long before a model is loaded."""

    held: ClassVar[bool] = False
    cuts_streams: ClassVar[bool] = True
    summary: ClassVar[str] = "Restarts a container (SIGTERM, then a new start)."
    graceful: ClassVar[str] = (
        "Requests in flight end or are retried elsewhere, and health stays false until the model "
        "is loaded."
    )
    undo: ClassVar[str] = "none; it is started again as part of it"

    type: Literal["container_restart"]
    grace: Duration = Field(default=10.0, description="From SIGTERM to SIGKILL, whole seconds")

    def plan(self, world: World) -> list[str]:
        after = format_duration(self.grace)
        return [
            *(f"docker restart {name}, SIGKILL after {after}" for name in self.targets(world)),
            f"undo: {self.undo}",
        ]

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        effect()
        hit(state, lambda case: world.containers.restart(case.ref, self.grace))

    def verify(self, world: World, state: State) -> Verification:
        return judge(
            world,
            state,
            lambda seen: (
                None
                if seen.now.started not in (seen.was["started"], None)
                else "did not start anew"
            ),
            "started anew",
        )

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        return "a restart has no undo; it is started again"

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        return Verification("yes", f"nothing stays of a restart of {names_of(state)}")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return docker("start", state)
