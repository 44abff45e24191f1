"""Small JSON files that are whole or absent, and the names of those the launcher shares with us.

Only the standard library: the launcher imports this.

- ``wish.json``, written by vqchaos: what shall run. ``seq`` rises with every wish.
- ``attempt.json``, written by the launcher: the latest start, and the last ``seq`` it has seen to.
- ``groups.json``, written by the launcher: every process group it started, with the processes,
  shared memory and TMPDIR of each, so that orphans are found after their owner died.
- ``events.jsonl``, appended by the launcher: exact starts and exits.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from vqchaos.jsonlines import objects

WISH = "wish.json"
ATTEMPT = "attempt.json"
GROUPS = "groups.json"
EVENTS = "events.jsonl"
LOGS = "logs"
MARK = "VQCHAOS_STACK"  # environment variable of every server we start: the stack's ID


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file; None if there is none, or no object in it."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Replace the file in one step; 0600."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, json.dumps(data, separators=(",", ":")).encode())
    finally:
        os.close(fd)
    temporary.replace(path)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file; a torn last line is left out."""
    try:
        return objects(path.read_bytes())
    except OSError:
        return []
