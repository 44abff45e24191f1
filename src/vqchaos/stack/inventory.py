"""What must be after a run as it was before: named things with their values, and the comparison.

A thing that differs is ours or the stack's. ``ours`` is whose change it would be: nobody but a
fault has a reason to touch a model's files, a toxic or the proxy; limits, ports and GPU memory go
with the stack's own processes. A kind that could not be looked at, before or after, is not
compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from vqchaos.stack.protocols import Item

MARK: Final = "vqchaos."  # how the names of our toxics begin
ANSWERS: Final = "answers"  # of Toxiproxy
NOT_YET: Final = "nobody yet: the server is starting"  # of a port: no difference
STRANGER: Final = "a stranger"  # how the name of an unknown listener begins
GPU_TOLERANCE: Final = 256  # MiB; a start more or less, and drivers, move it by less
_RESTARTED = "Toxiproxy restarted, or its proxy was made anew"
_LONG_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


# ---------------------------------------------------------------- what is there


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that must be as before. ``stamp`` tells that ``value`` still holds without another
    look; it is not compared."""

    kind: str
    name: str
    value: str
    ours: bool
    stamp: str = field(default="", compare=False)


class Inventory:
    """Things by kind and name. ``looked_at``: kind → how many there were, 0 too. ``remarks``: what
    could not be looked at, or not fully."""

    def __init__(self) -> None:
        self.things: dict[tuple[str, str], Thing] = {}
        self.looked_at: dict[str, int] = {}
        self.remarks: list[str] = []

    def look(self, kind: str, reader: Callable[[], Iterable[Thing] | None]) -> None:
        """Add what the reader finds. One that returns None has nothing to read here; one that
        raises is a remark, and its kind is not compared."""
        try:
            found = reader()
        except Exception as error:
            self.remarks.append(
                f"{kind}: could not be looked at, not compared: {type(error).__name__}: {error}"
            )
            return
        if found is not None:
            self.add(kind, found)

    def add(self, kind: str, things: Iterable[Thing]) -> None:
        """All things of that kind."""
        named = {(thing.kind, thing.name): thing for thing in things}
        self.things |= named
        self.looked_at[kind] = self.looked_at.get(kind, 0) + len(named)

    def of(self, kind: str) -> list[Thing]:
        return [thing for thing in self.things.values() if thing.kind == kind]


# ---------------------------------------------------------------- the comparison


def compare(before: Inventory, after: Inventory) -> tuple[list[Item], list[Item]]:
    """(leftovers, residue): what is not as before by our doing, and by the stack's."""
    ours: list[Item] = []
    theirs: list[Item] = []
    lost = bool(before.of("toxic")) and not after.of("toxic")
    for key, thing in (before.things | after.things).items():
        was, now = before.things.get(key), after.things.get(key)
        if thing.kind not in before.looked_at or thing.kind not in after.looked_at:
            continue
        if _same(was, now):
            continue
        detail = _difference(was, now)
        if thing.kind == "toxic" and lost:
            detail += f". So is every toxic: {_RESTARTED}"
        # A stranger's toxic that comes is not our doing; none that was there may we change.
        touched = thing.kind == "toxic" and was is not None
        (ours if thing.ours or touched else theirs).append(Item(thing.kind, thing.name, detail))
    return ours, theirs


def _same(was: Thing | None, now: Thing | None) -> bool:
    if was is None or now is None:
        one = was or now  # a role without a process has no cgroup: that changes no limit
        return one is None or one.kind == "cgroup"
    if was.kind == "gpu":  # less is in use while a server loads: only more was not given back
        return int(now.value.split()[0]) - int(was.value.split()[0]) < GPU_TOLERANCE
    if was.kind == "port":
        return now.value in (was.value, NOT_YET) or (
            was.value == NOT_YET and STRANGER not in now.value
        )
    if was.kind == "toxiproxy":
        return now.value == ANSWERS or was.value != ANSWERS
    return was.value == now.value


def _difference(was: Thing | None, now: Thing | None) -> str:
    before, after = (_LONG_HASH.sub(r"\1…", thing.value) if thing else None for thing in (was, now))
    if before is None:
        return f"was not there before; is {after}"
    return f"is gone; was {before}" if after is None else f"was {before}, is {after}"
