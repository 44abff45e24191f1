"""``container_stop``: a container is stopped, and stays so for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.faults._containers import (
    ContainerFault,
    Seen,
    cases,
    docker,
    hit,
    judge,
    look_at,
    undo_each,
)
from vqchaos.faults.base import State, Ticket, Verification, World
from vqchaos.stack.container_protocols import ContainerRef
from vqchaos.stack.container_stops import MARGIN, let_end
from vqchaos.units import Duration, format_duration

_FINE = ("running", "paused", "gone")
_GRACE = 10.0  # seconds


class ContainerStop(ContainerFault):
    """``docker stop``: SIGTERM, SIGKILL after ``grace``. The restart policy does not act on it; the
    undo starts the container, and lets a stop that is still under way come to its end before. Its
    address and its name are gone meanwhile."""

    held: ClassVar[bool] = True
    cuts_streams: ClassVar[bool] = True
    summary: ClassVar[str] = "Stops a container, and starts it again at the end."
    graceful: ClassVar[str] = (
        "Requests in flight end in good order, new ones go elsewhere or are refused at once, and "
        "service is back when the model is loaded."
    )
    undo: ClassVar[str] = "start that very container"

    type: Literal["container_stop"]
    grace: Duration = Field(default=_GRACE, description="From SIGTERM to SIGKILL, whole seconds")

    def plan(self, world: World) -> list[str]:
        after = format_duration(self.grace)
        return [
            *(f"docker stop {name}, SIGKILL after {after}" for name in self.targets(world)),
            f"undo: {self.undo}",
        ]

    def look(self, world: World, ref: ContainerRef, ticket: Ticket) -> State:
        return super().look(world, ref, ticket) | {"grace": self.grace}

    def longest(self) -> float:
        return super().longest() + 2 * (self.grace + MARGIN)

    @classmethod
    def undo_limit(cls, state: State) -> float:
        return cls.revert_timeout + max(_end_of(case.was) for case in cases(state))

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
        began = world.clock.now()  # for all: what Docker was told to do, it does at the same time

        def undo(seen: Seen) -> None:
            limit = _end_of(seen.was)
            let_end(
                lambda: look_at(world, seen).restarted,
                lambda: world.containers.signalled(seen.ref, limit),
                world.clock,
                began + limit - world.clock.now(),
            )
            world.containers.start(seen.ref)

        return undo_each(world, state, undo)

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


def _end_of(was: State) -> float:
    """Seconds after its beginning a stop is over, whatever the container did."""
    return float(was.get("grace", _GRACE)) + MARGIN  # older entries have none
