"""The write-ahead record of faults in force.

``ledger.jsonl`` in the stack's state folder: one record a line, appended and fsynced *before* a
fault is injected. A fault is in force from its ``recorded`` line until its ``undone`` line. A torn
last line is ignored. ``heal``, ``abort`` and the watchdog read nothing else of a run.
``docs/safety.md`` documents the format.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vqchaos.errors import UncleanError

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One fault of one run. ``state`` is what its ``capture`` returned; ``deadline_wall`` when it
    must be gone whatever happened to the runner (Unix seconds)."""

    id: str
    run: str
    number: int
    fault: str  # its name
    type: str
    target: str | None
    held: bool
    state: dict[str, Any] = field(default_factory=dict)
    recorded_wall: float = 0.0
    deadline_wall: float = 0.0
    runner_pid: int = 0
    runner_start: float = 0.0
    folder: str = ""  # of the run, for whoever completes its history
    # The Docker daemon that its containers are of: its ``id`` and the ``host`` where it was
    # reached. Empty for a fault that has none, and in entries of older versions.
    daemon: dict[str, str] = field(default_factory=dict)


class Ledger:
    """The ledger of one stack. The caller holds the stack's lock while it writes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.jsonl"

    def record(self, entry: Entry) -> None:
        """On disk when this returns."""
        self._append({"schema": SCHEMA, "record": "recorded", **asdict(entry)})

    def undone(self, entry_id: str, note: str = "") -> None:
        """The fault is no longer in force. An empty ledger is removed, which a full disk allows."""
        left = {entry.id for entry in self.in_force()}
        if entry_id in left and len(left) > 1:
            self._append({"schema": SCHEMA, "record": "undone", "id": entry_id, "note": note})
        elif left <= {entry_id} and self.path.exists():
            self.path.unlink(missing_ok=True)
            self._sync_folder()

    def in_force(self) -> list[Entry]:
        """Entries without an ``undone``, oldest first.

        Raises UncleanError if a record is from a newer version or broken in the middle.
        """
        if not self.path.exists():
            return []
        entries: dict[str, Entry] = {}
        lines = self.path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                data = json.loads(line)
                if data["schema"] > SCHEMA:
                    raise UncleanError(
                        f"{self.path}:{number}: written by a newer vqchaos (ledger schema "
                        f"{data['schema']}; this version reads up to {SCHEMA})",
                        hint="run `vqchaos heal` of that version",
                    )
                if data["record"] == "undone":
                    entries.pop(data["id"], None)
                else:
                    known = {k: v for k, v in data.items() if k in Entry.__dataclass_fields__}
                    entries[data["id"]] = Entry(**known)
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines):  # torn: the injection that it announces never began
                    break
                raise UncleanError(
                    f"{self.path}:{number}: not a ledger record: {error}",
                    hint="mend or move the file; it lists the faults that may be in force",
                ) from error
        return list(entries.values())

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        new = not self.path.exists()
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not new:
                self._end_torn_line(fd)
            while line:  # a full disk may take a part only; the rest then raises
                line = line[os.write(fd, line) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        if new:
            self._sync_folder()

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _end_torn_line(self, fd: int) -> None:
        """A crash in mid-write leaves half a line: cut it off, so that the next stays whole. A
        line that lacks only its end counts for ``in_force``, and so it gets that end."""
        data = self.path.read_bytes()
        if not data or data.endswith(b"\n"):
            return
        whole = data.rfind(b"\n") + 1
        try:
            json.loads(data[whole:])
        except ValueError:
            os.ftruncate(fd, whole)
        else:
            os.write(fd, b"\n")
