"""``container_cpu``: a container gets a fraction of its CPUs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vqchaos.errors import FaultError
from vqchaos.faults._containers import (
    Case,
    ContainerFault,
    Seen,
    cases,
    fields,
    hit,
    judge,
    undo_each,
)
from vqchaos.faults.base import State, Ticket, Verification, World
from vqchaos.stack.container_protocols import ContainerRef

_SAME = 0.005  # Docker counts in hundredths of a core


class ContainerCpu(ContainerFault):
    """Lowers the CPUs that a container may use (the kernel's quota: it runs, and waits out the rest
    of each tenth of a second). Everything is late, health too. The undo restores what it was."""

    held: ClassVar[bool] = True
    summary: ClassVar[str] = "Limits a container to a fraction of its CPUs."
    graceful: ClassVar[str] = (
        "Answers are slower and none fails, or load is shed; health does not call it dead; speed "
        "is back when the CPUs are."
    )
    undo: ClassVar[str] = "the limit that it had, or none"

    type: Literal["container_cpu"]
    cpus: Annotated[float, Field(ge=0.01)] = Field(
        default=0.2, description="CPUs it may use, such as 0.5"
    )

    def plan(self, world: World) -> list[str]:
        return [
            *(f"limit {name} to {self.cpus:g} CPUs" for name in self.targets(world)),
            f"undo: {self.undo}",
        ]

    def look(self, world: World, ref: ContainerRef, ticket: Ticket) -> State:
        limits = world.containers.limits(ref)
        if limits.cpus is not None and limits.cpus <= self.cpus:
            raise FaultError(
                f"{ref.name} has {limits.cpus:g} CPUs: {self.cpus:g} would be no less",
                hint="lower `cpus` in the experiment",
            )
        return super().look(world, ref, ticket) | {"limits": fields(limits)}

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        def limit(case: Case) -> None:
            now = world.containers.limits(case.ref)
            world.containers.set_limits(case.ref, replace(now, cpus=self.cpus))

        effect()
        hit(state, limit)

    def verify(self, world: World, state: State) -> Verification:
        def wrong(seen: Seen) -> str | None:
            cpus = world.containers.limits(seen.ref).cpus
            return None if _same(cpus, self.cpus) else f"may use {_said(cpus)}"

        return judge(world, state, wrong, f"may use {_said(self.cpus)}")

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        def restore(seen: Seen) -> None:
            now = world.containers.limits(seen.ref)  # the memory's may be another fault's by now
            world.containers.set_limits(seen.ref, replace(now, cpus=seen.was["limits"]["cpus"]))

        return undo_each(world, state, restore)

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        def wrong(seen: Seen) -> str | None:
            if seen.now.status == "gone":
                return None
            cpus = world.containers.limits(seen.ref).cpus
            same = _same(cpus, seen.was["limits"]["cpus"])
            return None if same else f"may use {_said(cpus)}, and not what it might before"

        return judge(world, state, wrong, "may use what it might before")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return [
            f"docker update --cpus {case.was['limits']['cpus'] or '(of the whole machine)'} "
            f"{case.ref.name}"
            for case in cases(state)
        ]


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= _SAME


def _said(cpus: float | None) -> str:
    return "all CPUs" if cpus is None else f"{cpus:g} CPUs"
