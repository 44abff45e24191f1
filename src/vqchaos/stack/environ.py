"""Marks in the environments of processes: whose they are, after everything else is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

TOKEN_VARIABLE = "VQCHAOS_TOKEN"  # noqa: S105 - the name of a mark, not a secret
PROC = Path("/proc")


def variable(pid: int, name: str, proc: Path = PROC) -> str | None:
    """What a process was started with; None if it has no such variable, is gone or another user's.

    Not psutil's reading, which ends at the first empty string: a process that gave itself a title
    (vLLM's engine core and worker do) has overwritten the start of its environment, not the rest.
    """
    try:
        block = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    start = f"{name}=".encode()
    found = next((part for part in block.split(b"\0") if part.startswith(start)), None)
    return None if found is None else found[len(start) :].decode("utf-8", "replace")


def carriers(name: str, values: set[str]) -> Iterator[psutil.Process]:
    """Live processes whose variable has one of the values."""
    for process in psutil.process_iter():
        try:
            mine = variable(process.pid, name) in values
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:  # gone
            continue
