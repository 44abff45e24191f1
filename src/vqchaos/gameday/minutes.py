"""minutes.jsonl: what happened on a game day, written as it happens, one JSON object a line."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from vqchaos.jsonlines import objects

FILE = "minutes.jsonl"


class Minutes:
    """Appends records; each is with the kernel when ``write`` returns, so that a killed session
    loses none. ``records`` has them all. A disk that takes no more never ends the session: why is
    in ``problem``."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self.path = folder / FILE
        self.records: list[dict[str, Any]] = []
        self.problem = ""
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        line = json.dumps(record, ensure_ascii=True, separators=(",", ":")) + "\n"
        rest = line.encode()
        try:
            while rest:  # a full disk may take a part only
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror}"
            with contextlib.suppress(OSError):  # what follows once there is room stays readable
                os.write(self._fd, b"\n")

    def close(self) -> None:
        os.close(self._fd)


def read_minutes(path: Path) -> list[dict[str, Any]]:
    """Every whole record; a line that was cut by a kill is left out. Raises OSError."""
    return objects(path.read_bytes())
