"""Reverting one fault from its ledger entry alone: used by the runner and by ``heal``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from vqchaos.errors import StackError, UncleanError, VqchaosError
from vqchaos.faults import REGISTRY
from vqchaos.faults.base import Fault, Verification, World
from vqchaos.ledger import Entry, Ledger
from vqchaos.units import format_duration

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Undo:
    """What became of one revert. ``done``: proven undone, or no way to tell and no error."""

    entry: Entry
    done: bool
    note: str
    proof: Verification
    manual: list[str]


class RevertTimeoutError(Exception):
    """The revert went on past its timeout; its thread is left behind."""


def bounded(call: Callable[[], T], timeout: float) -> T:
    """Run ``call`` in a thread of its own and wait ``timeout`` seconds at most.

    A fault's revert may hang in a system call; the run must end all the same.
    """
    result: list[T] = []
    error: list[BaseException] = []

    def work() -> None:
        try:
            result.append(call())
        except BaseException as caught:
            error.append(caught)

    thread = threading.Thread(target=work, daemon=True, name="vqchaos-bounded")
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise RevertTimeoutError(f"no answer within {format_duration(timeout)}")
    if error:
        raise error[0]
    return result[0]


def fault_class(entry: Entry) -> type[Fault]:
    """The class that can revert this entry. Raises UncleanError for an unknown type."""
    try:
        return REGISTRY[entry.type]
    except KeyError:
        raise UncleanError(
            f"the ledger holds a fault of type '{entry.type}', which this vqchaos does not know",
            hint="run `vqchaos heal` of the version that injected it",
        ) from None


def undo(
    entry: Entry, world: World, ledger: Ledger, on_reverted: Callable[[str], None] | None = None
) -> Undo:
    """Revert, verify, and strike the entry from the ledger if it is undone.

    ``on_reverted`` gets the note the moment the revert returned, before it is verified. Never
    raises for a failed revert: the answer says so and names the manual steps.
    """
    manual: list[str] = []
    note = ""
    try:
        cls = fault_class(entry)
        manual = cls.manual(entry.state)
        limit = cls.undo_limit(entry.state)
        elsewhere = bounded(lambda: _other_daemon(entry, world), limit)
        if elsewhere is not None:
            manual = [_way_back(entry, ledger), *manual]
            raise UncleanError(elsewhere)
        note = bounded(lambda: cls.revert(world, entry.state), limit)
        if on_reverted is not None:
            on_reverted(note)
        proof = bounded(lambda: cls.verify_undone(world, entry.state), limit)
    except Exception as error:
        proof = Verification("no", f"{type(error).__name__}: {error}")
    done = proof.answer != "no"
    if done:
        try:
            ledger.undone(entry.id, note)
        except (OSError, VqchaosError) as error:  # undone all the same; it is looked at again
            why = error.strerror if isinstance(error, OSError) else str(error)
            note = f"{note}; ".lstrip("; ") + f"the ledger cannot be written: {why}"
    return Undo(entry=entry, done=done, note=note, proof=proof, manual=manual)


def _other_daemon(entry: Entry, world: World) -> str | None:
    """Why the daemon that is asked now is not the one of the fault. On another one its containers
    would count as gone, and so as undone."""
    if not entry.daemon:
        return None
    where = f"the fault is on containers of the Docker daemon at {entry.daemon['host']}"
    try:
        now = world.daemon()
    except StackError as error:
        return f"{where}: {error}"
    if now is not None and now.id == entry.daemon["id"]:
        return None
    here = "this stack has no daemon" if now is None else f"the one at {now.host} is another"
    return f"{where}, and {here}"


def _way_back(entry: Entry, ledger: Ledger) -> str:
    return (
        f"DOCKER_HOST={entry.daemon['host']} vqchaos heal; if that daemon and its containers are "
        f"gone for good: rm {ledger.path}"
    )
