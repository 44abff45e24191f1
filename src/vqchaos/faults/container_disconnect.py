"""``container_disconnect``: a container is taken off its network."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

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
from vqchaos.stack.container_protocols import Attachment, ContainerRef


class ContainerDisconnect(ContainerFault):
    """Takes a container off its networks, or off one of them: its name no longer resolves for the
    others, packets to it go nowhere, and connections hang until somebody gives up; a port that it
    publishes on the host refuses. The undo gives it back its aliases and its fixed addresses, which
    Docker forgets."""

    held: ClassVar[bool] = True
    summary: ClassVar[str] = "Takes a container off its network, and puts it back with its aliases."
    graceful: ClassVar[str] = (
        "A router notices in bounded time and sends requests elsewhere; nothing hangs, and the "
        "container serves again when it is back."
    )
    undo: ClassVar[str] = "connect it again, with its aliases and fixed addresses"

    type: Literal["container_disconnect"]
    network: str | None = Field(
        default=None, description="Its full name, or Compose's short one; default all it is on"
    )

    def plan(self, world: World) -> list[str]:
        return [
            *(f"take {name} off {self._which()}" for name in self.targets(world)),
            f"undo: {self.undo}",
        ]

    def _which(self) -> str:
        return f"the network {self.network}" if self.network else "all its networks"

    def look(self, world: World, ref: ContainerRef, ticket: Ticket) -> State:
        places = [
            place
            for place in world.containers.attachments(ref)
            if self.network is None
            or place.network == self.network
            or place.network.endswith(f"_{self.network}")
        ]
        if not places:
            raise FaultError(
                f"{ref.name} is not on {self._which()}"
                if self.network
                else f"{ref.name} is on no network that it can be taken off",
                hint="`docker inspect` lists its networks; host networking cannot be taken away",
            )
        return super().look(world, ref, ticket) | {"places": [fields(place) for place in places]}

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        def cut(case: Case) -> None:
            for place in case.was["places"]:
                world.containers.disconnect(case.ref, place["network"])

        effect()
        hit(state, cut)

    def verify(self, world: World, state: State) -> Verification:
        def wrong(seen: Seen) -> str | None:
            here = {place.network for place in world.containers.attachments(seen.ref)}
            still = sorted(here & {place["network"] for place in seen.was["places"]})
            return f"is still on {', '.join(still)}" if still else None

        return judge(world, state, wrong, f"off {self._which()}")

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        def connect(seen: Seen) -> None:
            for place in seen.was["places"]:
                world.containers.connect(seen.ref, Attachment(**place))

        return undo_each(world, state, connect)

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        def wrong(seen: Seen) -> str | None:
            if seen.now.status == "gone":
                return None
            here = {p.network: set(p.aliases) for p in world.containers.attachments(seen.ref)}
            lacks = [
                place["network"]
                for place in seen.was["places"]
                if place["network"] not in here
                or not set(place["aliases"]) <= here[place["network"]]
            ]
            return f"is not on {', '.join(lacks)} as before" if lacks else None

        return judge(world, state, wrong, "on its networks, with its aliases")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        lines = []
        for case in cases(state):
            for place in case.was["places"]:
                words = [f"--alias {alias}" for alias in place["aliases"]]
                words += [f"--ip {place['ipv4']}"] if place.get("ipv4") else []
                options = "".join(f"{word} " for word in words)
                network = place["network"]
                lines.append(f"docker network connect {options}{network} {case.ref.name}")
        return lines
