"""One run on a stack at a time: a lock file that the kernel frees when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from vqchaos.clock import Clock, wait_until
from vqchaos.errors import StackLocked
from vqchaos.units import format_duration

_A_LOOK = 0.2  # seconds
_PATIENCE = 60.0


def patience_of(folder: Path) -> float:
    """How long to wait for the lock, seconds: a watchdog or a heal ends by itself, and for a run
    nobody waits."""
    live = holder(folder)
    return _PATIENCE if live is not None and live.get("role", "run") != "run" else 0.0


def holder(folder: Path) -> dict[str, Any] | None:
    """Who holds the lock (pid, what, since_wall), or None if nobody does."""
    path = folder / "lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(fd)
    finally:
        os.close(fd)
    return None


@contextmanager
def stack_lock(
    folder: Path, what: str, clock: Clock, *, role: str = "run", patience: float = 0.0
) -> Iterator[None]:
    """Hold the stack for ``what`` (shown to whoever meets the lock). ``role``: run, heal, abort or
    watchdog; all but a run end by themselves.

    Raises StackLocked if another still holds it after ``patience`` seconds.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Whoever only looks at the lock (`holder`) has it for a moment.
        if not wait_until(lambda: _taken(fd), max(patience, _A_LOOK), clock, every=0.02):
            info = _read(fd)
            age = clock.wall() - float(info.get("since_wall", clock.wall()))
            raise StackLocked(
                f"the stack is held by {info.get('what', 'another run')} "
                f"(process {info.get('pid', '?')}) for {format_duration(max(0.0, age))}",
                hint="wait for it to end, or stop it: `vqchaos abort`",
            )
        record = {
            "pid": os.getpid(),
            "start_time": psutil.Process().create_time(),
            "what": what,
            "role": role,
            "since_wall": clock.wall(),
        }
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(record).encode(), 0)
        yield
    finally:
        os.close(fd)


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(fd: int) -> dict[str, Any]:
    try:
        data = json.loads(os.pread(fd, 4096, 0))
    except ValueError:  # its holder has the lock but has not written yet
        return {}
    return data if isinstance(data, dict) else {}
