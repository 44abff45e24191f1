"""Takes the local stack down so that nothing of it is left, in whatever state it was."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

import psutil

from vqchaos.clock import wait_until
from vqchaos.errors import StackError, UncleanError
from vqchaos.ledger import Ledger
from vqchaos.stack.local import groups, residue
from vqchaos.stack.local.engine_env import Progress
from vqchaos.stack.local.stack import LocalStack
from vqchaos.stack.protocols import Item

_PATIENCE = 15.0


def down(stack: LocalStack, progress: Progress, *, force: bool = False) -> None:
    """Stop everything of this stack and remove what it left; idempotent.

    Raises UncleanError if faults are in force, unless ``force``; StackError if something stays.
    """
    ledger = Ledger(stack.state_dir)
    in_force = ledger.in_force()
    if in_force and not force:
        names = ", ".join(entry.fault for entry in in_force)
        raise UncleanError(
            f"faults are in force on {stack.name}: {names}",
            hint="`vqchaos heal` reverts them; `vqchaos down --force` does not care",
        )
    if stack.paths.up.exists() or stack.paths.runtime.exists() or own_processes(stack):
        progress.step("stopping the server, Toxiproxy and the supervisor")
        sweep(stack)
    if not in_force or force:
        _remove_tree(stack.paths.scratch)
    for entry in in_force:
        ledger.undone(entry.id, "forgotten by `down --force`: the stack is gone")
    left = leftovers(stack)
    if left:
        named = ", ".join(f"{item.kind} {item.name}" for item in left[:8])
        raise StackError(f"still there after down: {named}", hint="run `vqchaos down` again")


def sweep(stack: LocalStack) -> None:
    """End all processes and remove all files that ``up`` made; asks nobody."""
    paths = stack.paths
    stack.supervisor.shutdown()  # lets the launcher end its server properly
    groups.kill(_holders(stack))
    wait_until(lambda: not _holders(stack), _PATIENCE, stack.clock)
    records = groups.load(paths.up)
    for record in records:
        groups.observe(record, paths.id)
        groups.kill(groups.members(record, paths.id))
    groups.kill(own_processes(stack))
    wait_until(lambda: not own_processes(stack), _PATIENCE, stack.clock)
    whole = [
        residue.Residue(record, (), tuple(groups.existing_shm(record)), ()) for record in records
    ]
    residue.remove(paths, whole, stack.clock)
    _remove_tree(paths.runtime)
    _remove_tree(paths.up)


def own_processes(stack: LocalStack) -> list[psutil.Process]:
    """Everything alive that belongs to this stack, however it got there."""
    found = {process.pid: process for process in _holders(stack)}
    found |= {process.pid: process for process in groups.marked_processes(stack.paths.id)}
    for record in groups.load(stack.paths.up):
        found |= {process.pid: process for process in groups.members(record, stack.paths.id)}
    return list(found.values())


def _holders(stack: LocalStack) -> list[psutil.Process]:
    """supervisord, launcher and Toxiproxy: this stack's folder is in their command lines."""
    return list(_with_argument(f"{stack.paths.up}"))


def _with_argument(folder: str) -> Iterator[psutil.Process]:
    programs = ("supervisor.supervisord", "vqchaos.stack.local.launcher", "-config")
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            mine = any(part == folder or part.startswith(folder + "/") for part in command)
            ours = mine and any(program in command for program in programs)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def leftovers(stack: LocalStack) -> list[Item]:
    """What of ours is still there: after ``down``, nothing."""
    paths = stack.paths
    left = [
        Item("process", str(process.pid), groups.title_of(process))
        for process in own_processes(stack)
    ]
    left += [Item("file", str(path)) for path in (paths.runtime, paths.up) if path.exists()]
    return left


def _remove_tree(folder: object) -> None:
    shutil.rmtree(str(folder), ignore_errors=True)
