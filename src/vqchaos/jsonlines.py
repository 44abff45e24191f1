"""Reading JSON Lines that a killed writer may have cut. Only the standard library: the launcher
imports this."""

from __future__ import annotations

import json
from typing import Any


def objects(data: bytes) -> list[dict[str, Any]]:
    """The whole objects in it, a line each; what is none, such as a torn line, is left out."""
    found = []
    for line in data.split(b"\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            found.append(record)
    return found
