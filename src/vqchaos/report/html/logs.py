"""The log lines around the fault: those that say something, with the moment of each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vqchaos.text import one_line

_STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ?")
_TELLING = re.compile(
    r"error|warn|fatal|critical|exception|traceback|kill|signal|exit|died|dead|refused|unhealthy"
    r"|shut|start|ready|down|up\b|out of memory|oom|corrupt|fail",
    re.IGNORECASE,
)
_ROUTINE = re.compile(r'"(GET|POST) [^"]*" 200\b')
MOST, LONGEST = 80, 300  # lines of the page, characters of each
BEFORE, AFTER = 2.0, 5.0  # seconds around the fault and the recovery


@dataclass(frozen=True, slots=True)
class LogLine:
    """``at``: seconds since the run's start."""

    at: float
    source: str
    text: str


def near(
    lines: Iterable[str], source: str, started_wall: float, since: float, until: float
) -> list[LogLine]:
    """The lines of one log between two moments that say something. A line without a time of its
    own belongs to the one before it; without any time in the log there is nothing to go by."""
    out: list[LogLine] = []
    at: float | None = None
    for line in lines:
        text = line
        if (stamp := _STAMP.match(line)) is not None:
            at, text = _moment(stamp) - started_wall, line[stamp.end() :]
        if at is None or not since <= at <= until:
            continue
        if text.strip() and _TELLING.search(text) and not _ROUTINE.search(text):
            out.append(LogLine(round(at, 3), source, one_line(text, LONGEST)))
    return out


def excerpt(found: Iterable[LogLine], fault: float) -> tuple[list[dict[str, Any]], int]:
    """(the lines to show in order of time, how many are left out): those nearest after the fault
    where there are too many."""
    lines = sorted(found, key=lambda line: (line.at < fault, abs(line.at - fault)))
    kept = sorted(lines[:MOST], key=lambda line: line.at)
    rows = [{"at": line.at, "source": line.source, "text": line.text} for line in kept]
    return rows, len(lines) - len(kept)


def _moment(stamp: re.Match[str]) -> float:
    zone = "+00:00" if stamp[3] == "Z" else stamp[3]
    try:
        whole = datetime.fromisoformat(stamp[1] + zone).astimezone(UTC).timestamp()
    except ValueError:  # 31 February
        return 0.0
    return whole + float(f"0.{stamp[2] or 0}")
