"""Marks in the world: names that say whose a thing is and until when it may stay.

They outlive the machine, the state folder and the ledger of the run that made them. An expired one
is reverted by whoever finds it; one that may still be wanted is a refusal. What carries no such
name is a stranger's and is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vqchaos.clock import Clock
from vqchaos.errors import StackError
from vqchaos.faults import REGISTRY
from vqchaos.faults.base import State
from vqchaos.ledger import Entry, Ledger
from vqchaos.runner.undo import Undo, undo
from vqchaos.stack.marked import Marked, MarkedToxic
from vqchaos.stack.protocols import Capability, Stack

_NAME = re.compile(r"vqchaos\.(?P<run>[^.\s]{1,200})\.(?P<number>\d{1,6})\.(?P<deadline>\d{1,12})")


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing with a name of ours. ``deadline`` in Unix seconds."""

    thing: Marked
    run: str
    number: int
    deadline: float


@dataclass
class Marks:
    """The marks on a stack that its ledger does not know: a lost ledger's, or another machine's."""

    expired: list[Mark] = field(default_factory=list)
    live: list[Mark] = field(default_factory=list)
    blind: StackError | None = None  # a place that did not answer


def parse(thing: Marked) -> Mark | None:
    """The mark that it carries; None for a stranger's."""
    found = _NAME.fullmatch(thing.mark)
    if found is None:
        return None
    return Mark(thing, found["run"], int(found["number"]), float(found["deadline"]))


def find(stack: Stack, ledger: Ledger, clock: Clock) -> Marks:
    """One place that does not answer hides nothing of the others."""
    marks = Marks()
    known = {(entry.run, entry.number) for entry in ledger.in_force()}
    now = clock.wall()
    for place in PLACES:
        try:
            there = list(place(stack))
        except StackError as error:
            marks.blind = marks.blind or error
            continue
        for mark in there:
            if (mark.run, mark.number) not in known:
                (marks.expired if mark.deadline < now else marks.live).append(mark)
    return marks


def on_proxies(stack: Stack) -> Iterator[Mark]:
    """Every toxic of ours, of any run, on any proxy of the stack."""
    if Capability.PROXY in stack.missing():
        return
    for ref in stack.links():
        proxy = stack.proxy_called(ref.name)
        toxics = proxy.toxics() if proxy.exists() else []
        yield from filter(None, (parse(MarkedToxic(toxic, ref)) for toxic in toxics))


def on_containers(stack: Stack) -> Iterator[Mark]:
    """Every container of ours, of any run, that stands in for a server of the stack."""
    if Capability.STARTUP not in stack.missing():
        yield from filter(None, map(parse, stack.stand_ins()))


PLACES: tuple[Callable[[Stack], Iterator[Mark]], ...] = (on_proxies, on_containers)


def revert(
    mark: Mark, stack: Stack, ledger: Ledger, on_reverted: Callable[[str], None] | None = None
) -> Undo:
    """Undo what the mark stands for, from the thing alone."""
    return undo(entry_of(mark), stack, ledger, on_reverted)


def entry_of(mark: Mark) -> Entry:
    """What its ledger entry said, as far as the thing tells."""
    kind, state = _fault_of(mark.thing) or _fault_of(mark.thing.plainest()) or _UNKNOWN
    return Entry(
        id=f"{mark.run}.{mark.number}",
        run=mark.run,
        number=mark.number,
        fault=mark.thing.name,
        type=kind,
        target=None,
        held=True,
        state=state,
        recorded_wall=mark.deadline,
        deadline_wall=mark.deadline,
    )


_UNKNOWN: tuple[str, State] = ("unknown", {})  # its undo says which vqchaos knows it


def _fault_of(thing: Marked) -> tuple[str, State] | None:
    states = ((name, cls.from_mark(thing)) for name, cls in REGISTRY.items())
    return next(((name, state) for name, state in states if state is not None), None)
