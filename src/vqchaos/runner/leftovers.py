"""Ours, still there after a run: looked for in the ledger and in the world."""

from __future__ import annotations

import contextlib

from vqchaos.errors import StackError
from vqchaos.ledger import Ledger
from vqchaos.runner.marks import on_proxies
from vqchaos.stack.environ import TOKEN_VARIABLE, carriers
from vqchaos.stack.protocols import Capability, Item, Stack


def leftovers(stack: Stack, ledger: Ledger, tokens: set[str]) -> list[Item]:
    """What this run (its entries' ``tokens``) left: ledger entries, toxics with our mark, a proxy
    still off, files in a fault's scratch folder, processes that carry a token of ours."""
    items = [
        Item("fault", entry.fault, f"{entry.type} is still in the ledger")
        for entry in ledger.in_force()
    ]
    missing = stack.missing()
    if Capability.PROXY not in missing:
        items += _toxics(stack)
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


def _toxics(stack: Stack) -> list[Item]:
    """With our mark. A Toxiproxy that cannot be asked shows none; a fault of ours on it is still
    in the ledger then."""
    places = {ref.name: ref for ref in stack.links()}
    with contextlib.suppress(StackError):
        return [
            Item(
                "toxic",
                places[mark.proxy].toxic_name(mark.toxic),
                f"{mark.toxic.type} on the {mark.toxic.stream}",
            )
            for mark in on_proxies(stack)
        ]
    return []
