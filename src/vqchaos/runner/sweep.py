"""Before anything is injected: nothing of an earlier run may be in force."""

from __future__ import annotations

from collections.abc import Callable

from vqchaos.clock import Clock
from vqchaos.errors import UncleanError
from vqchaos.ledger import Ledger
from vqchaos.runner import marks
from vqchaos.stack.protocols import Stack
from vqchaos.text import one_line
from vqchaos.units import format_duration


def require_clean(stack: Stack, clock: Clock, said: Callable[[str], None]) -> None:
    """An entry in the ledger is a refusal. Of marks of runs whose ledger is lost the expired are
    reverted, a live one is a refusal. Raises UncleanError."""
    ledger = Ledger(stack.state_dir)
    if in_force := ledger.in_force():
        names = ", ".join(f"{entry.fault} (run {entry.run})" for entry in in_force)
        raise UncleanError(
            f"faults of an earlier run are still in force: {names}",
            hint="revert them with `vqchaos heal`",
        )
    found = marks.find(stack, ledger, clock)
    if found.blind is not None:
        said(f"could not look for all marks of earlier runs: {found.blind}")
    for mark in found.expired:
        outcome = marks.revert(mark, stack, ledger)
        text = f"expired mark of run {one_line(mark.run)}: {mark.thing.what} "
        if not outcome.done:
            raise UncleanError(
                f"{text}could not be reverted: {outcome.proof.why}",
                hint="; ".join(outcome.manual) or None,
            )
        said(f"{text}reverted")
    if found.live:
        mark = found.live[0]
        left = format_duration(max(0.0, mark.deadline - clock.wall()))
        raise UncleanError(
            f"run {one_line(mark.run)}, which is not of this machine or has lost its ledger, "
            f"has {mark.thing.what} in force for another {left} at most",
            hint=f"wait for it, stop it where it runs, or {mark.thing.by_hand} if you know "
            "that it is dead",
        )
