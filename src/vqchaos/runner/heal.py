"""Reverting what a dead runner left in force, from a fresh process with only the ledger."""

from __future__ import annotations

from vqchaos.clock import Clock
from vqchaos.errors import StackLocked
from vqchaos.ledger import Ledger
from vqchaos.runner import marks
from vqchaos.runner.aftermath import Healed, revert_all
from vqchaos.runner.lock import holder, stack_lock
from vqchaos.stack.protocols import Stack

PATIENCE = 90.0  # seconds for a watchdog or another heal to come to its end


def heal(stack: Stack, clock: Clock, *, dry_run: bool = False) -> Healed:
    """Revert every fault in the stack's ledger, in reverse order, going on past a failure; then
    the expired marks that no ledger knows.

    Raises StackLocked while a runner is alive: `abort` is for that.
    """
    live = holder(stack.state_dir)
    if live is not None and live.get("role", "run") == "run":
        raise StackLocked(
            f"{live.get('what', 'a run')} is alive (process {live.get('pid', '?')}) and holds the "
            "stack; heal does nothing",
            hint="stop it with `vqchaos abort`: it reverts its faults and ends",
        )
    with stack_lock(stack.state_dir, "heal", clock, role="heal", patience=PATIENCE):
        if not dry_run:
            why = "the runner died; `vqchaos heal` reverted its faults"
            return revert_all(stack, clock, by="heal", why=why)
        ledger = Ledger(stack.state_dir)
        found = marks.find(stack, ledger, clock)
        if found.blind is not None:
            raise found.blind
        entries = [*reversed(ledger.in_force()), *(marks.entry_of(mark) for mark in found.expired)]
        return Healed(stack.name, found=entries, live=found.live)
