"""When the router took a replica out, and when it was back; from its statistics' changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vqchaos.history.events import ContainerEvent, RouterReplica

_SERVES_AGAIN = {"start": "its container started", "unpause": "its container was unpaused"}


@dataclass(frozen=True, slots=True)
class Turns:
    """One replica from the injection on; moments are the history's. ``out_at`` is the first time
    it was out, ``back_at`` when it came back to stay. ``times``: how often it went out.
    ``blind_since``: from when on, to the end, the router gave no word. ``number``: which replica
    it is, where the history says that."""

    replica: str
    was_up: bool | None  # the last word before the injection
    out_at: float | None = None
    back_at: float | None = None
    times: int = 0
    blind_since: float | None = None
    number: int | None = None


def turns(events: Sequence[RouterReplica], replica: str, since: float) -> Turns:
    """What became of one replica after ``since``."""
    was_up: bool | None = None
    out_at = back_at = blind_since = None
    number: int | None = None
    times, up = 0, None
    for event in (e for e in events if e.replica == replica):
        number = event.number or number
        blind_since = event.t if event.up is None else None
        if event.t < since:
            was_up = event.up if event.up is not None else was_up
            up = was_up
            continue
        if event.up is None or event.up is up:
            continue
        if not event.up:
            times += 1
            out_at = event.t if out_at is None else out_at
            back_at = None
        elif out_at is not None:
            back_at = event.t
        up = event.up
    return Turns(replica, was_up, out_at, back_at, times, blind_since, number)


def names(events: Sequence[RouterReplica]) -> list[str]:
    """The replicas that the router named."""
    return sorted({event.replica for event in events})


def own_events(
    containers: Sequence[ContainerEvent], found: Turns, names: Sequence[str]
) -> list[ContainerEvent]:
    """What became of the replica's own container. Where none of the router's ``names`` is a
    service's, the replica's number says which it is."""

    def called(event: ContainerEvent, name: str) -> bool:
        return name in (event.service, f"{event.service}-{event.number}")

    if any(called(event, name) for event in containers for name in names):
        return [event for event in containers if called(event, found.replica)]
    servers = (event for event in containers if event.role == "server")
    return [e for e in servers if e.replica is not None and e.replica == found.number]


def could_serve_again(
    own: Sequence[ContainerEvent],
    since: float,
    until: float | None,
    reverted: float | None,
) -> tuple[float, str] | None:
    """From when on the replica could serve, and by what it is told: the last start of its ``own``
    container after ``since`` (and before it was back, ``until``); without one, the last revert."""
    starts = [
        (event.t, _SERVES_AGAIN[event.action])
        for event in own
        if event.action in _SERVES_AGAIN
        and since <= event.t
        and (until is None or event.t <= until)
    ]
    if starts:
        return starts[-1]
    return None if reverted is None else (reverted, "the fault was reverted")
