"""What the runner tells whoever watches: a protocol, and one that says nothing."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a run, for a live view; moments in seconds since the run's start."""

    t: float
    phase: str
    phase_started: float
    phase_limit: float | None
    sent: int
    in_flight: int
    outcomes: dict[str, int] = field(default_factory=dict)  # of this phase
    recent_rate: float = 0.0  # requests that ended in the last 2 s, a second
    recent_ok: float | None = None  # share of ok among them
    recent_ttft: float | None = None  # median, seconds
    health: str = "?"  # 200, 503, refused, …
    pilot: str = "?"  # served or the outcome


class Progress(Protocol):
    """All calls come from the runner's thread and must return at once."""

    def run_started(self, experiment: str, title: str, number: int, of: int) -> None: ...

    def phase(self, name: str, limit: float | None, t: float) -> None: ...

    def said(self, text: str, t: float | None = None) -> None: ...

    def tick(self, snapshot: Snapshot) -> None: ...

    def run_ended(self, verdict: dict[str, Any], folder: Path) -> None: ...


# What a console raises whose terminal or pipe is gone; some end the process instead.
_CLOSED = (OSError, ValueError, SystemExit)


class Guarded:
    """Another progress whose terminal may be closed at any moment: an undo goes on all the same."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner

    def run_started(self, experiment: str, title: str, number: int, of: int) -> None:
        with contextlib.suppress(*_CLOSED):
            self._inner.run_started(experiment, title, number, of)

    def phase(self, name: str, limit: float | None, t: float) -> None:
        with contextlib.suppress(*_CLOSED):
            self._inner.phase(name, limit, t)

    def said(self, text: str, t: float | None = None) -> None:
        with contextlib.suppress(*_CLOSED):
            self._inner.said(text, t)

    def tick(self, snapshot: Snapshot) -> None:
        with contextlib.suppress(*_CLOSED):
            self._inner.tick(snapshot)

    def run_ended(self, verdict: dict[str, Any], folder: Path) -> None:
        with contextlib.suppress(*_CLOSED):
            self._inner.run_ended(verdict, folder)


class Silent:
    """Says nothing."""

    def run_started(self, experiment: str, title: str, number: int, of: int) -> None: ...

    def phase(self, name: str, limit: float | None, t: float) -> None: ...

    def said(self, text: str, t: float | None = None) -> None: ...

    def tick(self, snapshot: Snapshot) -> None: ...

    def run_ended(self, verdict: dict[str, Any], folder: Path) -> None: ...
