"""What happened, moment by moment: the list beside the chart and the marks in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vqchaos.history.events import (
    ContainerEvent,
    Event,
    Note,
    ProcessExited,
    ProcessStarted,
    ProcessStopped,
    RouterReplica,
    StartAttempt,
)
from vqchaos.report.words import timeline
from vqchaos.view import RunView
from vqchaos.view.evidence import health_text

_MOST = 60
_QUIET = frozenset({"tracker", "proxy"})
Moment = tuple[float, str, str]  # when, kind, words


def marks(verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The numbered stages that the chart marks, in order of time; ``at`` is since the start."""
    zero = verdict["recovery"]["injected_at"] or 0.0
    return [
        {"n": number, "at": round(zero + at, 3), "name": name, "source": source}
        for number, (name, at, source) in enumerate(timeline(verdict), 1)
    ]


def moments(run: RunView) -> tuple[list[dict[str, Any]], int]:
    """(what happened in order of time, how many more there were). From the first injection on,
    what probes saw before it is the run's ordinary life."""
    since = run.first_injection or 0.0
    found = [*_of_faults(run), *_of_health(run, since)]
    found += [
        (event.t, *told)
        for event in run.history.others
        if event.t >= since and (told := _told(event)) is not None
    ]
    found.sort(key=lambda m: m[0])
    kept = found[:_MOST]
    rows = [{"at": round(at, 3), "kind": kind, "text": text} for at, kind, text in kept]
    return rows, len(found) - len(kept)


def _of_faults(run: RunView) -> Iterator[Moment]:
    for fault in run.faults:
        target = f" ({fault.target})" if fault.target else ""
        for at, by in fault.injected:
            yield at, "fault", f"{fault.name} injected{target}, by {by}"
        if fault.verified_at is not None:
            said = {"yes": "verified", "no": "did not take"}.get(str(fault.verified), "unverified")
            why = f": {fault.verified_why}" if fault.verified_why else ""
            yield fault.verified_at, "fault", f"{fault.name} {said}{why}"
        if fault.reverted_at is not None and (fault.held or fault.startup):
            yield fault.reverted_at, "fault", f"{fault.name} reverted"


def _of_health(run: RunView, since: float) -> Iterator[Moment]:
    before = run.evidence.usual or "200"
    health = run.health.in_order()
    for probe in health.pick(health.t >= since).changes():
        text = health_text(probe)
        if text != before:
            yield probe.t, "health", f"health: {before} → {text}"
            before = text


def _told(event: Event) -> tuple[str, str] | None:
    match event:
        case ProcessStarted() if event.role not in _QUIET:
            return "process", f"{event.role} started, pid {event.pid}"
        case ProcessExited() if event.role not in _QUIET:
            code = "" if event.exit_code is None else f", {_code(event.exit_code)}"
            return "process", f"{event.role} exited, pid {event.pid}{code}"
        case ProcessStopped():
            what = "stopped" if event.stopped else "continued"
            return "process", f"{event.role} {what}, pid {event.pid}"
        case ContainerEvent():
            code = "" if event.exit_code is None else f", {_code(event.exit_code)}"
            word = f" {event.word}" if event.word else ""
            return "container", f"{event.service} {event.number}: {event.action}{word}{code}"
        case RouterReplica() if event.up is not None:
            where = "in" if event.up else "out of"
            return "router", f"{event.replica} {where} rotation ({event.status})"
        case StartAttempt():
            cause = f": {event.cause}" if event.cause else ""
            return "start", f"start attempt {event.outcome}{cause}"
        case Note():
            return "note", f"{event.source}: {event.text}"
        case _:
            return None


def _code(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
