"""What earlier servers left behind, and its removal.

Residue is judged by what the launcher wrote down while it was alive: processes of its groups that
no longer belong to a live server, shared memory that they made, and files in their TMPDIR.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from vqchaos.clock import Clock, wait_until
from vqchaos.stack.local import groups
from vqchaos.stack.local.paths import StackPaths
from vqchaos.stack.local.state_files import ATTEMPT, read_json
from vqchaos.stack.protocols import Item
from vqchaos.units import format_size

_MAX_FILES = 20  # named one by one; the rest as a number
_GONE = 10.0  # seconds in which killed processes vanish


@dataclass(frozen=True, slots=True)
class Residue:
    """Of one group that has no live server."""

    group: groups.Group
    processes: tuple[psutil.Process, ...]
    shm: tuple[str, ...]
    files: tuple[Path, ...]


def find(paths: StackPaths) -> list[Residue]:
    """The residue of every group on record whose server does not live."""
    live = _live_group(paths)
    records = groups.load(paths.up)
    kept = _mapped_by_live(records, live, paths.id)
    found = []
    for record in records:
        if record.attempt == live:
            continue
        groups.observe(record, paths.id)  # whatever it made since the launcher last looked
        residue = Residue(
            record,
            tuple(groups.members(record, paths.id)),
            tuple(name for name in groups.existing_shm(record) if name not in kept),
            tuple(groups.tmp_entries(record)),
        )
        if residue.processes or residue.shm or residue.files:
            found.append(residue)
    return found


def items(found: Iterable[Residue]) -> list[Item]:
    """The residue, named: processes first, then shared memory, then sockets and files."""
    named = []
    for residue in found:
        named += [_process_item(process) for process in residue.processes]
    for residue in found:
        for name in residue.shm:
            size = 0
            with contextlib.suppress(OSError):
                size = (groups.SHM / name).stat().st_size
            named.append(Item("shared_memory", str(groups.SHM / name), format_size(size)))
    for residue in found:
        shown = residue.files[:_MAX_FILES]
        named += [_file_item(path, residue.group.attempt) for path in shown]
        if len(residue.files) > len(shown):
            more = len(residue.files) - len(shown)
            named.append(Item("file", residue.group.tmpdir, f"and {more} more"))
    return named


def remove(paths: StackPaths, found: Iterable[Residue], clock: Clock) -> None:
    """End the processes, then remove what they held."""
    for residue in found:
        groups.kill(residue.processes)
    for residue in found:
        wait_until(
            lambda group=residue.group: not groups.members(group, paths.id),  # type: ignore[misc]
            _GONE,
            clock,
        )
        for name in groups.existing_shm(residue.group):
            if name in residue.shm:
                with contextlib.suppress(OSError):
                    (groups.SHM / name).unlink()
        for path in residue.files:
            path.unlink(missing_ok=True)


def _live_group(paths: StackPaths) -> int | None:
    """The attempt whose server lives."""
    attempt = read_json(paths.up / ATTEMPT) or {}
    if attempt.get("state") != "running":
        return None
    alive = groups.is_alive(int(attempt["pid"]), float(attempt["start_time"]))
    return int(attempt["generation"]) if alive else None


def _mapped_by_live(records: list[groups.Group], live: int | None, mark: str) -> set[str]:
    """Shared memory that the live server's group uses, whoever made it."""
    names: set[str] = set()
    for record in records:
        if record.attempt == live:
            for process in groups.members(record, mark):
                names |= groups.shared_memory_of(process.pid)
    return names


def _process_item(process: psutil.Process) -> Item:
    with contextlib.suppress(psutil.Error):
        title = groups.title_of(process)
        memory = format_size(process.memory_info().rss)
        return Item("process", f"{groups.role_of(title)} {process.pid}", f"{title[:80]}, {memory}")
    return Item("process", str(process.pid), "ending")


def _file_item(path: Path, attempt: int) -> Item:
    kind = "file"
    with contextlib.suppress(OSError):
        kind = "socket" if path.is_socket() else "file"
    return Item(kind, str(path), f"of server start {attempt}")
