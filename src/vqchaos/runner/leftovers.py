"""Ours, still there after a run: looked for in the ledger and in the world."""

from __future__ import annotations

import contextlib

from vqchaos.errors import StackError
from vqchaos.ledger import Ledger
from vqchaos.runner.marks import PLACES
from vqchaos.stack.environ import TOKEN_VARIABLE, carriers
from vqchaos.stack.protocols import Capability, Item, Stack


def leftovers(stack: Stack, ledger: Ledger, tokens: set[str]) -> list[Item]:
    """What this run (its entries' ``tokens``) left: ledger entries, toxics and containers with our
    mark, files in a fault's scratch folder, processes that carry a token of ours."""
    items = [
        Item("fault", entry.fault, f"{entry.type} is still in the ledger")
        for entry in ledger.in_force()
    ]
    missing = stack.missing()
    items += _marked(stack)
    if Capability.STARTUP not in missing:
        for token in sorted(tokens):
            path = stack.server.scratch(token)
            if path.exists():
                items.append(Item("file", str(path), "files of a fault"))
    items += [
        Item("process", str(process.pid), f"{process.name()}, started by a fault")
        for process in carriers(TOKEN_VARIABLE, tokens)
    ]
    return items


def _marked(stack: Stack) -> list[Item]:
    """With our mark. Where a place cannot be asked it shows none; a fault of ours there is still in
    the ledger then."""
    items: list[Item] = []
    for place in PLACES:
        with contextlib.suppress(StackError):
            items += [
                Item(mark.thing.kind, mark.thing.name, mark.thing.detail) for mark in place(stack)
            ]
    return items
