"""``container_memory``: a container runs out of memory, by the kernel's own OOM killer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vqchaos.errors import StackError
from vqchaos.faults._containers import (
    TOKEN,
    Case,
    ContainerFault,
    Seen,
    cases,
    fields,
    hit,
    judge,
    look_at,
    matching,
    undo_each,
)
from vqchaos.faults.base import State, Ticket, Verification, World
from vqchaos.stack.container_protocols import ContainerRef
from vqchaos.units import Size, format_duration, format_size

_MIB = 1024**2
_LEAST = 6 * _MIB  # Docker refuses limits below it
_LEAST_TIME = 60.0
_PATIENCE = 15.0
# Each dd fills its buffer, blocks on a pipe that nobody reads, and goes with its sleep. No python:
# a shell, dd and sleep are in any image that has a shell at all.
_HOG = (
    'n=0; while [ "$n" -lt "$1" ]; do dd if=/dev/zero bs="$2" count=1 2>/dev/null | sleep "$3" & '
    "n=$((n+1)); done; wait"
)


class ContainerMemory(ContainerFault):
    """Lowers the memory limit to what the container uses plus ``margin``, then fills the rest with
    a bounded allocator inside, which ends by itself at the fault's deadline. The kernel kills the
    largest process of the container: mostly the server's own. What is verified is the OOM kill
    itself, by the cgroup's counter, or by Docker's event where the container died of it.

    A container that restarts meanwhile keeps the lowered limit until the undo, but not the
    allocator: it runs, with little room. One that was made anew has the limit of its stack."""

    held: ClassVar[bool] = True
    cuts_streams: ClassVar[bool] = True
    summary: ClassVar[str] = "Runs a container out of memory, by the kernel's OOM killer."
    graceful: ClassVar[str] = (
        "Requests in flight fail at once, the container ends instead of living on without its "
        "engine, the restart policy brings it back, and its neighbours are unharmed."
    )
    undo: ClassVar[str] = "the limit that it had, or none, and the end of what fills it"

    type: Literal["container_memory"]
    margin: Annotated[Size, Field(ge=_LEAST)] = Field(
        default=64 * _MIB, description="Room above what it uses now"
    )

    def plan(self, world: World) -> list[str]:
        room = format_size(self.margin)
        for ref in matching(world, self.target):  # whether its memory can be read at all
            world.containers.memory(ref)
        return [
            *(
                f"lower the memory limit of {name} to what it uses plus {room}, and fill that"
                for name in self.targets(world)
            ),
            f"undo: {self.undo}",
        ]

    def look(self, world: World, ref: ContainerRef, ticket: Ticket) -> State:
        use = world.containers.memory(ref)
        limits = world.containers.limits(ref)
        limit = -(-(use.usage + self.margin) // _MIB) * _MIB
        now = world.clock.wall()
        return super().look(world, ref, ticket) | {
            "limits": fields(limits),
            "limit": limit if limits.memory is None else min(limit, limits.memory),
            "oom_kills": use.oom_kills,
            "since": now,
            "ttl": max(_LEAST_TIME, ticket.deadline_wall - now),
        }

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        def fill(case: Case) -> None:
            ref, limit = case.ref, case.was["limit"]
            now = world.containers.limits(ref)
            world.containers.set_limits(ref, replace(now, memory=limit, swap=limit))
            try:
                world.containers.start_inside(ref, _hog(case.was), {TOKEN: state["token"]})
            except StackError:
                if not _oom(
                    world, look_at(world, case)
                ):  # it may have died of the lower limit alone
                    raise

        effect()
        hit(state, fill)

    def verify(self, world: World, state: State) -> Verification:
        def wrong(seen: Seen) -> str | None:
            return None if _oom(world, seen) else "had no OOM kill"

        return judge(world, state, wrong, "the kernel's OOM killer acted in it", _PATIENCE)

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        def restore(seen: Seen) -> str:
            ref, was = seen.ref, seen.was["limits"]
            now = world.containers.limits(ref)
            # Before anything is run inside: there may be no room for that.
            world.containers.set_limits(ref, replace(now, memory=was["memory"], swap=was["swap"]))
            world.containers.end_inside(ref, state["token"])
            if seen.restarted:
                return f"{ref.name} ended or restarted meanwhile, and what filled it with that"
            return ""

        return undo_each(world, state, restore)

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        def wrong(seen: Seen) -> str | None:
            if seen.now.status == "gone":
                return None
            limits, was = world.containers.limits(seen.ref), seen.was["limits"]
            if (limits.memory, limits.swap) == (was["memory"], was["swap"]):
                return None
            limit = "no limit" if limits.memory is None else format_size(limits.memory)
            return f"has {limit} of memory, and not what it had before"

        return judge(world, state, wrong, "its memory limit is as before")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        lines = []
        for case in cases(state):
            was, name = case.was["limits"], case.ref.name
            memory = was["memory"] or "(of the whole machine)"
            swap = was["swap"] or -1
            lines.append(f"docker update --memory {memory} --memory-swap {swap} {name}")
            ttl = format_duration(case.was["ttl"])
            lines.append(f"what fills {name} ends by itself within {ttl}")
        return lines


def _oom(world: World, seen: Seen) -> bool:
    """By the cgroup's counter, which lives as long as one start of the container does; after that,
    by Docker's own event. Exit codes prove nothing: any SIGKILL is a 137."""
    try:
        if not seen.restarted:
            return world.containers.memory(seen.ref).oom_kills > int(seen.was["oom_kills"])
    except StackError:
        pass  # it ended between the two looks
    return world.containers.ooms(seen.ref, seen.was["since"]) > 0


def _hog(item: State) -> list[str]:
    """So many, of such a size, that they are more than the whole limit."""
    limit = int(item["limit"])
    size = min(1024 * _MIB, max(4 * _MIB, limit // 16))
    number = limit // size + 1
    words = [str(number), str(size), str(int(item["ttl"]))]
    return ["/bin/sh", "-c", _HOG, "sh", *words]
