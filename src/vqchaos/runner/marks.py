"""Marks in the world: toxics whose names say whose they are and until when they may stay.

They outlive the machine, the state folder and the ledger of the run that made them. An expired one
is reverted by whoever finds it; one that may still be wanted is a refusal. Toxics without such a
name are strangers' and are never touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from vqchaos.clock import Clock
from vqchaos.faults import REGISTRY
from vqchaos.faults.base import State
from vqchaos.ledger import Entry, Ledger
from vqchaos.runner.undo import Undo, undo
from vqchaos.stack.protocols import Capability, Stack, Toxic

_NAME = re.compile(r"vqchaos\.(?P<run>[^.\s]{1,200})\.(?P<number>\d{1,6})\.(?P<deadline>\d{1,12})")


@dataclass(frozen=True, slots=True)
class Mark:
    """One toxic with a name of ours, on that proxy. ``deadline`` in Unix seconds."""

    toxic: Toxic
    proxy: str
    run: str
    number: int
    deadline: float


@dataclass
class Marks:
    """The marks on a stack that its ledger does not know: a lost ledger's, or another machine's."""

    expired: list[Mark] = field(default_factory=list)
    live: list[Mark] = field(default_factory=list)


def parse(toxic: Toxic, proxy: str) -> Mark | None:
    """The mark that this toxic is; None for a stranger's."""
    found = _NAME.fullmatch(toxic.name)
    if found is None:
        return None
    return Mark(toxic, proxy, found["run"], int(found["number"]), float(found["deadline"]))


def find(stack: Stack, ledger: Ledger, clock: Clock) -> Marks:
    """Raises StackError if the proxy's API does not answer."""
    marks = Marks()
    known = {(entry.run, entry.number) for entry in ledger.in_force()}
    now = clock.wall()
    for mark in on_proxies(stack):
        if (mark.run, mark.number) in known:
            continue
        (marks.expired if mark.deadline < now else marks.live).append(mark)
    return marks


def on_proxies(stack: Stack) -> list[Mark]:
    """Every toxic of ours, of any run, on any proxy of the stack."""
    if Capability.PROXY in stack.missing():
        return []
    found = []
    for ref in stack.links():
        proxy = stack.proxy_called(ref.name)
        if proxy.exists():
            found += [mark for toxic in proxy.toxics() if (mark := parse(toxic, ref.name))]
    return found


def revert(
    mark: Mark, stack: Stack, ledger: Ledger, on_reverted: Callable[[str], None] | None = None
) -> Undo:
    """Undo what the mark stands for, from the toxic alone."""
    return undo(entry_of(mark), stack, ledger, on_reverted)


def entry_of(mark: Mark) -> Entry:
    """What its ledger entry said, as far as the toxic tells."""
    kind, state = _fault_of(mark.toxic, mark.proxy)
    return Entry(
        id=f"{mark.run}.{mark.number}",
        run=mark.run,
        number=mark.number,
        fault=mark.toxic.name,
        type=kind,
        target=None,
        held=True,
        state=state,
        recorded_wall=mark.deadline,
        deadline_wall=mark.deadline,
    )


def _fault_of(toxic: Toxic, proxy: str) -> tuple[str, State]:
    for name, cls in REGISTRY.items():
        state = cls.from_mark(toxic, proxy)
        if state is not None:
            return name, state
    # Of a version that knows more types: every one of them is undone by removing its toxic.
    return "latency", {"proxies": [proxy], "toxic": toxic.name}
