"""What went on beside the requests: spans of time in lanes under the chart. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from vqchaos.history.events import ProcessExited, ProcessStarted, ProcessStopped, RouterReplica
from vqchaos.recovery.outage import outages
from vqchaos.units import format_duration
from vqchaos.view import RunView
from vqchaos.view.evidence import health_text
from vqchaos.view.truth import Lie, lies

_MOST_SPANS = 300  # in a lane; a service that flaps has thousands
_MOST_LANES = 8  # of processes, and of replicas
_ROLES = ("router", "server", "engine", "worker")
Span = tuple[float, float, str, str]  # from, to, kind (good, bad, fault, phase), text


def lanes(run: RunView) -> list[dict[str, Any]]:
    """Lanes in the order to draw them, each with its name and its spans."""
    end = run.watched_until
    found: list[tuple[str, list[Span]]] = [
        ("phase", [(p.start, end if p.end is None else p.end, "phase", p.name)
                   for p in run.phases]),
        ("fault", _faults(run, end)),
        ("outage", [(a, b, "bad", format_duration(b - a)) for a, b in outages(run)]),
        ("health", _health(run, end)),
        ("health lied", [(lie.start, lie.end, "bad", format_duration(lie.duration))
                         for lie in long_lies(run)]),
        *_processes(run, end),
        *_replicas(run, end),
    ]  # fmt: skip
    return [
        {"name": name, "spans": [[round(a, 3), round(b, 3), kind, text] for a, b, kind, text in s]}
        for name, spans in found
        if (s := spans[:_MOST_SPANS])
    ]


def long_lies(run: RunView) -> list[Lie]:
    """Lies of health that more than one sample shows."""
    if run.first_injection is None:
        return []
    found = lies(run, run.first_injection, run.watched_until)
    return [lie for lie in found if lie.samples > 1]


def _faults(run: RunView, end: float) -> list[Span]:
    out: list[Span] = []
    for fault in run.faults:
        for at, _ in fault.injected:
            until = (fault.reverted_at or end) if fault.held else at
            out.append((at, max(at, until), "fault", fault.name))
    return sorted(out)


def _health(run: RunView, end: float) -> list[Span]:
    out: list[Span] = []
    for probe in run.health.in_order().changes():
        text, at = health_text(probe), probe.t
        if out:
            start, _, kind, before = out[-1]
            out[-1] = (start, at, kind, before)
        out.append((at, end, "good" if probe.status == 200 else "bad", text))
    return out


def _processes(run: RunView, end: float) -> list[tuple[str, list[Span]]]:
    """A lane for each role, or for each container of it: when it lived, when it was stopped."""
    where: dict[int, tuple[str, str]] = {}
    events: dict[tuple[str, str], list[ProcessStarted | ProcessExited | ProcessStopped]] = (
        defaultdict(list)
    )
    for event in run.processes:
        if isinstance(event, ProcessStarted):
            where[event.pid] = (event.role, event.title if event.source == "docker" else "")
        key = where.get(event.pid, (event.role, ""))
        if key[0] in _ROLES:
            events[key].append(event)
    keys = sorted(events, key=lambda k: _ROLES.index(k[0]))[:_MOST_LANES]
    out = []
    for key in keys:
        same = [k for k in keys if k[0] == key[0]]
        name = key[0] if len(same) == 1 else f"{key[0]} {same.index(key) + 1}"
        out.append((name, _lives(events[key], end)))
    return out


def _lives(
    events: Iterable[ProcessStarted | ProcessExited | ProcessStopped], end: float
) -> list[Span]:
    alive: dict[int, float] = {}
    stopped: dict[int, float] = {}
    up: list[Span] = []
    bad: list[Span] = []
    for event in events:
        pid = event.pid
        if isinstance(event, ProcessStarted):
            alive.setdefault(pid, event.t)
        elif isinstance(event, ProcessExited):
            up.append((alive.pop(pid, 0.0), event.t, "good", f"pid {pid}"))
            if pid in stopped:
                bad.append((stopped.pop(pid), event.t, "bad", "stopped"))
        elif event.stopped:
            stopped.setdefault(pid, event.t)
        elif pid in stopped:
            bad.append((stopped.pop(pid), event.t, "bad", "stopped"))
    up += [(at, end, "good", f"pid {pid}") for pid, at in alive.items() if at < end]
    bad += [(at, end, "bad", "stopped") for at in stopped.values()]
    return [*sorted(up), *sorted(bad)]


def _replicas(run: RunView, end: float) -> list[tuple[str, list[Span]]]:
    """What the router said of each replica."""
    out: dict[str, list[Span]] = {}
    events: Sequence[RouterReplica] = run.all(RouterReplica)
    for event in events:
        spans = out.setdefault(event.replica, [])
        if spans:
            start, _, kind, text = spans[-1]
            spans[-1] = (start, event.t, kind, text)
        kind = "good" if event.up else "bad"
        spans.append((event.t, end, kind, event.status or ("in" if event.up else "out")))
    return [(f"→ {name}", spans) for name, spans in list(out.items())[:_MOST_LANES]]
