"""Reverting what a dead runner left in force, from a fresh process with only the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field

from vqchaos.clock import Clock
from vqchaos.errors import StackLocked
from vqchaos.ledger import Entry, Ledger
from vqchaos.runner.lock import holder, stack_lock
from vqchaos.runner.undo import Undo, undo
from vqchaos.stack.protocols import Stack


@dataclass
class Healed:
    """What heal found on one stack and what became of it, newest fault first."""

    stack: str
    found: list[Entry] = field(default_factory=list)
    undone: list[Undo] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return all(item.done for item in self.undone) and len(self.undone) == len(self.found)


def heal(stack: Stack, clock: Clock, *, dry_run: bool = False) -> Healed:
    """Revert every fault in the stack's ledger, in reverse order, going on past a failure.

    Raises StackLocked while a runner is alive: it reverts by itself when it is interrupted.
    """
    ledger = Ledger(stack.state_dir)
    live = holder(stack.state_dir)
    if live is not None:
        raise StackLocked(
            f"{live.get('what', 'a run')} is alive (process {live.get('pid', '?')}) and holds the "
            "stack; heal does nothing",
            hint="interrupt that process: it reverts its faults and ends",
        )
    with stack_lock(stack.state_dir, "heal", clock):
        entries = list(reversed(ledger.in_force()))
        result = Healed(stack=stack.name, found=entries)
        if not dry_run:
            result.undone = [undo(entry, stack, ledger) for entry in entries]
    return result
