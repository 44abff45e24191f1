"""The frame of a run: its phases, and the servers that lived in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vqchaos.history.events import PhaseEnded, PhaseStarted, ProcessStarted

_SAME_START = 2.0  # launcher and probe round a process's creation differently


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """One phase; ``end`` is None while it lasts, or where the history was cut."""

    name: str
    start: float
    end: float | None
    why: str = ""


def phase_spans(started: Iterable[PhaseStarted], ended: Iterable[PhaseEnded]) -> list[PhaseSpan]:
    """The phases in order of their start."""
    ends = {e.phase: e for e in ended}
    spans = []
    for start in sorted(started, key=lambda e: e.t):
        end = ends.get(start.phase)
        if end is None or end.t < start.t:
            spans.append(PhaseSpan(start.phase, start.t, None))
        else:
            spans.append(PhaseSpan(start.phase, start.t, end.t, end.why))
    return spans


def distinct_servers(started: Iterable[ProcessStarted]) -> list[ProcessStarted]:
    """Server processes in order of their start. Launcher and probe may both report one: it counts
    once, at the earlier moment."""
    seen: dict[int, ProcessStarted] = {}
    out: list[ProcessStarted] = []
    for event in sorted(started, key=lambda e: e.t):
        if event.role != "server":
            continue
        known = seen.get(event.pid)
        if known is not None and abs(known.start_time - event.start_time) < _SAME_START:
            continue
        seen[event.pid] = event
        out.append(event)
    return out
