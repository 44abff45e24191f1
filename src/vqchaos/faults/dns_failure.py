"""``dns_failure``: a container can resolve no name."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from pydantic import Field

from vqchaos.errors import FaultError
from vqchaos.faults._containers import ContainerFault, Seen, cases, hit, judge, undo_each
from vqchaos.faults.base import State, Ticket, Verification, World
from vqchaos.stack.container_protocols import ContainerRef

_FILE = "/etc/resolv.conf"
_TIMEOUT = 10.0
_LONGEST = 8192  # characters; a resolv.conf has a few lines
# In place: the file is a mount of Docker's, and cannot be replaced by another.
_WRITE = f'printf %s "$VQCHAOS_TEXT" > {_FILE}'
_NAMESERVERS = {"refused": "127.0.0.1", "silent": "240.0.0.1"}


class DnsFailure(ContainerFault):
    """Points the container's resolv.conf at nothing, through its own shell. Connections that are
    open stay open: it bites when the next name is looked up, as by a router that asks for its
    backends. A container that starts anew has its resolv.conf from Docker, as it was."""

    held: ClassVar[bool] = True
    summary: ClassVar[str] = "Makes every name look-up of a container fail."
    graceful: ClassVar[str] = (
        "What is connected goes on, look-ups fail in bounded time instead of hanging, and names "
        "are found again as soon as they can be."
    )
    undo: ClassVar[str] = "write the text that it had"

    type: Literal["dns_failure"]
    how: Literal["refused", "silent"] = Field(
        default="refused",
        description="refused: a look-up fails at once; silent: after the resolver's own timeouts",
    )

    def plan(self, world: World) -> list[str]:
        server = _NAMESERVERS[self.how]
        return [
            *(f"point {_FILE} of {name} at {server}" for name in self.targets(world)),
            f"undo: {self.undo}",
        ]

    def look(self, world: World, ref: ContainerRef, ticket: Ticket) -> State:
        text = _read(world, ref)
        if len(text) > _LONGEST or "�" in text or "\0" in text:
            raise FaultError(f"{_FILE} of {ref.name} is no text that could be put back")
        broken = f"# {ticket.mark}\nnameserver {_NAMESERVERS[self.how]}\n"
        return super().look(world, ref, ticket) | {"was": text, "broken": broken}

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        effect()
        hit(state, lambda case: _write(world, case.ref, case.was["broken"]))

    def verify(self, world: World, state: State) -> Verification:
        def wrong(seen: Seen) -> str | None:
            broken = seen.now.status == "running" and _broken(world, seen)
            return None if broken else f"has its own {_FILE}"

        return judge(world, state, wrong, f"only {_NAMESERVERS[self.how]} is asked for names")

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        def restore(seen: Seen) -> str:
            if seen.now.status not in ("running", "paused"):
                return f"{seen.ref.name} does not run; its {_FILE} is made anew when it starts"
            if _broken(world, seen):  # else never written, restored already, or made anew
                _write(world, seen.ref, seen.was["was"])
            return ""

        return undo_each(world, state, restore)

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        def wrong(seen: Seen) -> str | None:
            if seen.now.status not in ("running", "paused"):
                return None
            broken = _broken(world, seen)
            return f"still asks nobody for names ({_FILE})" if broken else None

        return judge(world, state, wrong, f"{_FILE} is not the fault's")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return [
            f"restart {case.ref.name}, or write its {_FILE}: {case.was['was']!r}"
            for case in cases(state)
        ]


def _read(world: World, ref: ContainerRef) -> str:
    command = ["/bin/sh", "-c", f"cat {_FILE}"]
    code, text = world.containers.run_inside(ref, command, _TIMEOUT, {})
    if code != 0:
        raise FaultError(f"{_FILE} of {ref.name} cannot be read: `cat` exited {code}")
    return text


def _broken(world: World, seen: Seen) -> bool:
    return _read(world, seen.ref) == str(seen.was["broken"])


def _write(world: World, ref: ContainerRef, text: str) -> None:
    command = ["/bin/sh", "-c", _WRITE]
    code, _ = world.containers.run_inside(ref, command, _TIMEOUT, {"VQCHAOS_TEXT": text})
    if code != 0:
        raise FaultError(f"{_FILE} of {ref.name} cannot be written: the shell exited {code}")
